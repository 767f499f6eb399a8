import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadConfig } from '../../../src/ground/config/loadConfig.ts';
import { connect, connectionSettings, createPool } from '../../../src/ground/db/connections.ts';
import { prepareDatabase } from '../../../src/ground/db/prepareDatabase.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';

const ISOLATION = `select current_setting('transaction_isolation') as isolation`;

describeEngine('a database whose transactions have one snapshot, if nobody says otherwise', () => {
  const log = createLogger({ logLevel: 'silent' });
  const database = (pooler: string) =>
    loadConfig({ TIDEMARK_PROFILE: 'test', DATABASE_POOLER: pooler }).database;
  let own: TestDatabase;
  let admin: pg.Client;
  beforeAll(async () => {
    own = await createTestDatabase();
    const first = new pg.Client(own.url);
    await first.connect();
    await first.query(`do $$ begin
      execute format('alter database %I set default_transaction_isolation = %L', current_database(), 'repeatable read');
    end $$`);
    await first.end();
    admin = new pg.Client(own.url);
    await admin.connect();
    expect((await admin.query(ISOLATION)).rows).toEqual([{ isolation: 'repeatable read' }]);
  });
  afterAll(async () => {
    await admin?.end();
    await own?.drop();
  });

  it('is read statement by statement in every session of ours', async () => {
    const client = await connect(connectionSettings(own.url, database('none'), 'closer'), log);
    const pool = createPool(connectionSettings(own.url, database('none'), 'admin'), 1, log);
    try {
      for (const session of [client, pool]) {
        expect((await session.query(ISOLATION)).rows).toEqual([{ isolation: 'read committed' }]);
      }
    } finally {
      await Promise.all([client.end(), pool.end()]);
    }
  });

  it('is refused behind a pooler, where there are no sessions', async () => {
    expect(await prepareDatabase(own.url, database('none'), log)).toEqual([]);
    await expect(prepareDatabase(own.url, database('transaction'), log)).rejects.toThrow(
      'default_transaction_isolation is "repeatable read" behind the pooler',
    );
  });
});
