import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant, SqlParameters } from '../../ground/db/sqlParameters.ts';
import { parseJson } from '../../model/json.ts';

/** Who changes something. */
export interface Actor {
  /** `command`: not over HTTP, but by a program of this installation (import, the demo tenant). */
  kind: 'key' | 'admin_key' | 'command';
  keyId: string | null;
  /** Null: a platform key, ADMIN_KEY or a command. */
  tenantId: string | null;
  requestId: string | null;
  clientAddress: string | null;
}

export const COMMAND: Actor = {
  kind: 'command',
  keyId: null,
  tenantId: null,
  requestId: null,
  clientAddress: null,
};

export interface AuditEntry {
  id: string;
  at: string;
  actor: Pick<Actor, 'kind' | 'keyId' | 'tenantId'>;
  /** Whom the change is about; null: the platform. */
  tenantId: string | null;
  action: string;
  target: string;
  changes: { before: Record<string, unknown> | null; after: Record<string, unknown> };
  requestId: string | null;
  clientAddress: string | null;
}

/** What an entry says, each as an SQL expression over the rows of `from`. */
export interface EntrySql {
  from: string;
  action: string;
  /** Left out: `tenant_id`. */
  tenantId?: string;
  /** Left out: `id`, a UUID. */
  target?: string;
  /** `jsonb`; left out: there was nothing before. */
  before?: string;
  /** `jsonb`. */
  after: string;
  /** The parameter that holds the actor as JSON. */
  actor: string;
}

/**
 * The statement that writes an entry for each row of `from`. It stands as a CTE in the statement that makes the change:
 * so neither can be without the other. An update that changes nothing writes none.
 */
export function writeEntries(entry: EntrySql): string {
  return `insert into audit_log
      (actor_kind, actor_key_id, actor_tenant_id, request_id, client_address, action, tenant_id, target, changes)
    select actor.kind, actor."keyId", actor."tenantId", actor."requestId", actor."clientAddress",
           '${entry.action}', ${entry.tenantId ?? 'tenant_id'}, ${entry.target ?? 'id::text'},
           jsonb_build_object('before', ${entry.before ?? 'null'}, 'after', ${entry.after})
    from ${entry.from}, jsonb_to_record(${entry.actor}::jsonb) as actor
      (kind text, "keyId" uuid, "tenantId" text, "requestId" text, "clientAddress" inet)
    where ${entry.before ?? 'null::jsonb'} is distinct from ${entry.after}`;
}

interface Row {
  id: string;
  at: Date;
  at_micros: string;
  actor_kind: Actor['kind'];
  actor_key_id: string | null;
  actor_tenant_id: string | null;
  tenant_id: string | null;
  action: string;
  target: string;
  /** As text: numbers keep their digits. */
  changes: string;
  request_id: string | null;
  client_address: string | null;
}

const ENTRIES: List = { name: 'audit-log', key: ['micros', 'uuid'] };

export interface AuditQuery {
  /** [from, to) in ms since the epoch. */
  from: number;
  to: number;
  /** Whom the changes are about; left out: anybody. */
  tenantId?: string | undefined;
  /** What was done: `key.revoked`; left out: anything. */
  action?: string | undefined;
  cursor?: string | undefined;
  limit: number;
}

/**
 * Entries, newest first. For `stringifyJson`: a price may have more digits than a double holds.
 *
 * @param log `tenant_data.audit_log` for a tenant, through its reads; `audit_log` for the platform.
 * @throws {TidemarkError} `cursor_invalid`.
 */
export async function listAuditLog(
  db: Queryable,
  log: 'audit_log' | 'tenant_data.audit_log',
  query: AuditQuery,
): Promise<Page<AuditEntry>> {
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor, ENTRIES);
  const parameters = new SqlParameters();
  const conditions = [`at >= ${instant(query.from)}`, `at < ${instant(query.to)}`];
  if (query.tenantId !== undefined) conditions.push(`tenant_id = ${parameters.add(query.tenantId)}`);
  if (query.action !== undefined) conditions.push(`action = ${parameters.add(query.action)}`);
  if (after) {
    const at = `(timestamptz 'epoch' + ${parameters.add(after[0])}::bigint * interval '1 microsecond')`;
    conditions.push(`at <= ${at}`, `(at, id) < (${at}, ${parameters.add(after[1])}::uuid)`);
  }
  const { rows } = await db.query<Row>(
    `select id, at, (extract(epoch from at) * 1000000)::bigint as at_micros, actor_kind, actor_key_id,
       actor_tenant_id, tenant_id, action, target, changes::text, request_id, host(client_address) as client_address
     from ${log}
     where ${conditions.join(' and ')}
     order by at desc, id desc
     limit ${query.limit + 1}`,
    parameters.values,
  );
  const page = pageOf(rows, query.limit, ENTRIES, (row) => [Number(row.at_micros), row.id]);
  return { data: page.data.map(toEntry), nextCursor: page.nextCursor };
}

function toEntry(row: Row): AuditEntry {
  return {
    id: row.id,
    at: row.at.toISOString(),
    actor: { kind: row.actor_kind, keyId: row.actor_key_id, tenantId: row.actor_tenant_id },
    tenantId: row.tenant_id,
    action: row.action,
    target: row.target,
    changes: parseJson(row.changes) as AuditEntry['changes'],
    requestId: row.request_id,
    clientAddress: row.client_address,
  };
}
