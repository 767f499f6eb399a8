import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/ground/config/loadConfig.ts';
import {
  connect,
  connectionSettings,
  connectRefresher,
  createPool,
  createTenantReads,
} from '../../../src/ground/db/connections.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { startServiceOn } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const SHOW = `select current_setting('jit') as jit`;

describeEngine('JIT', () => {
  let database: TestDatabase;
  let admin: pg.Client;
  beforeAll(async () => {
    database = await createTestDatabase();
    admin = new pg.Client(database.url);
    await admin.connect();
    await admin.query(
      `do $$ begin execute format('alter database %I set jit = on', current_database()); end $$`,
    );
  });
  afterAll(async () => {
    await admin.end();
    await database.drop();
  });

  /** A URL that asks for it, too. */
  const url = () => `${database.url}?options=-c%20jit%3Don`;

  describe.each(['none', 'transaction'] as const)('with the pooler %s', (pooler) => {
    const config = loadConfig({ TIDEMARK_PROFILE: 'test', DATABASE_POOLER: pooler });
    const log = createLogger({ logLevel: 'silent' });
    const settings = (use: 'closer' | 'admin' | 'read' | 'refresher') =>
      connectionSettings(url(), config.database, use);

    it('is on where nobody says otherwise', async () => {
      const client = new pg.Client(url());
      await client.connect();
      expect((await client.query(SHOW)).rows).toEqual([{ jit: 'on' }]);
      await client.end();
    });

    it.each([
      ['a connection of its own', connect],
      ['a refresher', connectRefresher],
    ] as const)('is off for %s, in a transaction and outside', async (_, open) => {
      const client = await open(settings('refresher'), log);
      const shown = async () => (await client.query(SHOW)).rows[0].jit;
      try {
        expect(await shown()).toBe('off');
        await expect(client.query('select 1 / 0')).rejects.toMatchObject({ code: '22012' });
        expect(await shown()).toBe('off');
        expect((await client.query('select $1::int + 1 as n', [1])).rows).toEqual([{ n: 2 }]);
        await client.query('begin');
        expect(await shown()).toBe('off');
        await client.query('create temp table t (n int) on commit drop');
        await client.query('insert into t values (1)'); // of the same transaction
        expect((await client.query('select n from t')).rows).toEqual([{ n: 1 }]);
        await client.query('commit');
        await client.query('begin transaction isolation level repeatable read, read only');
        expect(await shown()).toBe('off');
        await expect(client.query('select 1 / 0')).rejects.toMatchObject({ code: '22012' });
        await client.query('rollback');
        expect(await shown()).toBe('off');
      } finally {
        await client.end();
      }
    });

    it('is off for the pools', async () => {
      const pool = createPool(settings('admin'), 1, log);
      const reads = createTenantReads(settings('read'), database.engine, 1, log);
      try {
        expect((await pool.query(SHOW)).rows).toEqual([{ jit: 'off' }]);
        expect((await reads.as({ tenantId: 't' }).query(SHOW)).rows).toEqual([{ jit: 'off' }]);
      } finally {
        await Promise.all([pool.end(), reads.end()]);
      }
    });

    it('is off where batches are written', async () => {
      await admin.query(`
        drop table if exists jit_seen cascade;
        create table jit_seen (jit text);
        create or replace function see_jit() returns trigger language plpgsql security definer as
          $$ begin insert into public.jit_seen values (current_setting('jit')); return null; end $$;
        create or replace trigger see_jit after insert on event_key for each statement execute function see_jit();
      `);
      const t = await startServiceOn(database, { DATABASE_POOLER: pooler }, { url: url() });
      try {
        const { key } = await t.tenant();
        const event = anEvent();
        for (const body of [event, [event, anEvent()]]) {
          expect(await t.call('POST', '/v1/events', { key, body })).toMatchObject({ status: 200 });
        }
        const { rows } = await admin.query('select jit, count(*)::int as n from jit_seen group by 1');
        expect(rows).toEqual([{ jit: 'off', n: 2 }]); // straight, and with a duplicate
      } finally {
        await t.service.close();
        await t.sql.end();
        await admin.query('drop trigger see_jit on event_key');
      }
    });
  });
});
