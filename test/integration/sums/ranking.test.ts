import { afterAll, beforeAll, expect, it } from 'vitest';
import { decimalSum } from '../../support/bruteForce.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { type ClientEvent, randomEvent, randomFrom, tokensOf } from '../../support/traffic.ts';

const MINUTE = 60_000;
const iso = (ms: number) => new Date(ms).toISOString();
const units = (text: string) => {
  const [whole = '', fraction = ''] = text.split('.');
  return BigInt(whole + fraction.padEnd(24, '0'));
};

interface Had {
  customerId: string;
  value: string;
}

/** By brute force: what each customer has, the greatest first. */
function ranked(events: ClientEvent[], hadOf: (event: ClientEvent) => string): Had[] {
  const byCustomer = new Map<string, string[]>();
  for (const event of events) {
    const values = byCustomer.get(event.customerId) ?? [];
    byCustomer.set(event.customerId, [...values, hadOf(event)]);
  }
  return [...byCustomer]
    .map(([customerId, values]) => ({ customerId, value: decimalSum(values) }))
    .sort((a, b) => {
      if (a.value !== b.value) return units(a.value) > units(b.value) ? -1 : 1;
      return Buffer.compare(Buffer.from(a.customerId), Buffer.from(b.customerId));
    });
}

const callsOf = () => '1';

describeEngine('customers, the greatest first', () => {
  let t: TestService;
  let key: string;
  let events: ClientEvent[];
  const to = Date.now();
  const from = to - 5 * 3_600_000;
  beforeAll(async () => {
    t = await startTestService();
    ({ key } = await t.tenant());
    const random = randomFrom(20261130);
    events = Array.from({ length: 400 }, () => randomEvent(random, from, to));
    for (let i = 0; i < 30; i++) {
      events.push({
        ...randomEvent(random, from, to),
        eventType: 'egress',
        customerId: `tie-${i % 3}`,
        metadata: { gb: i < 27 ? '0.1000000000000000001'.slice(0, 19) : 'none' } as never,
      });
    }
    expect((await t.call('POST', '/v1/events', { key, body: events })).status).toBe(200);
    const meter = { slug: 'gb', eventType: 'egress', aggregation: 'sum', value: '$.gb' };
    expect((await t.call('POST', '/v1/meters', { key, body: meter })).status).toBe(201);
    await t.call('PATCH', '/v1/customers/tie-1', { key, body: { name: 'The one' } });
  });
  afterAll(() => t.stop());

  const top = async (query: Record<string, string> = {}, range = [from, to]) => {
    const [since, until] = range as [number, number];
    const asked = new URLSearchParams({ from: iso(since), to: iso(until), limit: '1000', ...query });
    return t.call('GET', `/v1/usage/top?${asked}`, { key });
  };
  const within = (since: number, until: number) =>
    events.filter(({ timestamp }) => Date.parse(timestamp) >= since && Date.parse(timestamp) < until);

  it.each([
    ['calls', callsOf],
    ['tokens', (event: ClientEvent) => String(tokensOf(event))],
    ['value', (event: ClientEvent) => signed(event)],
  ])('by %s', async (measure, hadOf) => {
    for (const [since, until] of [
      [from, to],
      [from + 17 * MINUTE + 123, to - 71 * MINUTE - 7],
    ] as const) {
      const expected = ranked(within(since, until), hadOf);
      const { body } = await top({ measure }, [since, until]);
      expect(body.data.map(({ customerId, value }: Had) => ({ customerId, value }))).toEqual(expected);
      expect(body).toMatchObject({
        customers: expected.length,
        total: decimalSum(expected.map(({ value }) => value)),
      });
    }
  });

  it('only the first of them, and says of how many', async () => {
    const all = ranked(events, callsOf);
    const { body } = await top({ limit: '2' });
    expect(body).toMatchObject({ customers: all.length, data: all.slice(0, 2) });
    expect(body.data).toHaveLength(2);
  });

  it('of a type, and with their names', async () => {
    const { body } = await top({ eventType: 'egress' });
    expect(body.data).toEqual([
      { customerId: 'tie-0', name: null, value: '10' },
      { customerId: 'tie-1', name: 'The one', value: '10' },
      { customerId: 'tie-2', name: null, value: '10' },
    ]);
  });

  it('by a meter: without those of whom it counts nothing, and with all digits', async () => {
    const { body } = await top({ meter: 'gb' });
    expect(body).toMatchObject({ customers: 3, total: decimalSum(Array(27).fill('0.10000000000000000')) });
    expect(body.data.map(({ value }: Had) => value)).toEqual(Array(3).fill('0.9'));
  });

  it('by the numbers of a meter that do not add up', async () => {
    const meter = { slug: 'docs', eventType: 'egress', aggregation: 'uniqueCount', value: '$.gb' };
    expect((await t.call('POST', '/v1/meters', { key, body: meter })).status).toBe(201);
    const { body } = await top({ meter: 'docs' });
    expect(body).toMatchObject({ customers: 3, total: null });
    expect(body.data.map(({ value }: Had) => value)).toEqual(['2', '2', '2']);
  });

  it('by cost: to the last digit, and only what has a price', async () => {
    const model = `model-${Date.now()}`;
    const price = { model, currency: 'EUR', unitPrices: { input: '0.000000000000000001', output: '2' } };
    expect((await t.call('POST', '/v1/prices', { key, body: price })).status).toBe(201);
    const spends = (customerId: string, inputTokens: number, outputTokens: number, named = model) => ({
      eventId: crypto.randomUUID(),
      timestamp: iso(to - MINUTE),
      customerId,
      apiEndpoint: '/x',
      metadata: { model: named, inputTokens, outputTokens },
    });
    const body = [
      spends('much', 3, 7),
      spends('much', 1, 1),
      spends('little', 5, 0),
      spends('free', 5, 5, 'another'),
    ];
    expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    const answer = await top({ measure: 'cost', currency: 'EUR' });
    expect(answer.body).toMatchObject({
      customers: 2,
      total: '16.000000000000000009',
      data: [
        { customerId: 'much', value: '16.000000000000000004' },
        { customerId: 'little', value: '0.000000000000000005' },
      ],
    });
    expect((await top({ measure: 'cost', currency: 'USD' })).body).toMatchObject({
      customers: 0,
      total: '0',
      data: [],
    });
  });

  it.each([
    [{ measure: 'cost' }, '/currency', 'required'],
    [{ measure: 'calls', currency: 'EUR' }, '/currency', 'not_allowed'],
    [{ measure: 'calls', meter: 'gb' }, '/meter', 'not_allowed'],
    [{ meter: 'gb', eventType: 'egress' }, '/eventType', 'not_allowed'],
  ])('is refused with %j', async (query, pointer, code) => {
    const { status, body } = await top(query as unknown as Record<string, string>);
    expect([status, body.errors[0].pointer, body.errors[0].code]).toEqual([400, pointer, code]);
  });

  it('is not found of a meter that there is not', async () => {
    expect((await top({ meter: 'nothing' })).body.code).toBe('not_found');
  });
});

function signed({ eventType, value }: ClientEvent): string {
  if (value === undefined) return '0';
  return eventType === 'negative' ? (value.startsWith('-') ? value.slice(1) : `-${value}`) : value;
}
