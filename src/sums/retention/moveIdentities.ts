import { setTimeout as sleep } from 'node:timers/promises';
import type { Queryable } from '../../ground/db/queryable.ts';
import { gaveWay } from '../../ground/db/sqlstate.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';

/** Pages (8 kB) of event_identity whose ids are moved in one transaction: some 17,000 ids. */
const PAGES_PER_STEP = 128;
/** Rest after each step, as a part of what it took. */
const REST = 0.5;

/**
 * Moves the ids that a version before event_key has counted there, for a while, and rests in between
 * (migrations/functions/move_identities.sql says how). Nothing to do once they are moved.
 *
 * @param forMs after which no further step begins.
 * @returns whether there is more to do.
 */
export async function moveIdentities(
  db: Queryable,
  forMs: number,
  log: Logger,
  signal: AbortSignal,
): Promise<boolean> {
  const until = performance.now() + forMs;
  while (!signal.aborted) {
    const started = performance.now();
    const { moved, more } = await step(db);
    if (moved > 0 && !more) log.info('the ids counted by earlier versions are all in event_key');
    if (!more || performance.now() > until) return more;
    await sleep((performance.now() - started) * REST, undefined, { signal }).catch(() => undefined);
  }
  return true;
}

async function step(db: Queryable): Promise<{ moved: number; more: boolean }> {
  try {
    const { rows } = await db.query<{ moved: string; more: boolean }>(
      'select moved, more from move_identities($1)',
      [PAGES_PER_STEP],
    );
    return { moved: Number(rows[0]!.moved), more: rows[0]!.more };
  } catch (error) {
    if (!gaveWay(error)) throw error;
    return { moved: 0, more: true }; // to whoever claims one of the ids
  }
}
