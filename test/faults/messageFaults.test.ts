import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Step, WriteCutter } from '../reliability/writeCutter.ts';
import { describeEngine } from '../support/database.ts';
import { startDatabaseProxy } from '../support/databaseProxy.ts';
import { messagesOf } from '../support/messages.ts';
import { startServiceOn, startTestService, type TestService, until } from '../support/service.ts';
import type { TcpProxy } from '../support/tcpProxy.ts';
import { anEvent } from '../support/traffic.ts';

const DESTINATIONS = ['shop', 'bank', 'club'];
const REFERENCES = [undefined, 'order-1', 'order-2'];
const CROSSING = 100;

interface Sent {
  body: object[];
  /** When it was posted, in ms, by the same clock as `subscribed`. */
  at: number;
}

/*
 * Two instances, eight clients that post records of the same destinations and references, their own and each other's
 * again; with and without connections that are cut. Afterwards the messages of every key must be a chain without a gap.
 */
describeEngine('messages under many writers', () => {
  let one: TestService;
  let two: TestService;
  beforeAll(async () => {
    one = await startTestService({ INGEST_WRITERS: '4' });
    two = await startServiceOn({ ...one.database, drop: async () => undefined }, { INGEST_WRITERS: '4' });
  });
  afterAll(async () => {
    await two.stop();
    await one.stop();
  });

  const pick = <T>(values: T[]): T => values[Math.floor(Math.random() * values.length)]!;
  const aRecord = () => ({
    ...anEvent({
      customerId: pick(DESTINATIONS),
      eventType: pick(['positive', 'negative']),
      value: `${Math.floor(Math.random() * 1_000)}.${Math.floor(Math.random() * 1e9)}`,
      timestamp: new Date(Date.now() - Math.random() * 60_000).toISOString(),
      reference: pick(REFERENCES) as never,
    }),
    apiEndpoint: undefined,
  });

  const subscribe = async (key: string, messageTypes: string[]) => {
    for (;;) {
      const answer = await one.call('POST', '/v1/subscriptions', {
        key,
        body: { stream: 'out', messageTypes },
      });
      if (answer.status === 201) return;
      expect(answer.status, JSON.stringify(answer.body)).toBe(503);
      await sleep(20);
    }
  };

  /** Posts until `running` says no more: each request until it is acknowledged, some of them twice. */
  const traffic = (key: string, running: () => boolean): { done: Promise<void>; sent: Sent[] } => {
    const sent: Sent[] = [];
    const clients = Array.from({ length: 8 }, async (_, client) => {
      const instance = client % 2 ? one : two;
      while (running()) {
        const own = { body: Array.from({ length: client < 4 ? 1 : 25 }, aRecord), at: Date.now() };
        sent.push(own);
        const bodies = Math.random() < 0.3 ? [own.body, pick(sent).body] : [own.body];
        for (const body of bodies) {
          for (;;) {
            const answer = await instance.call('POST', '/v1/events', { key, body });
            if (answer.status === 200) break;
            expect(answer.status, JSON.stringify(answer.body)).toBe(503);
            await sleep(20);
          }
        }
      }
    });
    return { done: Promise.all(clients).then(() => undefined), sent };
  };

  const stored = async (tenantId: string) => {
    const { rows } = await one.sql.query(
      `select customer_id, reference, count(*)::int as n,
         trim_scale(sum(case event_type when 'positive' then value else -value end))::text as total
       from event where tenant_id = $1 group by 1, 2`,
      [tenantId],
    );
    return rows;
  };
  const messages = (tenantId: string, type: string) => messagesOf(one.sql, tenantId, type);
  const units = (decimal: string) => {
    const [whole = '', fraction = ''] = decimal.split('.');
    const value = BigInt(whole.replace('-', '') + fraction.padEnd(18, '0'));
    return whole.startsWith('-') ? -value : value;
  };

  /** The messages of each key follow one on the other, up to what is stored; no record has two. */
  const expectChains = async (tenantId: string) => {
    const found = await messages(tenantId, 'record.processed');
    const ids = found.map(({ record }) => record.recordId);
    expect(new Set(ids).size).toBe(ids.length);
    const ends = new Map<string, { count: number; total: bigint; lastTime: string | null }>();
    for (const { record, summary } of found) {
      const key = `${record.destinationId} ${record.reference}`;
      const end = ends.get(key);
      if (end) {
        expect({ ...summary, total: units(summary.total) }, key).toEqual(end);
      }
      const value = units(record.value);
      ends.set(key, {
        count: summary.count + 1,
        total: units(summary.total) + (record.type === 'positive' ? value : -value),
        lastTime:
          summary.lastTime === null || summary.lastTime < record.time ? record.time : summary.lastTime,
      });
    }
    for (const { customer_id, reference, n, total } of await stored(tenantId)) {
      const end = ends.get(`${customer_id} ${reference}`);
      if (end) expect([end.count, end.total], `${customer_id} ${reference}`).toEqual([n, units(total)]);
    }
    return found;
  };

  it('are one chain for each destination and reference, though a subscription begins while they write', async () => {
    const { id, key } = await one.tenant();
    const until = Date.now() + 4_000;
    const { done, sent } = traffic(key, () => Date.now() < until);
    await sleep(1_000);
    await subscribe(key, ['record.processed']);
    const subscribed = Date.now();
    await done;
    const found = await expectChains(id);
    const told = new Set(found.map(({ record }) => record.recordId));
    // What was posted again need not be new: its first try may have come before.
    const posted = new Map<string, number>();
    for (const { body, at } of sent) {
      for (const { eventId } of body as { eventId: string }[])
        if (!posted.has(eventId)) posted.set(eventId, at);
    }
    const after = [...posted].filter(([, at]) => at > subscribed).map(([eventId]) => eventId);
    expect(after.length).toBeGreaterThan(100);
    expect(after.filter((eventId) => !told.has(eventId))).toEqual([]);
    expect(told.size).toBeLessThan(posted.size);
    // Listening ends and begins again: the chain has a gap, and its tallies none.
    const { body } = await one.call('GET', '/v1/subscriptions', { key });
    const path = `/v1/subscriptions/${body.data[0].id}`;
    const again = Date.now() + 3_000;
    const more = traffic(key, () => Date.now() < again);
    for (const active of [false, true, false, true]) {
      await sleep(400);
      while ((await one.call('PATCH', path, { key, body: { active } })).status !== 200) await sleep(20);
    }
    await more.done;
    const all = await messages(id, 'record.processed');
    const last = new Map(
      all.map((message) => [`${message.record.destinationId} ${message.record.reference}`, message]),
    );
    for (const { customer_id, reference, n, total } of await stored(id)) {
      const { record, summary } = last.get(`${customer_id} ${reference}`)!;
      const value = units(record.value);
      expect(summary.count + 1).toBe(n);
      expect(units(summary.total) + (record.type === 'positive' ? value : -value)).toBe(units(total));
    }
  });

  it('are each there once although connections are cut all the time, also around the commit', async () => {
    const { id, key } = await one.tenant();
    await subscribe(key, ['record.processed', 'alert.triggered', 'usage.threshold']);
    const rules = [
      { kind: 'usage', measure: 'calls', period: 'month', threshold: CROSSING },
      { kind: 'usage', measure: 'calls', period: 'day', threshold: CROSSING, eventType: 'positive' },
      { kind: 'event', field: 'value', threshold: '900' },
    ];
    for (const body of rules) {
      expect((await one.call('POST', '/v1/alert-rules', { key, body })).status).toBe(201);
    }
    let running = true;
    const { done, sent } = traffic(key, () => running);
    const killer = new pg.Client({ connectionString: one.database.url });
    await killer.connect();
    for (let kills = 0; kills < 50; ) {
      await sleep(Math.random() * 200);
      const { rows } = await killer.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'tidemark ingest'
         order by (state = 'active' and random() < 0.5) desc, random() limit 1`,
      );
      kills += rows.length;
    }
    await until(() => sent.length >= 200, 60_000);
    running = false;
    await done;
    await killer.end();

    const found = await expectChains(id);
    const told = new Set(found.map(({ record }) => record.recordId));
    const posted = new Set(
      sent.flatMap(({ body }) => body.map((each) => (each as { eventId: string }).eventId)),
    );
    expect(told).toEqual(posted);
    const alerts = (await messages(id, 'alert.triggered')).map(({ event }) => event.eventId);
    const above = sent
      .flatMap(({ body }) => body as { eventId: string; value: string }[])
      .filter(({ value }) => units(value) > units('900'));
    expect(alerts.toSorted()).toEqual([...new Set(above.map(({ eventId }) => eventId))].sort());
    const { rows } = await one.sql.query(
      `select customer_id, date_trunc('month', ts, 'UTC') as start, 'month' as period from event
       where tenant_id = $1 group by 1, 2 having count(*) > $2
       union all
       select customer_id, date_trunc('day', ts, 'UTC'), 'day' from event
       where tenant_id = $1 and event_type = 'positive' group by 1, 2 having count(*) > $2`,
      [id, CROSSING],
    );
    expect(rows.length).toBeGreaterThanOrEqual(4);
    const crossed = (await messages(id, 'usage.threshold')).map(
      ({ rule, customerId, periodStart }) => `${rule.period} ${customerId} ${periodStart}`,
    );
    expect(crossed.toSorted()).toEqual(
      rows.map((row) => `${row.period} ${row.customer_id} ${row.start.toISOString()}`).sort(),
    );
  });

  it('tell of one crossing once, though eight writers cross at once', async () => {
    const { id, key } = await one.tenant();
    await subscribe(key, ['usage.threshold']);
    const body = { kind: 'usage', measure: 'tokens', period: 'hour', threshold: 79 };
    for (let round = 0; round < 10; round++) {
      await one.call('POST', '/v1/alert-rules', { key, body });
      const customerId = randomUUID();
      const timestamp = new Date().toISOString();
      await Promise.all(
        Array.from({ length: 16 }, (_, i) =>
          [one, two][i % 2]!.call('POST', '/v1/events', { key, body: anEvent({ customerId, timestamp }) }),
        ),
      );
      const found = (await messages(id, 'usage.threshold')).filter(
        (message) => message.customerId === customerId,
      );
      expect(found.length).toBe(round + 1); // one of each rule
      // A batch of several tells of its whole sum.
      for (const { total } of found) expect(Number(total)).toBeGreaterThanOrEqual(80);
    }
  });
});

describeEngine('messages of a batch whose connection is cut', () => {
  let t: TestService;
  let proxy: TcpProxy;
  const cutter = new WriteCutter();
  let proxied: TestService;
  beforeAll(async () => {
    t = await startTestService();
    const through = await startDatabaseProxy(t.database.url, { tapOn: cutter.tapOn });
    proxy = through.proxy;
    const database = { ...t.database, drop: async () => undefined };
    proxied = await startServiceOn(database, { INGEST_WRITERS: '1' }, { url: through.url });
  });
  afterAll(async () => {
    await proxied?.stop();
    await proxy?.close();
    await t.stop();
  });

  const steps: Step[] = [
    ...Array.from({ length: 12 }, (_, answered) => ({ answered })),
    ...[1, 100, 400, 900, 1_500].map((sent) => ({ sent })),
    'unheard',
    'done',
  ];
  it.each(['first', 'claiming'])('are written once, wherever that is: %s try', async (path) => {
    const { id, key } = await t.tenant();
    const post = (body: object[]) => proxied.call('POST', '/v1/events', { key, body });
    const body = { stream: 'out', messageTypes: ['record.processed', 'usage.threshold'] };
    expect((await t.call('POST', '/v1/subscriptions', { key, body })).status).toBe(201);
    const rule = { kind: 'usage', measure: 'calls', period: 'month', threshold: 0 };
    expect((await t.call('POST', '/v1/alert-rules', { key, body: rule })).status).toBe(201);
    const known = { ...anEvent({ eventType: 'positive', value: '1' }), apiEndpoint: undefined };
    await post([known]);
    let expected = 1;
    for (const step of steps) {
      const customerId = randomUUID();
      const records = [1, 2].map(() => ({
        ...anEvent({ eventType: 'positive', value: '1', customerId }),
        apiEndpoint: undefined,
      }));
      const cut = cutter.cutAt(step, true, 500);
      const answer = await post(path === 'first' ? records : [known, ...records]);
      expect([step, answer.status]).toEqual([step, 200]);
      await cut;
      expected += 2;
      const { rows } = await t.sql.query(
        `select count(*)::int as n, count(distinct payload->'record'->>'recordId')::int as records,
           (select count(*)::int from outbox where tenant_id = $1 and type = 'usage.threshold' and customer_id = $2) as crossed,
           (select array_agg(payload->'summary'->>'count' order by id) from outbox
            where tenant_id = $1 and customer_id = $2 and type = 'record.processed') as chain
         from outbox where tenant_id = $1 and type = 'record.processed'`,
        [id, customerId],
      );
      expect([step, rows[0]]).toEqual([
        step,
        { n: expected, records: expected, crossed: 1, chain: ['0', '1'] },
      ]);
    }
  });
});
