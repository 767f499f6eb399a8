import { errorCode, LOCK_NOT_AVAILABLE } from '../../ground/db/sqlstate.ts';
import { TidemarkError } from '../../model/errors.ts';

/**
 * A change of who listens to what. The database waits for the batches under way, but not for long: new ones wait behind.
 *
 * @throws {TidemarkError} `overloaded` when a batch takes too long; nothing was changed.
 */
export async function changingInterest<Result>(change: () => Promise<Result>): Promise<Result> {
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
