import type { Actor } from '../../access/tenancy/auditLog.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant } from '../../ground/db/sqlParameters.ts';
import { TidemarkError } from '../../model/errors.ts';
import { formatTimestamp } from '../../model/timestamp.ts';

/** Events that a backfill may have, and that closing one may take out: all of it is one transaction. */
export const MAX_BACKFILL_EVENTS = 500_000;
/** Backfills of a tenant that are staged at once. */
export const MAX_STAGED_BACKFILLS = 100;
/** Customers that one may name. */
export const MAX_BACKFILL_CUSTOMERS = 1_000;

/** What may be in a backfill, and what it takes the place of. */
export interface BackfillScope {
  /** [from, to) in µs since the epoch. */
  fromMicros: number;
  toMicros: number;
  /** Null: all. */
  customers: string[] | null;
}

export type BackfillState = 'staged' | 'closed' | 'reverted' | 'dropped';

/** When a backfill was closed or reverted, and by whom. */
export interface BackfillMove {
  correctionId: string;
  at: string;
  actor: Pick<Actor, 'kind' | 'keyId'>;
  reason: string;
  /** Windows of a customer that it has changed. */
  windows: number;
}

/** A backfill as it is shown. */
export interface Backfill {
  id: string;
  state: BackfillState;
  from: string;
  to: string;
  customers: string[] | null;
  replace: boolean;
  reason: string;
  actor: Pick<Actor, 'kind' | 'keyId'>;
  createdAt: string;
  /** Posted to it, each once. */
  events: number;
  /** Null: it has not been closed. */
  closed: (BackfillMove & { events: number; replaced: number; duplicates: number }) | null;
  /** Null: it has not been reverted. */
  reverted: BackfillMove | null;
  droppedAt: string | null;
}

export interface BackfillRow {
  id: string;
  state: BackfillState;
  from_micros: string;
  to_micros: string;
  customers: string[] | null;
  replaces: boolean;
  reason: string;
  actor_kind: Actor['kind'];
  actor_key_id: string | null;
  created: string;
  dropped: string | null;
  events: number;
  counted: number | null;
  replaced: number | null;
  closed: MoveRow | null;
  reverted: MoveRow | null;
}

type MoveRow = BackfillMove;

const micros = (column: string) => `(extract(epoch from ${column}) * 1000000)::bigint`;
const moveOf = (column: string, schema: string) => `(
  select jsonb_build_object('correctionId', c.id, 'at', to_jsonb((${micros('c.at')})::text), 'windows', c.windows,
    'reason', c.reason, 'actor', jsonb_build_object('kind', c.actor_kind, 'keyId', c.actor_key_id))
  from ${schema}correction c where c.id = b.${column})`;

/** What makes a `BackfillRow` of a row `b`. @param schema '' or 'tenant_data.': of the corrections that are read. */
export const backfillColumns = (schema: '' | 'tenant_data.') =>
  `b.id, b.state, ${micros('b.from_at')} as from_micros, ${micros('b.to_at')} as to_micros, b.customers, b.replaces, b.reason,
   b.actor_kind, b.actor_key_id, (${micros('b.created_at')})::text as created, (${micros('b.dropped_at')})::text as dropped,
   b.events, b.counted, b.replaced, ${moveOf('closed_by', schema)} as closed, ${moveOf('reverted_by', schema)} as reverted`;

const timeOf = (text: string) => formatTimestamp(Number(text));

export function toBackfill(row: BackfillRow): Backfill {
  const moved = (move: MoveRow) => ({ ...move, at: timeOf(move.at) });
  return {
    id: row.id,
    state: row.state,
    from: timeOf(row.from_micros),
    to: timeOf(row.to_micros),
    customers: row.customers,
    replace: row.replaces,
    reason: row.reason,
    actor: { kind: row.actor_kind, keyId: row.actor_key_id },
    createdAt: timeOf(row.created),
    events: row.events,
    closed:
      row.closed === null
        ? null
        : {
            ...moved(row.closed),
            events: row.counted!,
            replaced: row.replaced!,
            duplicates: row.events - row.counted!,
          },
    reverted: row.reverted === null ? null : moved(row.reverted),
    droppedAt: row.dropped === null ? null : timeOf(row.dropped),
  };
}

export function scopeOf(row: Pick<BackfillRow, 'from_micros' | 'to_micros' | 'customers'>): BackfillScope {
  return {
    fromMicros: Number(row.from_micros),
    toMicros: Number(row.to_micros),
    customers: row.customers,
  };
}

/** What of it is still kept: what is about to be removed stays as it is. */
export async function keptScope(
  db: Queryable,
  row: Pick<BackfillRow, 'from_micros' | 'to_micros' | 'customers'>,
  schema: '' | 'tenant_data.',
): Promise<BackfillScope> {
  const scope = scopeOf(row);
  const { rows } = await db.query<{ kept: string | null }>(
    `select (extract(epoch from nullif(kept_from, '-infinity')) * 1000000)::bigint as kept
     from ${schema}retention where relation = 'event'`,
  );
  const kept = rows[0]!.kept;
  return kept === null ? scope : { ...scope, fromMicros: Math.max(scope.fromMicros, Number(kept)) };
}

/**
 * The condition that a row is one of those that a backfill is about. The times are written out, so that other chunks are not
 * looked at.
 *
 * @param tenant parameter of the tenant. @param customers parameter of the customers, which is null for all.
 */
export function inScope(
  alias: string,
  { fromMicros, toMicros, customers: named }: BackfillScope,
  tenant: string,
  customers: string,
): string {
  return `${alias}.tenant_id = ${tenant} and ${alias}.ts >= ${instant(fromMicros / 1_000)}
    and ${alias}.ts < ${instant(toMicros / 1_000)}
    and ${named === null ? `${customers}::text[] is null` : `${alias}.customer_id = any (${customers}::text[])`}`;
}

/** @throws {TidemarkError} `not_found`. */
export async function readBackfill(
  db: Queryable,
  tenantId: string,
  id: string,
  schema: '' | 'tenant_data.',
): Promise<BackfillRow> {
  const { rows } = await db.query<BackfillRow>(
    `select ${backfillColumns(schema)} from ${schema}backfill b where b.id = $1 and b.tenant_id = $2`,
    [id, tenantId],
  );
  if (!rows[0]) throw new TidemarkError('not_found', 'there is no such backfill');
  return rows[0];
}

/** @throws {TidemarkError} `not_found`; `backfill_not_staged` or `backfill_not_closed` unless it is. */
export function requireState(row: Pick<BackfillRow, 'state'> | undefined, wanted: 'staged' | 'closed'): void {
  if (!row) throw new TidemarkError('not_found', 'there is no such backfill');
  if (row.state === wanted) return;
  throw new TidemarkError(
    wanted === 'staged' ? 'backfill_not_staged' : 'backfill_not_closed',
    `the backfill is ${row.state}`,
  );
}
