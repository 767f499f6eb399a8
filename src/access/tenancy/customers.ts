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
  if (!rows[0]) throw new TidemarkError('not_found', 'there is no such customer');
  return toCustomer(rows[0]);
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
