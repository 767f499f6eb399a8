import pg from 'pg';
import { FillPace } from '../../src/sums/meters/keeping/fillPace.ts';
import { fillSeries } from '../../src/sums/meters/keeping/fillSeries.ts';
import { foldMeters } from '../../src/sums/meters/keeping/foldMeters.ts';
import { closeUpTo } from './closing.ts';
import type { TestDatabase } from './database.ts';

const WINDOW_MS = 30_000;

/** Keeps meters when the test says so, beside services whose windows are closed by hand. */
export class UpkeepByHand {
  private readonly engine: TestDatabase['engine'];
  private readonly sql: pg.Pool;
  private readonly client: pg.Client;

  private constructor(engine: TestDatabase['engine'], sql: pg.Pool, client: pg.Client) {
    this.engine = engine;
    this.sql = sql;
    this.client = client;
  }

  static async begin({ url, engine }: TestDatabase, sql: pg.Pool): Promise<UpkeepByHand> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return new UpkeepByHand(engine, sql, client);
  }

  /** One step of at most so much time, in ms. @param client whose transaction ends with it, if it is in one. */
  async fill(spanMs: number, client: pg.ClientBase = this.client): Promise<void> {
    const pace = new FillPace();
    pace.mostMs = spanMs;
    pace.blindMs = Math.min(pace.blindMs, spanMs);
    await fillSeries(client, this.engine, pace, new AbortController().signal);
  }

  /** Also where the services' own upkeep is at it. */
  async fillAll(): Promise<void> {
    for (;;) {
      await this.fill(Number.POSITIVE_INFINITY);
      const { rows } = await this.sql.query(
        'select from meter_series where retired_at is null and filled_from > fill_floor limit 1',
      );
      if (rows.length === 0) return;
    }
  }

  /** At most so many parts. */
  async fold(parts?: number): Promise<void> {
    await foldMeters(this.client, this.engine, parts);
  }

  /** All windows that have ended. */
  async closeAndFold(): Promise<void> {
    await closeUpTo(this.sql, Math.floor(Date.now() / WINDOW_MS) * WINDOW_MS);
    for (let folded = null; folded === null; ) folded = await foldMeters(this.client, this.engine);
  }

  end(): Promise<void> {
    return this.client.end();
  }
}
