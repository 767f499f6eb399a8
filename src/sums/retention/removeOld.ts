import type pg from 'pg';
import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { Retained } from './retained.ts';

/** Rows deleted in one statement. */
const ROWS_PER_STEP = 5_000;
/** Chunks dropped in one transaction. */
const CHUNKS_PER_STEP = 4;

export interface Removed {
  /** Rows, or 0 where chunks went as a whole. */
  rows: number;
  chunks: number;
  /** Whether there is more to do. */
  more: boolean;
}

const NOTHING: Removed = { rows: 0, chunks: 0, more: false };

/** Tables that follow a relation: rows of a tenant that no answer needs once that is gone. */
const FOLLOWERS: Partial<Record<Retained, { table: string; only: string; time?: string }[]>> = {
  event: [
    { table: 'activity_calls', only: `and level = '30s'` },
    { table: 'uncounted_event', only: '', time: 'ts' },
    { table: 'staged_event', only: '', time: 'ts' },
  ],
  usage_30s: ['late_window', 'late_window_sum', 'window_revision', 'correction_event'].map((table) => ({
    table,
    only: '',
  })),
  usage_1h: ['activity_calls', 'activity_customer', 'activity_users'].map((table) => ({
    table,
    only: `and level = '1h'`,
  })),
  usage_1d: ['activity_calls', 'activity_customer', 'activity_users'].map((table) => ({
    table,
    only: `and level = '1d'`,
  })),
};

/** On the postgres engine: the tables beneath relations that are views (docs/adr/0038). */
const FOLDED: Partial<Record<Retained, string>> = {
  usage_1h: 'usage_1h_folded',
  usage_1d: 'usage_1d_folded',
};

/** The relations of which something is to be removed, since nobody reads it any more. */
export async function outdated(db: Queryable, removeAfterMs: number): Promise<Retained[]> {
  const { rows } = await db.query<{ relation: Retained }>(
    `select relation from retention
     where kept_from > removed_to and moved_at <= now() - $1 * interval '1 millisecond'
       and relation not in ('event_key', 'event_identity', 'idempotent_increment')
     order by relation`,
    [removeAfterMs],
  );
  return rows.map((row) => row.relation);
}

/**
 * Removes a part of what is older than the relation is kept. Chunks go as a whole on the timescale engine; all else row
 * by row, a few at a time. One instance at a time, by a lock of the transaction; the others have nothing to do.
 *
 * @throws 55P03 when somebody reads a chunk for too long.
 */
export async function removeOld(client: pg.Client, engine: Engine, relation: Retained): Promise<Removed> {
  await client.query('begin');
  try {
    const { rows } = await client.query<{ free: boolean }>(
      `select pg_try_advisory_xact_lock(hashtext('tidemark.retention.' || $1)) as free`,
      [relation],
    );
    const removed = rows[0]!.free ? await removeStep(client, engine, relation) : NOTHING;
    await client.query('commit');
    return removed;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

async function removeStep(db: Queryable, engine: Engine, relation: Retained): Promise<Removed> {
  if (engine === 'timescale') {
    const { rows } = await db.query<{ chunks: number }>('select drop_old_chunks($1, $2) as chunks', [
      relation,
      CHUNKS_PER_STEP,
    ]);
    const { chunks } = rows[0]!;
    if (chunks > 0) return { rows: 0, chunks, more: true };
  } else if (relation !== 'reference_1d') {
    const table = FOLDED[relation] ?? relation;
    const old = oldRows(relation, table);
    const deleted = await deleteRows(db, relation, table, old);
    if (deleted > 0) return { rows: deleted, chunks: 0, more: true };
  }
  for (const { table, only, time } of FOLLOWERS[relation] ?? []) {
    const deleted = await deleteRows(db, relation, table, ofTenants(table, only, time));
    if (deleted > 0) return { rows: deleted, chunks: 0, more: true };
  }
  // On the postgres engine reference_1d has no index by time: prunePages goes through it, and says how far it is.
  if (engine === 'timescale' || relation !== 'reference_1d') {
    await db.query('update retention set removed_to = kept_from, updated_at = now() where relation = $1', [
      relation,
    ]);
  }
  return NOTHING;
}

function oldRows(relation: Retained, table: string): string {
  if (relation === 'event') return OLD_EVENTS;
  return relation.startsWith('meter_') ? ofSeries(table) : ofTenants(table, '');
}

const OLD_EVENTS = 'select ctid from event where ts < r.kept_from order by ts limit $2';

/** Old rows of each tenant in turn, by the indexes that begin with it. */
function ofTenants(table: string, only: string, time = 'bucket'): string {
  return `select o.ctid from tenant t cross join lateral (
            select ctid from ${table} where tenant_id = t.id and ${time} < r.kept_from ${only} limit $2) as o
          limit $2`;
}

/** The same of each series of meters. */
function ofSeries(table: string): string {
  return `select o.ctid from meter_series s cross join lateral (
            select ctid from ${table} where series_id = s.id and bucket < r.kept_from limit $2) as o
          limit $2`;
}

async function deleteRows(db: Queryable, relation: Retained, table: string, old: string): Promise<number> {
  const { rowCount } = await db.query(
    `delete from ${table} where ctid = any (array(
       select old.ctid from retention r cross join lateral (${old}) as old where r.relation = $1))`,
    [relation, ROWS_PER_STEP],
  );
  return rowCount ?? 0;
}
