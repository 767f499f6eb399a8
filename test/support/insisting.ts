import { DEADLOCK_DETECTED, errorCode, SERIALIZATION_FAILURE } from '../../src/ground/db/sqlstate.ts';

const MOST_TRIES = 20;

/**
 * Does by hand what upkeep may be doing to the same chunks: again where it gave way to that, at most 20 times.
 *
 * @param work leaves nothing of what it began when it fails.
 */
export async function insisting<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      const gaveWay = [SERIALIZATION_FAILURE, DEADLOCK_DETECTED].includes(errorCode(error) ?? '');
      if (!gaveWay || tries === MOST_TRIES) throw error;
    }
  }
}
