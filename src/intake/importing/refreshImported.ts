import { setTimeout as sleep } from 'node:timers/promises';
import type { Queryable } from '../../ground/db/queryable.ts';
import { gaveWay, remedyFor } from '../../ground/db/sqlstate.ts';
import type { Refresher } from '../../sums/windows/refresher.ts';

/** How long to leave it to the instance that is refreshing, or to a server that is away, in ms. */
const PAUSE_MS = 200;

/** How often a lost connection is met with a new one. */
const RECONNECTS = 5;

/**
 * Runs the refresher until no rollup lacks a late event of the tenant in the range, so that an import ends refreshed.
 * Reads are right before that too; they cost more. Where a service is at it already, the work is its, and is waited for.
 *
 * @param refresher one that has not been started; it is stopped in the end, and with the signal.
 * @param range in µs since the epoch.
 * @returns whether it came to its end before the signal.
 */
export async function refreshImported(
  db: Queryable,
  refresher: Refresher,
  tenantId: string,
  range: { from: number; to: number },
  signal: AbortSignal,
): Promise<boolean> {
  let reconnects = 0;
  const stop = () => void refresher.stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    while (!signal.aborted) {
      try {
        const pauseMs = await refresher.step();
        if (!(await isStale(db, tenantId, range))) return true;
        if (pauseMs === 0) continue;
      } catch (error) {
        if (signal.aborted) return false;
        if (!gaveWay(error) && (remedyFor(error) !== 'reconnect' || reconnects++ === RECONNECTS)) throw error;
      }
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
    return false;
  } finally {
    signal.removeEventListener('abort', stop);
    await refresher.stop();
  }
}

/** References of a day that has not been refreshed yet wait for its end, and are no business of ours. */
async function isStale(
  db: Queryable,
  tenantId: string,
  range: { from: number; to: number },
): Promise<boolean> {
  const { rows } = await db.query<{ stale: boolean }>(
    // By three indexes of what lacks something: hardly a window does in the end.
    `select exists (select from late_window where stale and tenant_id = $1 and bucket between first and $3
                      and bucket < s.closed_until)
         or exists (select from late_window
                    where activity_revision < revision and tenant_id = $1 and bucket between first and $3
                      and bucket < s.closed_until)
         or exists (select from late_window
                    where stale_references and tenant_id = $1 and bucket between first and $3
                      and bucket < s.refreshing_1d) as stale
     from window_state s, date_bin('30 seconds', $2::timestamptz, 'epoch'::timestamptz) as first`,
    [tenantId, instant(range.from), instant(range.to)],
  );
  return rows[0]!.stale;
}

function instant(micros: number): string {
  return new Date(micros / 1_000).toISOString();
}
