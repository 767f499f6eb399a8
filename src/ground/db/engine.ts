import { StartupError } from '../../model/errors.ts';
import type { Queryable } from './queryable.ts';

/** Which rollup engine the schema was made for. Chosen by the migrations, once (migrations/support/engine.js). */
export type Engine = 'timescale' | 'postgres';

/** @throws {StartupError} where a timescale schema meets a server without the Community licence. */
export async function readEngine(db: Queryable): Promise<Engine> {
  const { rows } = await db.query<{ engine: Engine; license: string | null }>(
    `select engine, current_setting('timescaledb.license', true) as license from installation`,
  );
  const { engine, license } = rows[0]!;
  if (engine === 'timescale' && license !== 'timescale') {
    throw new StartupError(
      `the schema was made for TimescaleDB Community, but the server says timescaledb.license = ${license ?? 'none'}`,
    );
  }
  return engine;
}
