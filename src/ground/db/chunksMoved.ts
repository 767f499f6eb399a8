import { setTimeout as sleep } from 'node:timers/promises';
import { TidemarkError } from '../../model/errors.ts';
import { CHUNKS_MOVED, errorCode } from './sqlstate.ts';

/**
 * How often something is read again. Packing a large chunk takes ten times as long as a read, and one is packed at a time;
 * small ones, one after the other, take less, so each repeat waits longer: two seconds in all.
 */
const MOST_REPEATS = 20;
const LONGER_MS = 10;

/** What was read may lack rows: chunks were rearranged between its snapshot and its plans. */
export class ChunksMoved extends Error {
  readonly code = CHUNKS_MOVED;

  constructor() {
    super('chunks have been rearranged since the snapshot');
    this.name = 'ChunksMoved';
  }
}

/**
 * Repeats what was begun before chunks were rearranged (docs/adr/0025): the next time is after it.
 *
 * @throws {TidemarkError} `database_unavailable` when that happens time and again.
 */
export async function repeatMoved<Result>(read: () => Promise<Result>): Promise<Result> {
  for (let repeats = 0; ; repeats++) {
    try {
      return await read();
    } catch (error) {
      if (errorCode(error) !== CHUNKS_MOVED) throw error;
      if (repeats === MOST_REPEATS) throw unsettled(error);
      await sleep(repeats * LONGER_MS);
    }
  }
}

function unsettled(cause: unknown): TidemarkError {
  return new TidemarkError(
    'database_unavailable',
    'what is stored is being rearranged again and again; try again later',
    { retryAfterSeconds: 1, cause },
  );
}
