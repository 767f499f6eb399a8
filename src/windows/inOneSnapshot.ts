import type pg from 'pg';
import { repeatMoved } from '../db/chunksMoved.ts';
import { errorCode, SERIALIZATION_FAILURE } from '../db/sqlstate.ts';

/**
 * Calls a function of the database, all of whose statements then have one snapshot; and again where chunks were
 * rearranged between that and their plans (docs/adr/0025). One round trip, one transaction: statements of one message
 * are.
 *
 * @param call a statement that returns one row.
 * @returns null when another instance did the same meanwhile: this call has done nothing.
 * @throws {TidemarkError} `database_unavailable` when chunks are rearranged time and again.
 */
export async function inOneSnapshot<Row>(client: pg.Client, call: string): Promise<Row | null> {
  try {
    // pg has a result for each statement of a message
    const results = await repeatMoved(() =>
      client.query(`set transaction isolation level repeatable read; ${call}`),
    );
    return (results as unknown as pg.QueryResult[])[1]!.rows[0] as Row;
  } catch (error) {
    if (errorCode(error) === SERIALIZATION_FAILURE) return null;
    throw error;
  }
}
