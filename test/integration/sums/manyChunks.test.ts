import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import {
  beginHistory,
  chunksLocked,
  ROLLUPS,
  refreshLocks,
  repeatedWork,
  storeHistory,
} from '../../support/longHistory.ts';

/** Days, hence chunks, of the short history, which holds a month, and of the long one. */
const FEW = 40;
const MANY = 400;

/**
 * What is done for each batch, window and message must not plan over the whole history: a plan takes longer with every
 * chunk. What a plan has looked at is locked until the transaction ends, so the relations that are locked are counted,
 * with a short history and with a long one, all of it in columns. How long it takes, `npm run bench:chunks` says.
 */
describe.skipIf(inject('engine') !== 'timescale' || inject('timescaleUrl') === null)(
  `with ${MANY} packed chunks`,
  () => {
    let database: TestDatabase;
    let client: pg.Client;
    let holder: pg.Client;
    const shortRefresh = new Map<string, string[]>();
    const short = new Map<string, number>();

    beforeAll(async () => {
      database = await createTestDatabase();
      client = new pg.Client(database.url);
      await client.connect();
      holder = new pg.Client(database.url);
      await holder.connect();
      await beginHistory(client);
      await storeHistory(client, 0, FEW);
      for (const [name, statements] of repeatedWork(FEW)) {
        short.set(name, (await chunksLocked(client, statements)).length);
      }
      for (const rollup of ROLLUPS) shortRefresh.set(rollup, await refreshLocks(client, holder, rollup, 1));
      await storeHistory(client, FEW, MANY);
    }, 600_000);
    afterAll(async () => {
      await holder?.end();
      await client?.end();
      await database?.drop();
    });

    it.each(repeatedWork(MANY))(`%s looks at as many as with ${FEW}`, async (name, statements) => {
      const now = await chunksLocked(client, statements);
      expect(now.length, now.join(' ')).toBeLessThanOrEqual(Math.max(short.get(name)!, 4) * 1.3);
    });

    /** From 2.29 on a DELETE opens what it is about. Before, all of a materialization, whatever we do (docs/adr/0026). */
    it.for(ROLLUPS)(
      `refreshing the last bucket of %s looks at as many as with ${FEW}`,
      async (rollup, { skip }) => {
        const { rows } = await client.query(
          `select string_to_array(split_part(extversion, '-', 1), '.')::int[] < '{2,29}' as old
         from pg_extension where extname = 'timescaledb'`,
        );
        skip(rows[0].old, 'DELETE opens every chunk before TimescaleDB 2.29');
        const now = await refreshLocks(client, holder, rollup, 1);
        expect(now.length, now.join(' ')).toBeLessThanOrEqual(shortRefresh.get(rollup)!.length * 1.3);
      },
    );

    it(`refreshing the last window looks at as many others as with ${FEW}, of any version`, async () => {
      const { rows } = await client.query(
        `select regexp_replace(materialization_hypertable_name, '\\D', '', 'g') as id
         from timescaledb_information.continuous_aggregates where view_name = 'usage_30s'`,
      );
      const others = (names: string[]) => names.filter((name) => !name.includes(`._hyper_${rows[0].id}_`));
      const now = others(await refreshLocks(client, holder, 'usage_30s', 1));
      expect(now.length, now.join(' ')).toBeLessThanOrEqual(
        others(shortRefresh.get('usage_30s')!).length * 1.3,
      );
    });
  },
);
