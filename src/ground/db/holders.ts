import type { Queryable } from './queryable.ts';

/**
 * What somebody can hold up by not ending a transaction: `outbox`, messages that have been written; `fan_out`, the making
 * of deliveries; `batches`, the closing of windows.
 */
export type Held = 'outbox' | 'fan_out' | 'batches';

/** A transaction that others wait for. What the login may not see of it is null. */
export interface Holder {
  /** Null: it is prepared, and belongs to no process. */
  pid: number | null;
  /** The name of a prepared transaction. */
  prepared: string | null;
  application: string | null;
  login: string | null;
  since: Date | null;
  state: string | null;
}

/** Who holds something up, longest first (migrations/functions/holders.sql says how they are known). */
export async function holdersOf(db: Queryable, held: Held): Promise<Holder[]> {
  const { rows } = await db.query<Holder>(
    'select pid, prepared, application, login, since, state from holders($1)',
    [held],
  );
  return rows;
}

/** `process 4711 ("psql" of app, idle in transaction since 2026-03-01T12:00:00.000Z)`. */
export function describeHolder({ pid, prepared, application, login, since, state }: Holder): string {
  const began = since ? ` since ${since.toISOString()}` : '';
  if (prepared !== null) return `the prepared transaction '${prepared}' of ${login}${began}`;
  const who = [application ? `"${application}"` : '', login ? `of ${login}` : ''].filter(Boolean).join(' ');
  return `process ${pid} (${who}${state || began ? `, ${state ?? 'at work'}${began}` : ''})`;
}

/** How it is ended. A name of a prepared transaction may hold quotes. */
export function endHolder({ pid, prepared }: Holder): string {
  return prepared === null
    ? `select pg_terminate_backend(${pid})`
    : `rollback prepared '${prepared.replaceAll("'", "''")}'`;
}
