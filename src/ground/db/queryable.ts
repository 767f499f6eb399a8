import type pg from 'pg';

/** What the reading queries run on: a pool, or in tests a single client. */
export type Queryable = Pick<pg.Pool, 'query'>;

/** A pool for single statements. */
export interface QueryPool extends Queryable {
  end(): Promise<void>;
}
