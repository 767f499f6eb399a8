import { setTimeout as sleep } from 'node:timers/promises';
import type { Queryable } from '../db/connections.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from '../db/sqlstate.ts';
import type { Closer } from '../windows/closer.ts';

/** How long to leave it to another instance that is refreshing, in ms. */
const OTHERS_MS = 200;

/**
 * Runs the closer until no rollup lacks a late event of the tenant in the range, so that an import ends refreshed.
 * Reads are right before that too; they cost more.
 *
 * @param range in µs since the epoch.
 * @returns whether it came to its end before the signal.
 */
export async function refreshImported(
  db: Queryable,
  closer: Closer,
  tenantId: string,
  range: { from: number; to: number },
  signal: AbortSignal,
): Promise<boolean> {
  while (!signal.aborted) {
    try {
      await closer.step();
      if (!(await isStale(db, tenantId, range))) return true;
    } catch (error) {
      if (errorCode(error) !== LOCK_NOT_AVAILABLE) throw error;
      await sleep(OTHERS_MS);
    }
  }
  return false;
}

/** References of a day that has not been refreshed yet wait for its end, and are no business of ours. */
async function isStale(
  db: Queryable,
  tenantId: string,
  range: { from: number; to: number },
): Promise<boolean> {
  const { rows } = await db.query<{ stale: boolean }>(
    `select exists (
       select from late_window l, window_state s
       where l.tenant_id = $1
         and l.bucket >= date_bin('30 seconds', $2::timestamptz, 'epoch'::timestamptz) and l.bucket <= $3
         and (l.stale > 0 or (l.stale_references and l.bucket < s.refreshing_1d))
     ) as stale`,
    [tenantId, instant(range.from), instant(range.to)],
  );
  return rows[0]!.stale;
}

function instant(micros: number): string {
  return new Date(micros / 1_000).toISOString();
}
