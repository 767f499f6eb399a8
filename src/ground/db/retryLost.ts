import type { Queryable } from './queryable.ts';
import { connectionLost } from './sqlstate.ts';

/** Repeats a read, once, whose connection went away under it: the next one may be to a server that is back. */
export async function retryLost<Result>(read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    if (!connectionLost(error)) throw error;
    return read();
  }
}

/** `db` for statements that may be repeated: each is, once, when its connection goes away. */
export function retryingLost(db: Queryable): Queryable {
  const query = (text: string, values?: unknown[]) => retryLost(() => db.query(text, values));
  return { query: query as Queryable['query'] };
}
