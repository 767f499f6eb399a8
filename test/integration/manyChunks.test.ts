import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/** Days, hence chunks, of the short history and of the long one. */
const FEW = 40;
const MANY = 400;
const DAY = 86_400_000;
const TODAY = Math.floor(Date.now() / DAY) * DAY;

/**
 * What is done for each batch, window and message must not plan over the whole history: a plan takes longer with every
 * chunk. What a plan has looked at is locked until the transaction ends, so the relations that are locked are counted,
 * with a short history and with a long one, all of it in columns.
 */
describe.skipIf(inject('engine') !== 'timescale' || inject('timescaleUrl') === null)(
  'with 400 packed chunks',
  () => {
    let database: TestDatabase;
    let client: pg.Client;
    const short = new Map<string, string[]>();

    beforeAll(async () => {
      database = await createTestDatabase();
      client = new pg.Client(database.url);
      await client.connect();
      await client.query(`
      insert into tenant (id, name) values ('t', 't');
      insert into subscription (tenant_id, message_types, stream)
        values ('t', array['record.processed', 'usage.threshold', 'window.closed', 'window.revised'], 'out');
      insert into alert_rule (tenant_id, kind, measure, period, threshold)
        select 't', 'usage', measure, period, 1000000
        from unnest(array['hour', 'day', 'month']) as period, unnest(array['calls', 'tokens', 'value']) as measure;
    `);
      await store(0, FEW);
      for (const [name, statements] of statementsOf(FEW)) short.set(name, await locked(statements));
      await store(FEW, MANY);
    }, 600_000);
    afterAll(async () => {
      await client?.end();
      await database?.drop();
    });

    /** Four events a day, from so many days ago to so many, closed, in every rollup, and packed. */
    const store = async (from: number, to: number) => {
      const day = (ago: number) => new Date(TODAY - ago * DAY).toISOString();
      await client.query(
        `insert into event (ts, event_id, tenant_id, customer_id, event_type, reference, value, tokens)
       select $1::timestamptz - d * interval '1 day' + n * interval '3 hours', gen_random_uuid(), 't', 'c',
              case n % 2 when 0 then 'positive' else 'api.request' end, 'r', n, n
       from generate_series($2::int + 1, $3::int) as d, generate_series(0, 3) as n`,
        [new Date(TODAY).toISOString(), from, to],
      );
      await client.query('update window_state set closed_until = $1', [day(0)]);
      for (const rollup of ['usage_30s', 'usage_1h', 'usage_1d', 'reference_1d']) {
        await client.query(
          `call refresh_continuous_aggregate('${rollup}', '${day(to)}', '${day(from)}', options => '{"buckets_per_batch": 0}')`,
        );
      }
      await client.query(
        'update window_state set refreshed_30s = $1, refreshed_1h = $1, refreshed_1d = $1, refreshing_1h = $1, refreshing_1d = $1',
        [day(0)],
      );
      await client.query('update window_coverage set covered_until = $1', [day(0)]);
      await client.query('update window_announcement set announced_until = $1', [day(0)]);
      const { rows } = await client.query(
        `select c.chunk from retention_chunk c where c.state <> 1 and c.relation in ('event', 'usage_30s', 'usage_1h') and c.range_end <= $1`,
        [day(0)],
      );
      for (const { chunk } of rows) await client.query('select compress_chunk($1::regclass)', [chunk]);
      await client.query(`do $$ begin while fill_record_history('1 hour') loop end loop; end $$`);
    };

    /** What a statement has locked when it has run: tables, chunks, indexes. */
    const locked = async (statements: string[]): Promise<string[]> => {
      await client.query('begin');
      try {
        for (const statement of statements) await client.query(statement);
        const { rows } = await client.query(
          `select distinct l.relation::regclass::text as name from pg_locks l
         where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.relation::regclass::text like '_timescaledb_internal.%'`,
        );
        return rows.map(({ name }) => name);
      } finally {
        await client.query('rollback');
      }
    };

    const at = (daysAgo: number) => new Date(TODAY - daysAgo * DAY + 3_600_000).toISOString();
    const writing = (facts: object) => `select write_messages(${pg.escapeLiteral(JSON.stringify(facts))})`;
    const aRecord = (n: number, reference: string, daysAgo = 0) => ({
      ...{
        n,
        tenant: 't',
        customer: 'c',
        key: reference,
        type: 'positive',
        value: '1',
        ts: at(daysAgo),
        body: {},
      },
    });
    const usageOf = (daysAgo: number) => `
    select write_messages(jsonb_build_object('usage', (
      select jsonb_agg(jsonb_build_object('n', 0, 'rule', id, 'customer', 'c', 'start', start,
        'end', start + ('1 ' || period)::interval, 'add', 1))
      from (select id, period, date_trunc(period, timestamptz '${at(daysAgo)}', 'UTC') as start from alert_rule) as r)))`;
    const stale = (daysAgo: number) => `
    insert into late_window (bucket, tenant_id, customer_id, revision, stale)
    values (date_bin('30 seconds', timestamptz '${at(daysAgo)}', 'epoch'), 't', 'c', 1, true)`;
    const late = (daysAgo: number) => `select mark_late_windows(jsonb_build_array(jsonb_build_object(
    'bucket', date_bin('30 seconds', timestamptz '${at(daysAgo)}', 'epoch'), 'tenant_id', 't', 'customer_id', 'c', 'references', true)))`;

    /** By name, what one transaction runs. */
    const statementsOf = (days: number): [string, string[]][] => [
      [
        'a batch with records of known and unknown references',
        [writing({ records: [aRecord(0, '=r'), aRecord(1, `=${randomUUID()}`), aRecord(2, '')] })],
      ],
      ['a batch that rules begin to sum today', [usageOf(0)]],
      ['a batch that rules begin to sum where the rollups lack something', [stale(2), usageOf(2)]],
      [
        'a batch of an import, over the days of the short history',
        Array.from({ length: FEW }, (_, i) => usageOf(i)),
      ],
      ['a batch that rules go on to sum', [usageOf(0), usageOf(0)]],
      ['a rule that begins', ['select latest_time()']],
      ['late events', [late(2)]],
      ['closing', [`select close_windows('2 seconds', '1 second', '5 seconds')`]],
      [
        'announcing',
        [
          `update window_state set closed_until = closed_until + interval '30 seconds', refreshed_30s = closed_until + interval '30 seconds'`,
          'select announce_closed_windows(20)',
        ],
      ],
      [
        'announcing what has changed',
        [
          stale(0),
          `update window_state set closed_until = closed_until + interval '2 hours', refreshed_30s = closed_until + interval '2 hours'`,
          'select announce_closed_windows(240)',
        ],
      ],
      [
        'covering',
        [
          `update window_state set closed_until = closed_until + interval '30 seconds', refreshed_30s = closed_until + interval '30 seconds'`,
          `select cover_activity('30 minutes', 2000)`,
        ],
      ],
      ['covering what has changed', [stale(2), `select cover_activity('30 minutes', 2000)`]],
      [
        'covering what closes while something has changed long ago',
        [
          stale(days - 2),
          `update window_state set closed_until = closed_until + interval '30 seconds', refreshed_30s = closed_until + interval '30 seconds'`,
          ...Array(2).fill(`select cover_activity('30 minutes', 2000)`),
        ],
      ],
      [
        'covering what has changed now and long ago',
        [stale(2), stale(days - 2), ...Array(2).fill(`select cover_activity('30 minutes', 2000)`)],
      ],
      ['fanning out', [writing({ records: [aRecord(0, '=r')] }), 'select fan_out_messages(500)']],
      ['claiming deliveries', [`select claim_deliveries(10, 10, '30 seconds')`]],
      ['looking what is no longer kept', ['select advance_retention()']],
    ];

    it.each(statementsOf(MANY).map(([name]) => name))('%s locks what it locked with 40', async (name) => {
      const [, statements] = statementsOf(MANY).find(([known]) => known === name)!;
      const now = await locked(statements);
      expect(now.length, now.join(' ')).toBeLessThanOrEqual(Math.max(short.get(name)!.length, 8) * 1.3);
    });
  },
);
