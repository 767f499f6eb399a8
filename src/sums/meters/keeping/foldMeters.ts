import type pg from 'pg';
import type { Engine } from '../../../ground/db/engine.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from '../../../ground/db/sqlstate.ts';

/** Parts folded in one transaction: about a second. What it holds up are other folds and fills, no batch. */
const PARTS_PER_STEP = 100_000;

/** A bucket in the columnstore can be unpacked, however many rows it has. Nothing on the postgres engine. */
export const unpacksAll = (engine: Engine) =>
  engine === 'timescale' ? `set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0;` : '';

/**
 * Moves parts of closed windows into the levels of their series (`fold_meters` in migrations/functions says how). One
 * round trip, one transaction: statements of one message are.
 *
 * @param parts at most.
 * @returns how many, and whether there is more to do; null while another folds or fills.
 */
export async function foldMeters(
  client: pg.ClientBase,
  engine: Engine,
  parts = PARTS_PER_STEP,
): Promise<{ folded: number; more: boolean } | null> {
  const row = await alone<{ folded: string; more: boolean }>(
    client,
    engine,
    `select folded, more from fold_meters(${Math.floor(parts)})`,
  );
  return row && { folded: Number(row.folded), more: row.more };
}

/**
 * Gives an hour or a day that is over the members of its sets (`settle_members`).
 *
 * @returns whether there is more to do; null while another folds or fills.
 */
export async function settleMembers(client: pg.ClientBase, engine: Engine): Promise<boolean | null> {
  const row = await alone<{ more: boolean }>(client, engine, 'select settle_members() as more');
  return row === null ? null : row.more;
}

async function alone<Row>(client: pg.ClientBase, engine: Engine, statement: string): Promise<Row | null> {
  try {
    // pg has a result for each statement of a message
    const results = await client.query(
      `set transaction isolation level read committed; ${unpacksAll(engine)} ${statement}`,
    );
    return (results as unknown as pg.QueryResult[]).at(-1)!.rows[0] as Row;
  } catch (error) {
    if (errorCode(error) === LOCK_NOT_AVAILABLE) return null;
    throw error;
  }
}
