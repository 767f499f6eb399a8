import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { examine } from '../../../src/faces/doctor/examine.ts';
import { loadConfig } from '../../../src/ground/config/loadConfig.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { reconcileRetention } from '../../../src/sums/retention/reconcileRetention.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';

/*
 * Policies that somebody has added, and those that come by themselves: 2.29's `tsdb.direct_compress` adds one that packs
 * and one that compacts.
 */
describe.runIf(inject('engine') === 'timescale')('on timescale', () => {
  describeEngine('policies of TimescaleDB’s own that pack or sort', () => {
    let database: TestDatabase;
    let sql: pg.Client;
    const log = createLogger({ logLevel: 'silent' });
    beforeAll(async () => {
      database = await createTestDatabase();
      sql = new pg.Client(database.url);
      await sql.connect();
      await reconcileRetention(sql, 'timescale', loadConfig({ TIDEMARK_PROFILE: 'test' }).retention, log);
      // As the login, whom TimescaleDB lets run jobs: tidemark_owner may not log in.
      await sql.query('alter table event owner to current_user');
    });
    afterAll(async () => {
      await sql.end();
      await database.drop();
    });

    const policies = async () => {
      const config = loadConfig({ TIDEMARK_PROFILE: 'test', DATABASE_URL: database.url });
      return (await examine(config, database.url, 5_000, log)).filter(({ check }) => check === 'policies');
    };
    /** What doctor says of it: a warning, and a statement that puts it right. */
    const expectFound = async (...procedures: string[]) => {
      const found = await policies();
      expect(found.map(({ status }) => status)).toEqual(procedures.map(() => 'warn'));
      for (const [i, procedure] of procedures.entries()) {
        expect(found[i]!.message).toContain(`has a ${procedure} of TimescaleDB's own`);
      }
      const warned: unknown[] = [];
      const noting = createLogger({ logLevel: 'silent' });
      noting.warn = (fields: unknown) => warned.push(fields);
      await reconcileRetention(sql, 'timescale', loadConfig({ TIDEMARK_PROFILE: 'test' }).retention, noting);
      expect(warned).toHaveLength(1);
      for (const { advice } of found) await sql.query(advice!);
      expect(await policies()).toMatchObject([{ status: 'ok' }]);
    };

    it.each([
      ['policy_compression', `select add_compression_policy('event', interval '3 days')`],
      ['policy_compression', `call add_columnstore_policy('event', after => interval '3 days')`],
      ['policy_reorder', `select add_reorder_policy('event', 'event_ts')`],
    ])('are found by doctor and told at start: %s, by %s', async (procedure, statement) => {
      await sql.query(statement);
      await expectFound(procedure);
    });

    it('on a summary, too', async () => {
      await sql.query('alter materialized view usage_30s owner to current_user');
      await sql.query(`select add_compression_policy('usage_30s', interval '40 days')`);
      const [found] = await policies();
      expect(found!.message).toContain('usage_30s has a policy_compression');
      await sql.query(found!.advice!);
    });

    it('that come with direct compress, where the server has it', async (context) => {
      const { rows } = await sql.query(
        `select extversion >= '2.29' and to_regprocedure('_timescaledb_functions.policy_compaction(integer, jsonb)') is not null as so
         from pg_extension where extname = 'timescaledb'`,
      );
      if (!rows[0].so) return context.skip('this TimescaleDB has no tsdb.direct_compress');
      await sql.query('alter table event set (tsdb.direct_compress)');
      await expectFound('policy_compaction', 'policy_compression');
    });
  });
});
