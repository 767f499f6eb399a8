import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const DAY = 86_400_000;
const TODAY = Math.floor(Date.now() / DAY) * DAY;
const TENANT = 't';
const CUSTOMER = 'c';

const dayAgo = (days: number) => new Date(TODAY - days * DAY).toISOString();
const at = (daysAgo: number) => new Date(TODAY - daysAgo * DAY + 3_600_000).toISOString();

/** A tenant on the timescale engine that hears of everything a batch or a window can tell of. */
export async function beginHistory(client: pg.Client): Promise<void> {
  await client.query(`
    insert into tenant (id, name) values ('${TENANT}', 'of a long history');
    insert into subscription (tenant_id, message_types, stream)
      values ('${TENANT}', array['record.processed', 'usage.threshold', 'window.closed', 'window.revised'], 'out');
    insert into alert_rule (tenant_id, kind, measure, period, threshold)
      select '${TENANT}', 'usage', measure, period, 1000000
      from unnest(array['hour', 'day', 'month']) as period, unnest(array['calls', 'tokens', 'value']) as measure;
  `);
}

/** Four events a day, from so many days ago back to so many: closed, in every rollup, and packed where that is done. */
export async function storeHistory(client: pg.Client, from: number, to: number): Promise<void> {
  await client.query(
    `insert into event (ts, event_id, tenant_id, customer_id, event_type, reference, value, tokens)
     select $1::timestamptz - d * interval '1 day' + n * interval '3 hours', gen_random_uuid(), '${TENANT}', '${CUSTOMER}',
            case n % 2 when 0 then 'positive' else 'api.request' end, 'r', n, n
     from generate_series($2::int + 1, $3::int) as d, generate_series(0, 3) as n`,
    [dayAgo(0), from, to],
  );
  await client.query('update window_state set closed_until = $1', [dayAgo(0)]);
  for (const rollup of ['usage_30s', 'usage_1h', 'usage_1d', 'reference_1d']) {
    await client.query(
      `call refresh_continuous_aggregate('${rollup}', '${dayAgo(to)}', '${dayAgo(from)}', options => '{"buckets_per_batch": 0}')`,
    );
  }
  await client.query(
    `update window_state set refreshed_30s = $1, refreshed_1h = $1, refreshing_1h = $1, refreshed_1d = $1, refreshing_1d = $1`,
    [dayAgo(0)],
  );
  await client.query('update window_coverage set covered_until = $1', [dayAgo(0)]);
  await client.query('update window_announcement set announced_until = $1', [dayAgo(0)]);
  const { rows } = await client.query(
    `select chunk from retention_chunk
     where state <> 1 and relation in ('event', 'usage_30s', 'usage_1h') and range_end <= $1`,
    [dayAgo(0)],
  );
  for (const { chunk } of rows) await client.query('select compress_chunk($1::regclass)', [chunk]);
  await client.query(`do $$ begin while fill_record_history('1 hour') loop end loop; end $$`);
}

const writing = (facts: object) => `select write_messages(${pg.escapeLiteral(JSON.stringify(facts))})`;

const aRecord = (n: number, key: string) => ({
  ...{ n, tenant: TENANT, customer: CUSTOMER, key },
  ...{ type: 'positive', value: '1', ts: at(0), body: {} },
});

/** A batch with an event of that day, for the rules with one of the periods. */
const ruled = (daysAgo: number, ...periods: string[]) => `
  select write_messages(jsonb_build_object('usage', (
    select jsonb_agg(jsonb_build_object('n', 0, 'rule', id, 'customer', '${CUSTOMER}', 'start', start,
      'end', start + ('1 ' || period)::interval, 'add', 1))
    from (select id, period, date_trunc(period, timestamptz '${at(daysAgo)}', 'UTC') as start from alert_rule
          where period in (${periods.map((period) => `'${period}'`)})) as r)))`;

/** A window of that day has changed; the rollups lack it, or the activity tables alone. */
const changed = (daysAgo: number, stale = true) => `
  insert into late_window (bucket, tenant_id, customer_id, revision, stale)
  values (date_bin('30 seconds', timestamptz '${at(daysAgo)}', 'epoch'), '${TENANT}', '${CUSTOMER}', 1, ${stale})`;

const late = (daysAgo: number) => `
  select revise_windows('{${TENANT}}', '{${CUSTOMER}}',
    array[floor(extract(epoch from timestamptz '${at(daysAgo)}') / 30)::bigint], '{true}', '{1}', '{0}', '{0}', '{0}', '{0}')`;

const closed = (more: string) => `
  update window_state set closed_until = closed_until + interval '${more}', refreshed_30s = closed_until + interval '${more}'`;

