import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import { type Actor, COMMAND, writeEntries } from './auditLog.ts';
import type { TenantContext } from './tenantContext.ts';

export interface Customer {
  tenantId: string;
  customerId: string;
  name: string | null;
  createdAt: string;
  updatedAt: string;
}

interface Row {
  tenant_id: string;
  external_id: string;
  name: string | null;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = 'tenant_id, external_id, name, created_at, updated_at';
const CUSTOMERS: List = { name: 'customers', key: ['text'] };

/** Customers by id. @throws {TidemarkError} `cursor_invalid`. */
export async function listCustomers(
  db: Queryable,
  context: TenantContext,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<Customer>> {
  const after = query.cursor === undefined ? [null] : decodeCursor(query.cursor, CUSTOMERS);
  const { rows } = await db.query<Row>(
    `select ${COLUMNS} from tenant_data.customer
     where tenant_id = $1 and ($2::text is null or external_id collate "C" > $2)
     order by external_id collate "C"
     limit $3`,
    [context.tenantId, after[0], query.limit + 1],
  );
  return pageOf(rows.map(toCustomer), query.limit, CUSTOMERS, (customer) => [customer.customerId]);
}

/** @throws {TidemarkError} `not_found`. */
export async function getCustomer(
  db: Queryable,
  context: TenantContext,
  customerId: string,
): Promise<Customer> {
  const { rows } = await db.query<Row>(
    `select ${COLUMNS} from tenant_data.customer where tenant_id = $1 and external_id = $2`,
    [context.tenantId, customerId],
  );
  if (!rows[0]) throw noSuchCustomer();
  return toCustomer(rows[0]);
}

/** What customers are called: those that have a name, by id. */
export async function customerNames(
  db: Queryable,
  context: TenantContext,
  customerIds: readonly string[],
): Promise<Map<string, string>> {
  const { rows } = await db.query<{ external_id: string; name: string }>(
    `select external_id, name from tenant_data.customer
     where tenant_id = $1 and external_id = any($2::text[]) and name is not null`,
    [context.tenantId, customerIds],
  );
  return new Map(rows.map(({ external_id, name }) => [external_id, name]));
}

export interface CustomerSearch {
  /** Part of the id, or of the name (of one that has none: of the id), in any case. */
  idPart?: string | undefined;
  namePart?: string | undefined;
  /** The id itself. */
  customerId?: string | undefined;
  /** Customers that are passed over. */
  offset: number;
  limit: number;
}

/** Customers by id that are like what is looked for, and how many there are in all. */
export async function searchCustomers(
  db: Queryable,
  context: TenantContext,
  { idPart, namePart, customerId, offset, limit }: CustomerSearch,
): Promise<{ data: Customer[]; total: number }> {
  const { rows } = await db.query<Row & { total: string }>(
    `with found as materialized (
       select ${COLUMNS} from tenant_data.customer
       where tenant_id = $1
         and ($2::text is null or external_id = $2)
         and ($3::text is null or strpos(lower(external_id), lower($3)) > 0)
         and ($4::text is null or strpos(lower(coalesce(name, external_id)), lower($4)) > 0)
     )
     select page.*, total from (select count(*) as total from found) as counted left join (
       select * from found order by external_id collate "C" limit $5 offset $6
     ) as page on true
     order by external_id collate "C"`,
    [context.tenantId, customerId ?? null, idPart ?? null, namePart ?? null, limit, offset],
  );
  return {
    data: rows.filter((row) => row.external_id !== null).map(toCustomer),
    total: Number(rows[0]!.total),
  };
}

/** Makes customers that are not there yet, as their first event would: without a name. */
export async function registerCustomers(
  db: Queryable,
  context: TenantContext,
  customerIds: readonly string[],
): Promise<void> {
  const customers = customerIds.map((id) => ({ tenant_id: context.tenantId, external_id: id }));
  await db.query('select register_customers($1)', [JSON.stringify(customers)]);
}

/** Names a customer, or takes the name away (null). @throws {TidemarkError} `not_found`. */
export async function updateCustomer(
  db: Queryable,
  context: TenantContext,
  customerId: string,
  changes: { name: string | null },
  actor: Actor = COMMAND,
): Promise<Customer> {
  const { rows } = await db.query<Row>(
    `with old as (
       select tenant_id as tenant, external_id as customer, name as old_name from customer
       where tenant_id = $1 and external_id = $2 for update
     ), changed as (
       update customer set name = $3, updated_at = now()
       from old where tenant_id = tenant and external_id = customer
       returning ${COLUMNS}, old_name
     ), logged as (${writeEntries({
       from: 'changed',
       action: 'customer.updated',
       target: 'external_id',
       before: `jsonb_build_object('name', old_name)`,
       after: `jsonb_build_object('name', name)`,
       actor: '$4',
     })})
     select ${COLUMNS} from changed`,
    [context.tenantId, customerId, changes.name, JSON.stringify(actor)],
  );
  if (!rows[0]) throw noSuchCustomer();
  return toCustomer(rows[0]);
}

function noSuchCustomer(): TidemarkError {
  return new TidemarkError('not_found', 'there is no such customer');
}

function toCustomer(row: Row): Customer {
  return {
    tenantId: row.tenant_id,
    customerId: row.external_id,
    name: row.name,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
}
