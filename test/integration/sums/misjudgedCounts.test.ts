import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';

const WINDOWS = 40;
const CUSTOMERS = 50;
/** Windows of a customer each. */
const CHANGED = WINDOWS * CUSTOMERS;
/** What a plan must stay well below: each compared with each. One that looks through a window for a customer stays so. */
const EACH_WITH_EACH = CHANGED * CHANGED;
const FROM = `date_bin('1 day', now() - interval '3 days', 'epoch'::timestamptz)`;
const TO = `${FROM} + interval '1 hour'`;

interface Node {
  'Node Type': string;
  'Actual Rows': number;
  'Actual Loops': number;
  Plans?: Node[];
  [removed: `Rows Removed by ${string}`]: number;
}

/*
 * Tables that were filled just now have no statistics, or some of when they were empty, and windows in hand never have any.
 * Here the planner is told that there is nothing at all, and what it makes of that is counted, row by row.
 */
describeEngine('late windows of which the planner knows nothing', () => {
  let database: TestDatabase;
  let client: pg.Client;
  let plans: Node[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    client = new pg.Client(database.url);
    await client.connect();
    client.on('notice', ({ message }) => {
      const plan = /plan:\n([{[].*)/s.exec(message ?? '')?.[1];
      if (plan) plans.push(JSON.parse(plan).Plan);
    });
    await client.query(`
      insert into tenant (id, name) values ('t', 'of late windows');
      insert into subscription (tenant_id, message_types, stream) values ('t', array['window.closed'], 'out');
      insert into event (ts, event_id, tenant_id, customer_id, event_type, endpoint)
        select ${FROM} + w * interval '30 seconds', gen_random_uuid(), 't', 'c' || c, 'api.request', '/'
        from generate_series(0, ${WINDOWS - 1}) as w, generate_series(1, ${CUSTOMERS}) as c;
      select mark_late_windows(jsonb_agg(distinct jsonb_build_object(
        'bucket', date_bin('30 seconds', ts, 'epoch'::timestamptz), 'tenant_id', tenant_id, 'customer_id', customer_id,
        'references', false))) from event;
      update window_announcement set announced_until = ${FROM};
    `);
    if (database.engine === 'timescale') {
      await client.query(
        `call refresh_continuous_aggregate('usage_30s', ${FROM}, ${TO}, options => '{"buckets_per_batch": 0}')`,
      );
    }
    await client.query(`
      load 'auto_explain';
      set auto_explain.log_min_duration = 0;
      set auto_explain.log_nested_statements = on;
      set auto_explain.log_analyze = on;
      set auto_explain.log_timing = off;
      set auto_explain.log_format = json;
      set client_min_messages = log;
    `);
  });
  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  /** As if VACUUM had seen many pages with nothing on them. */
  const misjudge = () =>
    client.query(
      `update pg_class set relpages = 1000000, reltuples = 0
       where relkind = 'r' and (relname in ('late_window', 'usage_30s', 'activity_calls') or relname ~ '^_hyper_')`,
    );

  /** The most rows that a node of a plan has touched, and of which statement. */
  async function touched(
    call: string,
  ): Promise<{ most: number; by: string; rows: Record<string, unknown>[] }> {
    await misjudge();
    plans = [];
    const { rows } = await client.query(call);
    const all: { node: Node; touched: number }[] = [];
    const walk = (node: Node) => {
      const removed = Object.entries(node)
        .filter(([name]) => name.startsWith('Rows Removed by'))
        .reduce((sum, [, count]) => sum + Number(count), 0);
      all.push({ node, touched: (node['Actual Rows'] + removed) * node['Actual Loops'] });
      for (const inner of node.Plans ?? []) walk(inner);
    };
    for (const plan of plans) walk(plan);
    const most = all.reduce((a, b) => (b.touched > a.touched ? b : a));
    return { most: most.touched, by: most.node['Node Type'], rows };
  }

  it('are announced', async () => {
    const { most, by } = await touched('select announce_closed_windows(1000)');
    expect(most, by).toBeGreaterThanOrEqual(CHANGED); // or nothing has been seen
    expect(most, by).toBeLessThan(EACH_WITH_EACH / 10);
    const { rows } = await client.query(`select count(*)::int as n from outbox where type = 'window.closed'`);
    expect(rows[0].n).toBe(CHANGED);
  });

  it.each([true, false])('are brought into the activity tables, stale: %s', async (stale) => {
    await client.query('delete from activity_calls');
    await client.query('delete from activity_customer');
    await client.query('delete from activity_users');
    await client.query('update late_window set stale = $1, activity_revision = 0', [stale]);
    const { most, by, rows } = await touched(`select windows::int, more from cover_activity('1 s', 10000)`);
    expect(rows[0]!.windows).toBe(CHANGED);
    expect(most, by).toBeGreaterThanOrEqual(CHANGED);
    expect(most, by).toBeLessThan(EACH_WITH_EACH / 10);
    const counted = await client.query(
      `select sum(calls)::int as calls, (select users::int from activity_users where level = '1h') as users
       from activity_calls where level = '1h'`,
    );
    expect(counted.rows[0]).toEqual({ calls: CHANGED, users: CUSTOMERS });
  });

  it('come in parts where they have many customers', async () => {
    await client.query('update late_window set stale = false, activity_revision = 0');
    const counts: number[] = [];
    for (let more = true; more; ) {
      const { rows } = await client.query(`select windows::int, more from cover_activity('1 s', 20)`);
      counts.push(rows[0].windows);
      more = rows[0].more;
      if (counts.length > CHANGED) break;
    }
    expect(Math.max(...counts)).toBe(200); // 20 windows of ten customers, or four of fifty
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(CHANGED);
  });
});
