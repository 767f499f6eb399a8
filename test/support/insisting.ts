import { setTimeout as sleep } from 'node:timers/promises';
import { gaveWay } from '../../src/ground/db/sqlstate.ts';

const MOST_TRIES = 50;
const AGAIN_MS = 50;

/**
 * Does by hand what upkeep may be doing to the same chunks or rollups: again where it gave way to that, at most 50 times.
 *
 * @param work leaves nothing of what it began when it fails.
 */
export async function insisting<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (!gaveWay(error) || tries === MOST_TRIES) throw error;
      await sleep(AGAIN_MS);
    }
  }
}
