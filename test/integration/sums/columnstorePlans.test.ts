import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tenantContext } from '../../../src/access/tenancy/tenantContext.ts';
import { connectionSettings, createPool, createTenantReads } from '../../../src/ground/db/connections.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { describeEngine } from '../../support/database.ts';
import { insisting } from '../../support/insisting.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const DAY = 86_400_000;
const EVENTS = 10;
/** An advisory lock that whoever plans has to get past. */
const GATE = 4_711;

/*
 * A plan that is made while the first row comes beside the columns of a chunk must not be kept: it would leave the row
 * out for good (docs/adr/0022). In life that takes a millisecond; here it waits for the row.
 */
describeEngine('plans of reads', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
    await t.sql.query(`
      create function past_the_gate() returns integer immutable security definer language plpgsql as
        $$ begin perform pg_advisory_xact_lock_shared(${GATE}); return 1; end $$;
      grant execute on function past_the_gate() to tidemark_read`);
  });
  afterAll(() => t.stop());

  it.each(['tenants’ reads', 'other reads'])(
    'of packed chunks have the rows that come while they are made: %s',
    async (kind) => {
      const { id, key } = await t.tenant();
      const late = () => anEvent({ timestamp: new Date(Date.now() - 5 * DAY).toISOString() });
      const body = Array.from({ length: EVENTS }, late);
      expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
      await pack();

      const log = createLogger(t.config);
      const settings = connectionSettings(t.database.url, t.config.database, 'read');
      const reads = createTenantReads(settings, t.database.engine, 1, log);
      const pool = createPool(settings, 1, log);
      const tenants = kind === 'tenants’ reads';
      const db = tenants ? reads.as(tenantContext(id)) : pool;
      const count = async () => {
        const { rows } = await db.query<{ n: number }>({
          name: 'count',
          text: `select (select count(*)::int from ${tenants ? 'tenant_data.' : ''}event where tenant_id = $1) as n,
                        (select past_the_gate())`,
          values: [id],
        });
        return rows[0]!.n;
      };
      const gate = new pg.Client(t.database.url);
      await gate.connect();
      try {
        await gate.query('select pg_advisory_lock($1)', [GATE]);
        const first = count();
        await until(planning);
        expect((await t.call('POST', '/v1/events', { key, body: late() })).status).toBe(200);
        await gate.query('select pg_advisory_unlock($1)', [GATE]);
        expect([EVENTS, EVENTS + 1]).toContain(await first);
        expect(await count()).toBe(EVENTS + 1);
      } finally {
        await Promise.all([reads.end(), pool.end(), gate.end()]);
      }
    },
  );

  it('of the functions that read chunks are not kept', async (context) => {
    context.skip(t.database.engine !== 'timescale', 'the columnstore is TimescaleDB');
    const { rows } = await t.sql.query<{ name: string; planned: boolean }>(
      `select p.proname as name, coalesce('plan_cache_mode=force_custom_plan' = any (p.proconfig), false) as planned
       from pg_proc p join pg_language l on l.oid = p.prolang
       where p.pronamespace = 'public'::regnamespace and l.lanname = 'plpgsql'
         and p.prosrc ~ '\\m(event|usage_30s|usage_1h|usage_1d|reference_1d|meter_30s|meter_1h|meter_1d)\\M'`,
    );
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.filter(({ planned }) => !planned)).toEqual([]);
  });

  /** Packs every chunk of events, where there are any. */
  const pack = async () => {
    if (t.database.engine !== 'timescale') return;
    await insisting(() =>
      t.sql.query(`select compress_chunk(chunk::regclass) from retention_chunk where relation = 'event'`),
    );
  };

  /** Whether somebody waits at the gate. */
  const planning = async () => {
    const { rows } = await t.sql.query(
      `select from pg_locks where locktype = 'advisory' and objid = $1 and not granted
         and database = (select oid from pg_database where datname = current_database())`,
      [GATE],
    );
    return rows.length > 0;
  };
});
