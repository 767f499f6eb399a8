import type pg from 'pg';
import { repeatMoved } from '../../ground/db/chunksMoved.ts';
import { CHUNKS_MOVED, errorCode, SERIALIZATION_FAILURE } from '../../ground/db/sqlstate.ts';

/**
 * Calls a function of the database, all of whose statements then have one snapshot; and again where chunks were
 * rearranged between that and their plans (docs/adr/0025). One round trip, one transaction: statements of one message
 * are.
 *
 * @param call a statement that returns one row; told how often it has been tried, so that it may do less the next time.
 * @returns null when another instance did the same meanwhile: this call has done nothing.
 * @throws TM006 when chunks are rearranged time and again: it has given way to that.
 */
export async function inOneSnapshot<Row>(
  client: pg.Client,
  call: (repeats: number) => string,
): Promise<Row | null> {
  let repeats = 0;
  try {
    // pg has a result for each statement of a message
    const results = await repeatMoved(() =>
      client.query(`set transaction isolation level repeatable read; ${call(repeats++)}`),
    );
    return (results as unknown as pg.QueryResult[])[1]!.rows[0] as Row;
  } catch (error) {
    if (errorCode(error) === SERIALIZATION_FAILURE) return null;
    const cause = error instanceof Error ? error.cause : undefined;
    throw errorCode(cause) === CHUNKS_MOVED ? cause : error;
  }
}
