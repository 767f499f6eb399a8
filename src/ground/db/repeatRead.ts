import type { Queryable } from './queryable.ts';
import { connectionLost, DEADLOCK_DETECTED, errorCode, SERIALIZATION_FAILURE } from './sqlstate.ts';

/**
 * Repeats a read, once, that failed through no fault of its own: its connection went away, and the next one may be to a
 * server that is back; or it gave way to what drops or rearranges the chunks that it has locked in another order.
 */
export async function repeatRead<Result>(read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (!isFleeting(error)) throw error;
    return read();
  }
}

/** `db` for statements that may be repeated: each is, once, when it fails through no fault of its own. */
export function repeatingReads(db: Queryable): Queryable {
  const query = (text: string, values?: unknown[]) => repeatRead(() => db.query(text, values));
  return { query: query as Queryable['query'] };
}

function isFleeting(error: unknown): boolean {
  const code = errorCode(error);
  return code === DEADLOCK_DETECTED || code === SERIALIZATION_FAILURE || connectionLost(error);
}
