import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { beginHistory, chunksLocked, repeatedWork, storeHistory } from '../support/longHistory.ts';

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
    const short = new Map<string, number>();

    beforeAll(async () => {
      database = await createTestDatabase();
      client = new pg.Client(database.url);
      await client.connect();
      await beginHistory(client);
      await storeHistory(client, 0, FEW);
      for (const [name, statements] of repeatedWork(FEW)) {
        short.set(name, (await chunksLocked(client, statements)).length);
      }
      await storeHistory(client, FEW, MANY);
    }, 600_000);
    afterAll(async () => {
      await client?.end();
      await database?.drop();
    });

    it.each(repeatedWork(MANY))(`%s looks at as many as with ${FEW}`, async (name, statements) => {
      const now = await chunksLocked(client, statements);
      expect(now.length, now.join(' ')).toBeLessThanOrEqual(Math.max(short.get(name)!, 4) * 1.3);
    });
  },
);