const COVER = `select cover_activity('30 minutes', 2000)`;

/** What is done again and again: by name, the statements of one transaction. */
export function repeatedWork(days: number): [string, string[]][] {
  return [
    [
      'a batch with records, of references known and unknown',
      [writing({ records: [aRecord(0, '=r'), aRecord(1, `=${randomUUID()}`), aRecord(2, '')] })],
    ],
    ['a batch that rules begin to sum', [ruled(0, 'hour', 'day')]],
    ['a batch that rules about months begin to sum', [ruled(0, 'month')]],
    ['a batch that rules begin to sum, rollups lacking something', [changed(2), ruled(2, 'hour', 'day')]],
    ['a batch that rules go on to sum', [ruled(0, 'hour', 'day'), ruled(0, 'hour', 'day')]],
    ['late events', [late(2)]],
    ['closing', [`select close_windows('2 seconds', '1 second', '5 seconds')`]],
    ['announcing', [closed('30 seconds'), 'select announce_closed_windows(20)']],
    ['announcing what has changed', [changed(0), closed('2 hours'), 'select announce_closed_windows(240)']],
    ['covering', [closed('30 seconds'), COVER]],
    ['covering what has changed', [changed(2, false), COVER]],
    [
      'covering what has changed now and long ago',
      [changed(2, false), changed(days - 2, false), COVER, COVER],
    ],
    [
      'covering what closes, something having changed long ago',
      [changed(days - 2, false), closed('30 seconds'), COVER, COVER],
    ],
    ['fanning out', [writing({ records: [aRecord(0, '=r')] }), 'select fan_out_messages(500)']],
    ['claiming deliveries', [`select claim_deliveries(10, 10, '30 seconds')`]],
    ['a rule that begins', ['select latest_time()']],
    ['retention, nothing being due', ['select advance_retention()']],
  ];
}

const BUCKETS = {
  usage_30s: '30 seconds',
  usage_1h: '1 hour',
  usage_1d: '1 day',
  reference_1d: '1 day',
} as const;

/** Refreshes the first bucket of that day, in which there is an event, as what is late is refreshed. */
const refreshing = (rollup: keyof typeof BUCKETS, daysAgo: number) => `
  call refresh_continuous_aggregate('${rollup}', timestamptz '${dayAgo(daysAgo)}',
    timestamptz '${dayAgo(daysAgo)}' + interval '${BUCKETS[rollup]}', force => true, options => '{"buckets_per_batch": 0}')`;

export const ROLLUPS = Object.keys(BUCKETS) as (keyof typeof BUCKETS)[];

/** Relations of TimescaleDB's that a session has locked: chunks, their indexes, materializations. */
const LOCKED = `
  select distinct relation::regclass::text as name from pg_locks
  where pid = $1 and granted and locktype = 'relation' and relation::regclass::text like '\\_timescaledb\\_internal.%'`;

/**
 * What a refresh of the first bucket of that day has locked when it has deleted, inserted and looked for the watermark:
 * there it is held, since it commits by itself.
 *
 * @param holder another connection.
 */
export async function refreshLocks(
  client: pg.Client,
  holder: pg.Client,
  rollup: keyof typeof BUCKETS,
  daysAgo: number,
): Promise<string[]> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const { pid } = rows[0]!;
  await holder.query('begin');
  let refresh: Promise<unknown> | undefined;
  try {
    await holder.query('lock table _timescaledb_catalog.continuous_aggs_watermark in share mode');
    let ended = false;
    refresh = client.query(refreshing(rollup, daysAgo)).finally(() => {
      ended = true;
    });
    refresh.catch(() => undefined);
    for (;;) {
      const waiting = await holder.query(
        `select from pg_locks where pid = $1 and not granted
           and relation = '_timescaledb_catalog.continuous_aggs_watermark'::regclass`,
        [pid],
      );
      if (waiting.rowCount === 1) break;
      if (ended) {
        await refresh;
        throw new Error('the refresh has made nothing');
      }
      await sleep(10);
    }
    const locked = await holder.query<{ name: string }>(LOCKED, [pid]);
    return locked.rows.map(({ name }) => name);
  } finally {
    await holder.query('rollback');
    await refresh;
  }
}

/** What a transaction of these has locked when it has run: chunks and their indexes. It is rolled back. */
export async function chunksLocked(client: pg.Client, statements: string[]): Promise<string[]> {
  await client.query('begin');
  try {
    for (const statement of statements) await client.query(statement);
    const { rows: pids } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const { rows } = await client.query<{ name: string }>(LOCKED, [pids[0]!.pid]);
    return rows.map(({ name }) => name);
  } finally {
    await client.query('rollback');
  }
}
