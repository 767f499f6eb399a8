import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { fromUnits, toUnits } from '../../../src/model/decimal.ts';
import { closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { messagesOf } from '../../support/messages.ts';
import { type QuietPair, startQuietPair } from '../../support/quietPair.ts';
import type { TestService } from '../../support/service.ts';
import { randomFrom } from '../../support/traffic.ts';
import type { UpkeepByHand } from '../../support/upkeepByHand.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const iso = (ms: number) => new Date(ms).toISOString();

interface Event {
  eventId: string;
  timestamp: string;
  customerId: string;
  eventType: string;
  metadata: { gb?: unknown; plan?: string };
}

/** That count. One looks like a part of a format. */
const PLANS = ['free', 'pro', '100%I'];
/** What an event is to the meters below: nothing; null, it counts and has no value; or its value. */
const measuredOf = ({ eventType, metadata }: Event, aggregation: string): bigint | null | undefined => {
  if (eventType !== 'egress' || !PLANS.includes(metadata.plan ?? '')) return undefined;
  if (aggregation === 'count') return toUnits('1');
  const { gb } = metadata;
  if (typeof gb === 'number') return toUnits(String(gb));
  return typeof gb === 'string' && /^-?\d/.test(gb) ? toUnits(gb) : null;
};
const VALUES = [1, 2.5, 0.25, -1.5, '4', '0.000000000000000001', '-3', 'much', null, undefined, true];

const startOf = (period: string, ms: number): number => {
  if (period === 'hour') return Math.floor(ms / HOUR) * HOUR;
  if (period === 'day') return Math.floor(ms / DAY) * DAY;
  return Date.UTC(new Date(ms).getUTCFullYear(), new Date(ms).getUTCMonth());
};

describeEngine(`alert rules of meters (SEED=${seed})`, () => {
  let pair: QuietPair;
  let t: TestService;
  let other: TestService;
  let upkeep: UpkeepByHand;
  beforeAll(async () => {
    pair = await startQuietPair();
    ({ t, other, upkeep } = pair);
  });
  afterAll(() => pair.stop());

  const send = (key: string, method: string, path: string, body?: unknown) =>
    t.call(method, path, { key, body });
  const made = async (key: string, path: string, body: object) => {
    const answer = await send(key, 'POST', path, body);
    expect(answer.status, JSON.stringify([body, answer.body])).toBe(201);
    return answer.body;
  };
  const post = async (key: string, ...body: object[]) => {
    const answer = await send(key, 'POST', '/v1/events', body);
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  };
  const anEvent = (at: number, metadata: object, more: Partial<Event> = {}): Event => ({
    eventId: randomUUID(),
    timestamp: iso(at),
    customerId: 'a',
    eventType: 'egress',
    metadata,
    ...more,
  });
  const messages = (tenantId: string, type: string) => messagesOf(t.sql, tenantId, type);

  it('are made, read and told of, and keep their meter from being archived', async () => {
    const { id: tenantId, key } = await t.tenant();
    const gb = { slug: 'gb', eventType: 'egress', aggregation: 'sum', value: '$.gb' };
    await made(key, '/v1/meters', gb);
    const usage = { kind: 'usage', meter: 'gb', period: 'month', threshold: '2.5', name: 'quota' };
    const rule = await made(key, '/v1/alert-rules', usage);
    expect(rule).toMatchObject({ ...usage, tenantId, eventType: null, customers: null, active: true });
    expect(rule).not.toHaveProperty('measure');
    const each = await made(key, '/v1/alert-rules', { kind: 'event', meter: 'gb', threshold: 1 });
    expect(each).not.toHaveProperty('field');
    expect((await send(key, 'GET', '/v1/alert-rules')).body.data).toEqual([rule, each]);
    const log = (await t.call('GET', `/v1/audit-log?tenantId=${tenantId}`)).body.data;
    expect(log[1].changes.after).toMatchObject({ kind: 'usage', meter: 'gb', period: 'month' });

    const messageTypes = ['alert.triggered', 'usage.threshold'];
    await made(key, '/v1/subscriptions', { stream: 'out', messageTypes });
    const at = startOf('day', Date.now());
    const events = [anEvent(at, { gb: '1.5' }), anEvent(at, { gb: 1 }), anEvent(at, { gb: 'much' })];
    await post(key, ...events, anEvent(at, { gb: 9 }, { eventType: 'ingress' }));
    await post(key, ...events); // duplicates say nothing
    const last = anEvent(at, { gb: '0.000000000000000001' });
    await post(key, last);
    await post(key, anEvent(at, { gb: 1 }));
    const { eventId, customerId, timestamp, eventType } = events[0]!;
    expect(await messages(tenantId, 'alert.triggered')).toEqual([
      {
        rule: { id: each.id, name: null, meter: 'gb', threshold: '1' },
        event: { eventId, customerId, timestamp, eventType },
        value: '1.5',
      },
    ]);
    const month = startOf('month', at);
    expect(await messages(tenantId, 'usage.threshold')).toEqual([
      {
        rule: {
          id: rule.id,
          name: 'quota',
          meter: 'gb',
          aggregation: 'sum',
          period: 'month',
          threshold: '2.5',
        },
        customerId: 'a',
        periodStart: iso(month),
        periodEnd: iso(Date.UTC(new Date(month).getUTCFullYear(), new Date(month).getUTCMonth() + 1)),
        total: '2.500000000000000001',
        threshold: '2.5',
      },
    ]);

    const archived = await send(key, 'DELETE', '/v1/meters/gb');
    expect(archived.body).toMatchObject({ status: 409, code: 'meter_in_use' });
    for (const { id } of [rule, each]) await send(key, 'DELETE', `/v1/alert-rules/${id}`);
    expect((await send(key, 'DELETE', '/v1/meters/gb')).status).toBe(204);
    const gone = await send(key, 'POST', '/v1/alert-rules', usage);
    expect(gone.body).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(gone.body.errors).toMatchObject([{ pointer: '/meter', code: 'unknown_meter' }]);
  });

  it.each([
    ['no such meter', { kind: 'usage', period: 'day', meter: 'other' }, '/meter', 'unknown_meter'],
    ['a meter of another tenant', { kind: 'event', meter: 'hidden' }, '/meter', 'unknown_meter'],
    [
      'avg over a period',
      { kind: 'usage', period: 'day', meter: 'avg' },
      '/meter',
      'aggregation_not_comparable',
    ],
    [
      'min over a period',
      { kind: 'usage', period: 'day', meter: 'min' },
      '/meter',
      'aggregation_not_comparable',
    ],
    [
      'latest over a period',
      { kind: 'usage', period: 'day', meter: 'latest' },
      '/meter',
      'aggregation_not_comparable',
    ],
    [
      'a set over a period',
      { kind: 'usage', period: 'day', meter: 'uniquecount' },
      '/meter',
      'aggregation_not_comparable',
    ],
    ['a count of each event', { kind: 'event', meter: 'count' }, '/meter', 'aggregation_not_comparable'],
    ['a set of each event', { kind: 'event', meter: 'uniquecount' }, '/meter', 'aggregation_not_comparable'],
    [
      'a measure beside it',
      { kind: 'usage', period: 'day', meter: 'sum', measure: 'calls' },
      '',
      'not_allowed',
    ],
    ['a field beside it', { kind: 'event', meter: 'sum', field: 'value' }, '', 'not_allowed'],
    ['neither', { kind: 'event' }, '', 'required'],
    ['a type beside it', { kind: 'event', meter: 'sum', eventType: 'x' }, '/eventType', 'not_allowed'],
    ['no text', { kind: 'event', meter: 7 }, '/meter', 'invalid_type'],
  ])('are refused with %s, and nothing is stored', async (_, body, pointer, code) => {
    const { id, key } = await t.tenant();
    const hidden = await t.tenant();
    await made(hidden.key, '/v1/meters', {
      slug: 'hidden',
      eventType: 'x',
      aggregation: 'sum',
      value: '$.v',
    });
    for (const aggregation of ['count', 'sum', 'avg', 'min', 'max', 'latest', 'uniqueCount']) {
      const value = aggregation === 'count' ? {} : { value: '$.v' };
      await made(key, '/v1/meters', {
        slug: aggregation.toLowerCase(),
        eventType: 'x',
        aggregation,
        ...value,
      });
    }
    const answer = await send(key, 'POST', '/v1/alert-rules', { ...body, threshold: 1 });
    expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(answer.body.errors).toMatchObject([{ pointer, code }]);
    const { rows } = await t.sql.query('select from alert_rule where tenant_id = $1', [id]);
    expect(rows).toEqual([]);
  });

  it('read what a meter has of events that are gone, by way of the series before it', async () => {
    const { id: tenantId, key } = await t.tenant();
    await made(key, '/v1/subscriptions', { stream: 'out', messageTypes: ['usage.threshold'] });
    const gb = { slug: 'gb', eventType: 'egress', aggregation: 'sum', value: '$.gb' };
    await made(key, '/v1/meters', gb);
    await upkeep.fillAll();
    const month = startOf('month', Date.now());
    const gone = Math.floor((Math.max(month, Date.now() - 2 * HOUR) + WINDOW) / WINDOW) * WINDOW;
    await post(key, anEvent(month, { gb: 1 }), anEvent(gone - 1, { gb: 2 }), anEvent(gone, { gb: 4 }));
    await upkeep.closeAndFold();
    const keepFrom = (moment: string) =>
      t.sql.query(`update retention set kept_from = $1 where relation = 'event'`, [moment]);
    onTestFinished(async () => void (await keepFrom('-infinity')));
    await keepFrom(iso(gone));
    await t.sql.query('delete from event where tenant_id = $1 and ts < $2', [tenantId, iso(gone)]);
    expect((await send(key, 'PATCH', '/v1/meters/gb', { dimensions: { plan: '$.plan' } })).status).toBe(200);
    for (const [threshold, total] of [
      ['7.5', '8'],
      ['100', null],
      ['15.5', '16.5'],
    ] as const) {
      const rule = await made(key, '/v1/alert-rules', {
        kind: 'usage',
        meter: 'gb',
        period: 'month',
        threshold,
      });
      await post(
        key,
        anEvent(Date.now(), { gb: threshold === '15.5' ? 7 : 1 / 2 }),
        anEvent(gone + 1, { gb: 1 / 2 }),
      );
      const found = (await messages(tenantId, 'usage.threshold')).filter((m) => m.rule.id === rule.id);
      expect(found.map((message) => message.total)).toEqual(total ? [total] : []);
      await upkeep.fillAll();
      if (threshold === '100') await upkeep.closeAndFold();
    }
  });

  it('tell of each customer and period once, exactly, whatever is folded or filled meanwhile', async () => {
    const random = randomFrom(seed);
    const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
    const { id: tenantId, key } = await t.tenant();
    await made(key, '/v1/subscriptions', {
      stream: 'out',
      messageTypes: ['usage.threshold', 'alert.triggered'],
    });
    const now = Date.now();
    const events: Event[] = [];
    const meters: { slug: string; aggregation: string; dimensions: string[] }[] = [];
    const rules: { id: string; meter: string; aggregation: string; period: string; threshold: string }[] = [];
    const told = new Set<string>();
    const expected: string[] = [];
    const alerts: string[] = [];
    const sumOf = (aggregation: string, counted: bigint[]) =>
      aggregation === 'max' ? counted.reduce((a, b) => (a > b ? a : b)) : counted.reduce((a, b) => a + b);

    const postSome = async () => {
      const batch = Array.from({ length: 1 + Math.floor(random() * 20) }, () => {
        if (random() < 0.1 && events.length > 0) return pick(events);
        const at = random() < 0.5 ? now - random() * 3 * DAY : Date.now() - 60_000 + random() * 120_000;
        const edge = Math.floor(at / WINDOW) * WINDOW;
        const metadata = { gb: pick(VALUES), plan: pick([...PLANS, 'other', undefined]) };
        const eventType = pick(['egress', 'egress', 'egress', 'ingress']);
        return anEvent(random() < 0.1 ? edge : Math.floor(at), JSON.parse(JSON.stringify(metadata)), {
          customerId: pick(['a', 'b', "o'neil"]),
          eventType,
        });
      });
      const answer = await pick([t, other]).call('POST', '/v1/events', { key, body: batch });
      expect(answer.status, JSON.stringify(answer.body)).toBe(200);
      const fresh = [...new Set(batch)].filter((event) => !events.includes(event));
      events.push(...fresh);
      for (const rule of rules) {
        const values = (of: readonly Event[]) =>
          of
            .map((event) => [event, measuredOf(event, rule.aggregation)] as const)
            .filter(([, v]) => v != null);
        if (rule.period === 'each') {
          for (const [{ eventId }, value] of values(fresh)) {
            if (value! > toUnits(rule.threshold)) alerts.push(`${rule.id} ${eventId} ${fromUnits(value!)}`);
          }
          continue;
        }
        const place = (event: Event) =>
          `${event.customerId} ${iso(startOf(rule.period, Date.parse(event.timestamp)))}`;
        for (const where of new Set(values(fresh).map(([event]) => place(event)))) {
          const counted = values(events.filter((event) => place(event) === where)).map(([, value]) => value!);
          const total = sumOf(rule.aggregation, counted);
          const crossing = `${rule.id} ${where} ${rule.threshold}`;
          if (total <= toUnits(rule.threshold) || told.has(crossing)) continue;
          told.add(crossing);
          expected.push(`${crossing} ${fromUnits(total)}`);
        }
      }
    };
    const actions: (() => Promise<unknown>)[] = [
      async () => {
        const aggregation = pick(['sum', 'sum', 'max', 'count']);
        const slug = `m_${meters.length}`;
        const filter = [{ path: '$.plan', in: PLANS }];
        const value = aggregation === 'count' ? {} : { value: '$.gb' };
        const body = { slug, eventType: 'egress', aggregation, filter, ...value };
        await made(key, '/v1/meters', body);
        meters.push({ slug, aggregation, dimensions: [] });
      },
      async () => {
        if (meters.length === 0) return;
        const { slug, aggregation } = pick(meters);
        const threshold = pick(['-2', '0.5', '3', '7.25', '20']);
        const isEach = aggregation !== 'count' && random() < 0.2;
        const period = isEach ? 'each' : pick(['hour', 'day', 'month']);
        const body = isEach
          ? { kind: 'event', meter: slug, threshold }
          : { kind: 'usage', meter: slug, period, threshold };
        const { id } = await made(key, '/v1/alert-rules', body);
        rules.push({ id, meter: slug, aggregation, period, threshold });
      },
      async () => {
        const rule = rules.length > 0 ? pick(rules) : null;
        if (!rule) return;
        rule.threshold = fromUnits(toUnits(rule.threshold) + toUnits('0.5'));
        const body = { threshold: rule.threshold };
        expect((await send(key, 'PATCH', `/v1/alert-rules/${rule.id}`, body)).status).toBe(200);
      },
      async () => {
        const meter = meters.length > 0 ? pick(meters) : null;
        if (!meter) return;
        const name = `d${meter.dimensions.length}`;
        meter.dimensions.push(name);
        const body = { dimensions: { [name]: `$.${name === 'd0' ? 'plan' : name}` } };
        expect((await send(key, 'PATCH', `/v1/meters/${meter.slug}`, body)).status).toBe(200);
      },
      async () => closeUpTo(t.sql, (await closedUntil(t.sql)) + WINDOW * Math.floor(random() * 3)),
      () => upkeep.fold(pick([1, 5, 100])),
      () => upkeep.fill(pick([1, 7, 300, 10_000]) * WINDOW),
      () => upkeep.fill(pick([1, 7, 300, 10_000]) * WINDOW),
    ];
    await postSome();
    for (const first of actions.slice(0, 2)) await first();
    for (let round = 0; round < 60; round++) {
      await pick(actions)();
      await postSome();
    }
    const found = (await messages(tenantId, 'usage.threshold')).map(
      ({ rule, customerId, periodStart, total }) =>
        `${rule.id} ${customerId} ${periodStart} ${rule.threshold} ${total}`,
    );
    expect(found.sort()).toEqual(expected.sort());
    const triggered = (await messages(tenantId, 'alert.triggered')).map(
      ({ rule, event, value }) => `${rule.id} ${event.eventId} ${value}`,
    );
    expect(triggered.sort()).toEqual(alerts.sort());
    expect(expected.length).toBeGreaterThan(0);
  });
});
