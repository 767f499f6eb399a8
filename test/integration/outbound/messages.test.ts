import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { pruneTallies } from '../../../src/outbound/delivery/pruneTallies.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describeEngine('messages', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService(CLOSED_BY_HAND);
  });
  afterAll(() => t.stop());

  const subscribe = async (key: string, ...messageTypes: string[]): Promise<string> => {
    const answer = await t.call('POST', '/v1/subscriptions', { key, body: { stream: 'out', messageTypes } });
    expect(answer.body).toMatchObject({ active: true });
    return answer.body.id;
  };
  const alertWhen = async (key: string, body: object): Promise<string> => {
    const answer = await t.call('POST', '/v1/alert-rules', { key, body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
    return answer.body.id;
  };
  const post = async (key: string, ...body: object[]) => {
    const answer = await t.call('POST', '/v1/events', { key, body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    return answer.body;
  };
  const messages = async (tenantId: string, type: string, service = t) => {
    const { rows } = await service.sql.query(
      'select payload, customer_id from outbox where tenant_id = $1 and type = $2 order by id',
      [tenantId, type],
    );
    return rows.map(({ payload }) => payload);
  };
  const aRecord = (type: 'positive' | 'negative', value: string, more: Partial<ClientEvent> = {}) => ({
    ...anEvent({ eventType: type, value, customerId: 'shop', reference: 'order-1', ...more }),
    apiEndpoint: undefined,
  });

  it('tells of each record with the summary of the earlier ones', async () => {
    const { id, key } = await t.tenant();
    const at = new Date(Date.now() - 3_600_000).toISOString();
    const before = aRecord('positive', '10.000000000000000001', { timestamp: at });
    await post(key, before, aRecord('positive', '7', { reference: 'order-2' }));
    await subscribe(key, 'record.processed');
    const later = new Date(Date.parse(at) + 60_000).toISOString();
    const next = [
      aRecord('negative', '0.5', { timestamp: later }),
      aRecord('positive', '1.25', { eventId: 'a record', timestamp: at }),
      aRecord('positive', '99', { customerId: 'other shop' }),
      aRecord('positive', '3', { reference: undefined } as never),
      anEvent({ customerId: 'shop', reference: 'order-1', value: '5' }),
    ];
    await post(key, ...next);
    await post(key, ...next); // duplicates say nothing
    await post(
      key,
      aRecord('positive', '4', { reference: undefined } as never),
      next[0]!,
      aRecord('positive', '1'),
    );
    const found = await messages(id, 'record.processed');
    expect(found.map(({ summary }) => summary)).toEqual([
      { count: 1, total: '10.000000000000000001', lastTime: at },
      { count: 2, total: '9.500000000000000001', lastTime: later },
      { count: 0, total: '0', lastTime: null },
      { count: 0, total: '0', lastTime: null },
      { count: 1, total: '3', lastTime: next[3]!.timestamp },
      { count: 3, total: '10.750000000000000001', lastTime: later },
    ]);
    expect(found[1].record).toEqual({
      recordId: 'a record',
      time: next[1]!.timestamp,
      sourceId: null,
      destinationId: 'shop',
      type: 'positive',
      value: '1.25',
      unit: null,
      reference: 'order-1',
    });
  });

  it('begins tallies anew when somebody listens again', async () => {
    const { id, key } = await t.tenant();
    const subscription = await subscribe(key, 'record.processed');
    await post(key, aRecord('positive', '1'));
    await t.call('PATCH', `/v1/subscriptions/${subscription}`, { key, body: { active: false } });
    await post(key, aRecord('positive', '2'));
    await subscribe(key, 'record.processed');
    await post(key, aRecord('positive', '4'));
    await subscribe(key, 'record.processed'); // beside the other
    await post(key, aRecord('positive', '8'));
    expect(
      (await messages(id, 'record.processed')).map(({ summary }) => [summary.count, summary.total]),
    ).toEqual([
      [0, '0'],
      [2, '3'],
      [3, '7'],
    ]);
  });

  it('tells of each event above a threshold, to the last digit', async () => {
    const { id, key } = await t.tenant();
    await subscribe(key, 'alert.triggered');
    const value = await alertWhen(key, {
      name: 'much',
      kind: 'event',
      field: 'value',
      threshold: '0.100000000000000001',
    });
    await alertWhen(key, { kind: 'event', field: 'tokens', threshold: 100, customers: ['a', 'b'] });
    await alertWhen(key, { kind: 'event', field: 'latencyMs', threshold: '0.3', eventType: 'click' });
    const above = anEvent({ value: '0.100000000000000002', customerId: 'c', metadata: { tokens: 500 } });
    const events = [
      anEvent({ value: '0.100000000000000001', metadata: { latencyMs: 5 } }),
      above,
      anEvent({ customerId: 'a', metadata: { tokens: 101 } }),
      anEvent({ customerId: 'a', metadata: { tokens: 100 } }),
      anEvent({ eventType: 'click', metadata: { latencyMs: 0.30000000000000004 } }),
      anEvent({ eventType: 'click', metadata: { latencyMs: 0.3 } }),
    ];
    await post(key, ...events);
    await post(key, ...events);
    const found = await messages(id, 'alert.triggered');
    expect(found.map(({ event }) => event.eventId)).toEqual([1, 2, 4].map((i) => events[i]!.eventId));
    expect(found[0]).toEqual({
      rule: { id: value, name: 'much', field: 'value', threshold: '0.100000000000000001' },
      event: {
        eventId: above.eventId,
        customerId: 'c',
        timestamp: above.timestamp,
        eventType: 'api.request',
        value: '0.100000000000000002',
      },
    });
    expect(found[2].event.latencyMs).toBe(0.30000000000000004);
  });

  it.each([
    ['hour', HOUR],
    ['day', DAY],
  ])(
    'tells once when the sum of a customer in a period exceeds the threshold: %s',
    async (period, length) => {
      const { id, key } = await t.tenant();
      const start = Math.floor(Date.now() / length) * length - 2 * length;
      const within = (ms: number, tokens: number, customerId = 'a') =>
        anEvent({ customerId, timestamp: new Date(start + ms).toISOString(), metadata: { tokens } });
      await post(
        key,
        within(0, 40),
        within(length - 1, 20),
        within(-1, 500),
        within(length, 500),
        within(5, 9, 'b'),
      );
      await subscribe(key, 'usage.threshold');
      const rule = await alertWhen(key, { kind: 'usage', measure: 'tokens', period, threshold: 100 });
      await post(key, within(1, 40)); // 100: not above
      expect(await messages(id, 'usage.threshold')).toEqual([]);
      await post(key, within(2, 1, 'b'), within(2, 1), within(3, 50), within(2, 5, 'b'));
      await post(key, within(3, 1_000));
      const one = {
        rule: { id: rule, name: null, measure: 'tokens', period, eventType: null, threshold: '100' },
        customerId: 'a',
        periodStart: new Date(start).toISOString(),
        periodEnd: new Date(start + length).toISOString(),
        total: '151',
        threshold: '100',
      };
      expect(await messages(id, 'usage.threshold')).toEqual([one]);
      // Another threshold is another crossing; another name is not.
      await t.call('PATCH', `/v1/alert-rules/${rule}`, { key, body: { name: 'renamed' } });
      await post(key, within(3, 1));
      await t.call('PATCH', `/v1/alert-rules/${rule}`, { key, body: { threshold: '1152.5' } });
      await post(key, within(3, 0.0 + 0));
      expect(await messages(id, 'usage.threshold')).toEqual([one]);
      await post(key, within(3, 1));
      expect(await messages(id, 'usage.threshold')).toEqual([
        one,
        {
          ...one,
          rule: { ...one.rule, name: 'renamed', threshold: '1152.5' },
          total: '1153',
          threshold: '1152.5',
        },
      ]);
    },
  );

  it('sums a month, calls and values, and tells who was above before the rule was made', async () => {
    const { id, key } = await t.tenant();
    const now = new Date();
    const start = Date.UTC(now.getUTCFullYear(), now.getUTCMonth());
    const at = (share: number) => new Date(start + share * (Date.now() - start)).toISOString();
    const body = [0, 0.3, 0.6, 0.999].map((share) =>
      anEvent({ timestamp: at(share), value: '0.1', eventType: 'click' }),
    );
    await post(key, ...body, anEvent({ timestamp: at(0.5), value: '5' }));
    await subscribe(key, 'usage.threshold', 'alert.triggered');
    await alertWhen(key, {
      kind: 'usage',
      measure: 'value',
      period: 'month',
      threshold: '0.3',
      eventType: 'click',
    });
    await alertWhen(key, { kind: 'usage', measure: 'calls', period: 'month', threshold: 6 });
    await post(key, anEvent({ timestamp: at(0.4), value: '0.1', eventType: 'click' }));
    await post(key, anEvent({ timestamp: at(0.4), value: '0.1', eventType: 'click' }));
    const found = await messages(id, 'usage.threshold');
    expect(found.map(({ total, rule }) => [rule.measure, total])).toEqual([
      ['value', '0.5'],
      ['calls', '7'],
    ]);
    expect(found[0].periodStart).toBe(new Date(start).toISOString());
  });

  it('sums exactly what the rollups lack', async () => {
    const { id, key } = await t.tenant();
    const base = await closedUntil(t.sql);
    const at = (ms: number, tokens: number) =>
      anEvent({ timestamp: new Date(base + ms).toISOString(), metadata: { tokens } });
    await post(key, at(0, 1));
    await closeUpTo(t.sql, base + 60_000);
    if (t.database.engine === 'timescale') {
      await until(async () => {
        const { rows } = await t.sql.query(
          'select refreshed_30s >= $1 and not exists (select from late_window where stale) as so from window_state',
          [new Date(base + 60_000)],
        );
        return rows[0].so;
      }, 60_000);
    }
    await subscribe(key, 'usage.threshold');
    await post(key, at(1, 10)); // late
    const day = Math.floor(base / DAY) * DAY;
    for (const period of ['hour', 'day', 'month']) {
      await alertWhen(key, { kind: 'usage', measure: 'tokens', period, threshold: 111 });
    }
    await post(key, at(2, 100));
    expect(await messages(id, 'usage.threshold')).toEqual([]);
    await post(key, at(3, 1_000));
    const found = await messages(id, 'usage.threshold');
    expect(found.map(({ total }) => total)).toEqual(['1111', '1111', '1111']);
    expect(new Set(found.map(({ periodStart }) => periodStart))).toContain(new Date(day).toISOString());
  });

  it('tells nobody of what nobody listens to', async () => {
    const { id, key } = await t.tenant();
    const quiet = await subscribe(key, 'window.closed');
    await alertWhen(key, { kind: 'event', field: 'tokens', threshold: 1 });
    await alertWhen(key, { kind: 'usage', measure: 'calls', period: 'hour', threshold: 0 });
    await post(key, aRecord('positive', '1'), anEvent());
    const gone = await subscribe(key, 'record.processed', 'alert.triggered', 'usage.threshold');
    expect((await t.call('DELETE', `/v1/subscriptions/${gone}`, { key })).status).toBe(204);
    await t.call('DELETE', `/v1/subscriptions/${quiet}`, { key });
    await post(key, aRecord('positive', '1'), anEvent());
    const { rows } = await t.sql.query(
      // An earlier test closed these windows ahead of the clock: they may have been announced while somebody listened.
      `select (select count(*)::int from outbox where tenant_id = $1 and type <> 'window.closed') as messages,
         (select count(*)::int from record_tally where tenant_id = $1) as tallies`,
      [id],
    );
    expect(rows[0]).toEqual({ messages: 0, tallies: 0 });
  });

  it('tells of what another instance was told of', async () => {
    const other = await startServiceOn({ ...t.database, drop: async () => undefined }, CLOSED_BY_HAND);
    try {
      const { id, key } = await t.tenant();
      await other.call('POST', '/v1/events', { key, body: aRecord('positive', '1') });
      await subscribe(key, 'record.processed');
      await other.call('POST', '/v1/events', { key, body: aRecord('positive', '1') });
      expect((await messages(id, 'record.processed')).map(({ summary }) => summary.count)).toEqual([1]);
    } finally {
      await other.stop();
    }
  });

  it('forgets the sums of periods that are over for good, and of rules that are gone', async () => {
    const { id, key } = await t.tenant();
    await subscribe(key, 'usage.threshold');
    const rules: string[] = [];
    for (const period of ['hour', 'month']) {
      rules.push(await alertWhen(key, { kind: 'usage', measure: 'calls', period, threshold: 1_000 }));
    }
    await post(key, anEvent(), anEvent({ timestamp: new Date(Date.now() - 29 * DAY).toISOString() }));
    const tallies = async () =>
      (
        await t.sql.query(
          'select rule_id, count(*)::int as n from usage_tally where rule_id = any ($1) group by 1',
          [rules],
        )
      ).rows;
    const before = await tallies();
    expect(before.length).toBe(2);
    await t.sql.query(
      `insert into usage_tally (rule_id, customer_id, period_start, epoch, begun_by, total)
       values ($1, 'x', now() - interval '70 days', 1, gen_random_uuid(), 1), (gen_random_uuid(), 'x', now(), 1, gen_random_uuid(), 1)`,
      [rules[0]],
    );
    expect(await pruneTallies(t.sql, 30 * DAY)).toBe(false);
    expect(await tallies()).toEqual(before);
    const { rows } = await t.sql.query(
      'select count(*)::int as n from usage_tally where not exists (select from alert_rule where id = rule_id)',
    );
    expect(rows[0].n).toBe(0);
    expect(await messages(id, 'usage.threshold')).toEqual([]);
  });

  it('refuses nothing for what a message cannot hold, and keeps strange texts', async () => {
    const { id, key } = await t.tenant();
    await subscribe(key, 'record.processed');
    const strange = `'; -- \\ "$$" ${randomUUID()} 客户 \u0001`;
    await post(key, aRecord('positive', '-3', { customerId: strange, reference: strange, eventId: strange }));
    const [found] = await messages(id, 'record.processed');
    expect(found.record).toMatchObject({
      recordId: strange,
      destinationId: strange,
      reference: strange,
      value: '-3',
    });
  });
});
