import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { errorCode, UNIQUE_VIOLATION } from '../../ground/db/sqlstate.ts';
import { TidemarkError } from '../../model/errors.ts';
import { type Actor, COMMAND, writeEntries } from './auditLog.ts';

export interface Tenant {
  id: string;
  name: string;
  active: boolean;
  /** Null: the default of the service; 0: without limit. */
  requestsPerSecond: number | null;
  eventsPerSecond: number | null;
  /** Keys of attributes of OTLP in which its customers are; null: the usual ones. */
  otlpCustomerAttributes: string[] | null;
  /** Whom calls are of that name nobody; null: they are refused. */
  otlpDefaultCustomerId: string | null;
  createdAt: string;
  updatedAt: string;
}

interface Row {
  id: string;
  name: string;
  active: boolean;
  requests_per_second: number | null;
  events_per_second: number | null;
  otlp_customer_attributes: string[] | null;
  otlp_default_customer_id: string | null;
  created_at: Date;
  updated_at: Date;
}

const COLUMNS = `id, name, active, requests_per_second, events_per_second, otlp_customer_attributes,
  otlp_default_customer_id, created_at, updated_at`;

/** What is left out stays as it is; null takes the default of the service. */
export interface SettingChanges {
  requestsPerSecond?: number | null | undefined;
  eventsPerSecond?: number | null | undefined;
  otlpCustomerAttributes?: string[] | null | undefined;
  otlpDefaultCustomerId?: string | null | undefined;
}
const TENANTS: List = { name: 'tenants', key: ['text'] };

/** What the audit log says of a tenant. */
const STATE = `jsonb_build_object('name', name, 'active', active,
  'requestsPerSecond', requests_per_second, 'eventsPerSecond', events_per_second,
  'otlpCustomerAttributes', otlp_customer_attributes, 'otlpDefaultCustomerId', otlp_default_customer_id)`;

/** @throws {TidemarkError} `already_exists`. */
export async function createTenant(
  db: Queryable,
  tenant: { id: string; name: string } & SettingChanges,
  actor: Actor = COMMAND,
): Promise<Tenant> {
  try {
    const { rows } = await db.query<Row>(
      `with made as (
         insert into tenant (id, name, requests_per_second, events_per_second, otlp_customer_attributes,
           otlp_default_customer_id)
         values ($1, $2, $3, $4, $6, $7) returning ${COLUMNS}
       ), logged as (${writeEntries({
         from: 'made',
         action: 'tenant.created',
         tenantId: 'id',
         target: 'id',
         after: STATE,
         actor: '$5',
       })})
       select * from made`,
      [
        tenant.id,
        tenant.name,
        tenant.requestsPerSecond ?? null,
        tenant.eventsPerSecond ?? null,
        JSON.stringify(actor),
        tenant.otlpCustomerAttributes ?? null,
        tenant.otlpDefaultCustomerId ?? null,
      ],
    );
    return toTenant(rows[0]!);
  } catch (error) {
    if (errorCode(error) !== UNIQUE_VIOLATION) throw error;
    throw new TidemarkError('already_exists', 'there is a tenant with this id');
  }
}

/** Tenants by id. @throws {TidemarkError} `cursor_invalid`. */
export async function listTenants(
  db: Queryable,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<Tenant>> {
  const after = query.cursor === undefined ? [null] : decodeCursor(query.cursor, TENANTS);
  const { rows } = await db.query<Row>(
    `select ${COLUMNS} from tenant
     where $1::text is null or id collate "C" > $1
     order by id collate "C"
     limit $2`,
    [after[0], query.limit + 1],
  );
  return pageOf(rows.map(toTenant), query.limit, TENANTS, (tenant) => [tenant.id]);
}

/** @throws {TidemarkError} `not_found`. */
export async function updateTenant(
  db: Queryable,
  id: string,
  changes: { name?: string | undefined; active?: boolean | undefined } & SettingChanges,
  actor: Actor = COMMAND,
): Promise<Tenant> {
  const { rows } = await db.query<Row>(
    `with old as (
       select * from tenant where id = $1 for update
     ), changed as (
       update tenant t set name = coalesce($2, t.name), active = coalesce($3, t.active),
         requests_per_second = case when $4 then $5 else t.requests_per_second end,
         events_per_second = case when $6 then $7 else t.events_per_second end,
         otlp_customer_attributes = case when $9 then $10::text[] else t.otlp_customer_attributes end,
         otlp_default_customer_id = case when $11 then $12 else t.otlp_default_customer_id end,
         updated_at = now()
       from old where t.id = old.id returning t.*, to_jsonb(old) as old
     ), logged as (${writeEntries({
       from: 'changed',
       action: 'tenant.updated',
       tenantId: 'id',
       target: 'id',
       before: `jsonb_build_object('name', old -> 'name', 'active', old -> 'active',
         'requestsPerSecond', old -> 'requests_per_second', 'eventsPerSecond', old -> 'events_per_second',
         'otlpCustomerAttributes', old -> 'otlp_customer_attributes',
         'otlpDefaultCustomerId', old -> 'otlp_default_customer_id')`,
       after: STATE,
       actor: '$8',
     })})
     select ${COLUMNS} from changed`,
    [
      id,
      changes.name ?? null,
      changes.active ?? null,
      changes.requestsPerSecond !== undefined,
      changes.requestsPerSecond ?? null,
      changes.eventsPerSecond !== undefined,
      changes.eventsPerSecond ?? null,
      JSON.stringify(actor),
      changes.otlpCustomerAttributes !== undefined,
      changes.otlpCustomerAttributes ?? null,
      changes.otlpDefaultCustomerId !== undefined,
      changes.otlpDefaultCustomerId ?? null,
    ],
  );
  if (!rows[0]) throw new TidemarkError('not_found', 'there is no such tenant');
  return toTenant(rows[0]);
}

function toTenant(row: Row): Tenant {
  return {
    id: row.id,
    name: row.name,
    active: row.active,
    requestsPerSecond: row.requests_per_second,
    eventsPerSecond: row.events_per_second,
    otlpCustomerAttributes: row.otlp_customer_attributes,
    otlpDefaultCustomerId: row.otlp_default_customer_id,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  };
}
