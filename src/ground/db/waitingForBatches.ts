import { TidemarkError } from '../../model/errors.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from './sqlstate.ts';

/**
 * A change of what batches go by: who listens, what meters keep. The database waits for the batches under way, but not for
 * long: new ones wait behind.
 *
 * @throws {TidemarkError} `overloaded` when a batch takes too long; nothing was changed.
 */
export async function waitingForBatches<Result>(change: () => Promise<Result>): Promise<Result> {
  try {
    return await change();
  } catch (error) {
    if (errorCode(error) !== LOCK_NOT_AVAILABLE) throw error;
    throw new TidemarkError('overloaded', 'events are being written that take long; nothing was changed', {
      retryAfterSeconds: 1,
      cause: error,
    });
  }
}
