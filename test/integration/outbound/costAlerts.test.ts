import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { formatTimestamp } from '../../../src/model/timestamp.ts';
import { type BruteEvent, type BrutePrice, bruteCosts } from '../../support/bruteCosts.ts';
import { closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { messagesOf } from '../../support/messages.ts';
import { type QuietPair, startQuietPair } from '../../support/quietPair.ts';
import { priceBody, randomPrice, randomUsage } from '../../support/randomCosts.ts';
import { type TestService, until } from '../../support/service.ts';
import { randomFrom } from '../../support/traffic.ts';
import type { UpkeepByHand } from '../../support/upkeepByHand.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const SCALE = 24;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const iso = (ms: number) => new Date(ms).toISOString();

interface Call extends BruteEvent {
  eventId: string;
}

type Period = 'hour' | 'day' | 'month';
const startOf = (period: Period, ms: number): number => {
  if (period === 'hour') return Math.floor(ms / HOUR) * HOUR;
  if (period === 'day') return Math.floor(ms / DAY) * DAY;
  return Date.UTC(new Date(ms).getUTCFullYear(), new Date(ms).getUTCMonth());
};
const nextMonth = (ms: number) => Date.UTC(new Date(ms).getUTCFullYear(), new Date(ms).getUTCMonth() + 1);

/** In units of the last digit that a cost may have. */
const units = (decimal: string): bigint => {
  const [whole, fraction = ''] = decimal.split('.');
  return BigInt(whole! + fraction.padEnd(SCALE, '0'));
};

/** What calls cost in a currency, event by event; null where none of them has a cost. */
const costOf = (calls: readonly BruteEvent[], prices: readonly BrutePrice[], currency: string) => {
  const [point] = bruteCosts(calls, prices, {
    fromMicros: Number.NEGATIVE_INFINITY,
    toMicros: Number.POSITIVE_INFINITY,
    bucketOf: () => [0, 1],
    groupBy: [],
  });
  return point?.costs.find((sum) => sum.currency === currency)?.amount ?? null;
};

describeEngine(`alert rules of costs (SEED=${seed})`, () => {
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
  const put = async (key: string, body: object): Promise<string> =>
    (await made(key, '/v1/prices', body)).data[0].id;
  const listen = (key: string) =>
    made(key, '/v1/subscriptions', { stream: 'out', messageTypes: ['alert.triggered', 'usage.threshold'] });
  const aCall = (at: number, metadata: object, more: Partial<Call> = {}): Call => ({
    eventId: randomUUID(),
    micros: at * 1_000,
    customerId: 'acme',
    eventType: 'chat',
    metadata: { model: 'm', ...metadata },
    ...more,
  });
  const post = async (key: string, ...calls: Call[]) => {
    const body = calls.map(({ micros, ...event }) => ({ ...event, timestamp: formatTimestamp(micros) }));
    const answer = await send(key, 'POST', '/v1/events', body);
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  };
  const messages = (tenantId: string, type: string) => messagesOf(t.sql, tenantId, type);
  const totals = async (tenantId: string) =>
    (await messages(tenantId, 'usage.threshold')).map(({ rule, total }) => `${rule.name} ${total}`);
  const usage = { kind: 'usage', measure: 'cost', currency: 'USD', period: 'month' };
  const ofModel = { model: 'm', currency: 'USD', unitPrices: { input: '0.5', output: '2' } };
  /** A moment of this month and this hour, or an hour ago: whatever is counted from now on counts from before. */
  const now = () => Math.max(startOf('month', Date.now()), Date.now() - HOUR);

  it('are made, read and told of: by customer and period, and of each event', async () => {
    const { id: tenantId, key } = await t.tenant();
    await listen(key);
    await put(key, ofModel);
    const rule = await made(key, '/v1/alert-rules', { ...usage, threshold: '2.5', name: 'budget' });
    expect(rule).toMatchObject({ ...usage, tenantId, threshold: '2.5', eventType: null, customers: null });
    const each = await made(key, '/v1/alert-rules', {
      kind: 'event',
      field: 'cost',
      currency: 'USD',
      threshold: '0.999999999999999999',
    });
    expect(each).toMatchObject({ kind: 'event', field: 'cost', currency: 'USD' });
    for (const absent of ['measure', 'period', 'meter']) expect(each).not.toHaveProperty(absent);
    expect((await send(key, 'GET', '/v1/alert-rules')).body.data).toEqual([rule, each]);
    expect((await send(key, 'PATCH', `/v1/alert-rules/${rule.id}`, { currency: 'EUR' })).status).toBe(400);
    const log = (await t.call('GET', `/v1/audit-log?tenantId=${tenantId}`)).body.data;
    expect(log[1].changes.after).toMatchObject({ kind: 'usage', measure: 'cost', currency: 'USD' });

    const at = now();
    const calls = [aCall(at, { inputTokens: 1, outputTokens: 1 }), aCall(at, { inputTokens: 0 })];
    await post(key, ...calls, aCall(at, { inputTokens: 1_000 }, { customerId: 'bolt' }));
    await post(key, ...calls); // duplicates cost nothing
    await post(key, aCall(at, { inputTokens: 1 })); // 3 in all
    await post(key, aCall(at, { inputTokens: 2 }));
    const [budget] = await messages(tenantId, 'usage.threshold');
    const month = startOf('month', at);
    expect(budget).toEqual({
      rule: { id: rule.id, name: 'budget', measure: 'cost', currency: 'USD', eventType: null, ...of(rule) },
      customerId: 'bolt',
      periodStart: iso(month),
      periodEnd: iso(nextMonth(month)),
      total: '500',
      threshold: '2.5',
      priceVersion: 1,
    });
    expect(await totals(tenantId)).toEqual(['budget 500', 'budget 3']);
    const triggered = await messages(tenantId, 'alert.triggered');
    const { eventId, customerId, eventType } = calls[0]!;
    expect(triggered[0]).toEqual({
      rule: { id: each.id, name: null, field: 'cost', currency: 'USD', threshold: '0.999999999999999999' },
      event: { eventId, customerId, timestamp: iso(at), eventType, cost: '2.5' },
      priceVersion: 1,
    });
    expect(triggered.map(({ event }) => event.cost)).toEqual(['2.5', '500', '1']);
  });
  const of = ({ period, threshold }: { period: string; threshold: string }) => ({ period, threshold });

  it('compare to the last digit of a price, beyond those of a threshold', async () => {
    const { id: tenantId, key } = await t.tenant();
    await listen(key);
    const least = '0.000000000000000000000001';
    await put(key, { ...ofModel, unitPrices: { input: least, output: '1' } });
    await made(key, '/v1/alert-rules', { ...usage, threshold: '2', name: 'month' });
    await made(key, '/v1/alert-rules', { ...usage, period: 'day', threshold: '3', name: 'day' });
    const field = { kind: 'event', field: 'cost', currency: 'USD', threshold: '1' };
    await made(key, '/v1/alert-rules', field);
    await post(key, aCall(now(), { outputTokens: 1 }), aCall(now(), { outputTokens: 1 }));
    expect(await totals(tenantId)).toEqual([]); // 2 is not above 2
    await post(key, aCall(now(), { inputTokens: 1 }), aCall(now(), { inputTokens: 1, outputTokens: 1 }));
    expect((await totals(tenantId)).sort()).toEqual([
      'day 3.000000000000000000000002',
      'month 3.000000000000000000000002',
    ]);
    expect((await messages(tenantId, 'alert.triggered')).map(({ event }) => event.cost)).toEqual([
      '1.000000000000000000000001',
    ]);
  });

  it('have no cost that nobody knows: without a price, without counts, in another currency', async () => {
    const { id: tenantId, key } = await t.tenant();
    await listen(key);
    for (const currency of ['USD', 'EUR', 'JPY']) {
      await made(key, '/v1/alert-rules', { ...usage, currency, threshold: '0', name: currency });
    }
    const field = { kind: 'event', field: 'cost', currency: 'USD', threshold: '0' };
    await made(key, '/v1/alert-rules', field);
    const at = now();
    await post(key, aCall(at, { inputTokens: 4 })); // the tenant has no prices
    expect(await totals(tenantId)).toEqual([]);
    await put(key, { ...ofModel, unitPrices: { input: '1', call: '7' } });
    await put(key, { ...ofModel, currency: 'EUR', unitPrices: { call: '0.1' } });
    await post(
      key,
      aCall(at, { model: 'other', inputTokens: 1 }),
      aCall(at, { model: undefined, inputTokens: 1 }),
      aCall(at, { usageStatus: 'unknown' }), // a price of calls has a cost for it: in EUR
    );
    expect(await totals(tenantId)).toEqual(['EUR 0.2']); // with the one before there were prices
    expect(await messages(tenantId, 'alert.triggered')).toEqual([]);
    await post(key, aCall(at, { inputTokens: 2, outputTokens: 5 })); // no price says anything of its output
    expect(await totals(tenantId)).toEqual(['EUR 0.2', 'USD 20']); // 4 + 7 + 2 + 7
    expect((await messages(tenantId, 'alert.triggered')).map(({ event }) => event.cost)).toEqual(['9']);
  });

  it('are about the customers and the type that they name, in each period apart', async () => {
    const { id: tenantId, key } = await t.tenant();
    await listen(key);
    await put(key, ofModel);
    // Late by days; two days of one month.
    const at = [2, 4]
      .map((days) => startOf('day', Date.now() - days * DAY))
      .find((ms) => startOf('month', ms) === startOf('month', ms + DAY))!;
    const before = [
      aCall(at, { inputTokens: 2 }),
      aCall(at + HOUR, { inputTokens: 2 }),
      aCall(at + DAY, { inputTokens: 2 }),
      aCall(at, { inputTokens: 20 }, { eventType: 'embed' }),
      aCall(at, { inputTokens: 20 }, { customerId: 'bolt' }),
    ];
    await post(key, ...before);
    for (const period of ['hour', 'day', 'month']) {
      const only = { customers: ['acme'], eventType: 'chat', threshold: '0', name: period };
      await made(key, '/v1/alert-rules', { ...usage, ...only, period });
    }
    await post(key, aCall(at + 1, { inputTokens: 1 }, { eventType: 'embed' }));
    await post(key, aCall(at + 1, { inputTokens: 1 }, { customerId: 'bolt' }));
    expect(await totals(tenantId)).toEqual([]);
    await post(key, aCall(at + 1, { inputTokens: 1 }));
    expect((await totals(tenantId)).sort()).toEqual(['day 2.5', 'hour 1.5', 'month 3.5']);
  });

  it('go by the prices of now: a corrected one rates what is summed up anew, and nothing told is taken back', async () => {
    const { id: tenantId, key } = await t.tenant();
    await listen(key);
    const first = await put(key, ofModel);
    const low = await made(key, '/v1/alert-rules', { ...usage, threshold: '4', name: 'low' });
    await made(key, '/v1/alert-rules', { ...usage, threshold: '9', name: 'high' });
    const at = now();
    await post(key, aCall(at, { inputTokens: 10 })); // 5
    expect(await totals(tenantId)).toEqual(['low 5']);
    // Cheaper: what was told stays told, and is not told again.
    const second = await put(key, {
      ...ofModel,
      unitPrices: { input: '0.1', output: '2' },
      supersedes: first,
    });
    await post(key, aCall(at, { inputTokens: 10 })); // 2
    expect(await totals(tenantId)).toEqual(['low 5']);
    // Dearer: told with the next event that costs something, by its whole sum.
    await put(key, { ...ofModel, unitPrices: { input: '1', output: '2' }, supersedes: second });
    expect(await totals(tenantId)).toEqual(['low 5']);
    await post(key, aCall(at, { model: 'unpriced', inputTokens: 1 }));
    expect(await totals(tenantId)).toEqual(['low 5']);
    await post(key, aCall(at, { inputTokens: 1 })); // 21
    expect(await totals(tenantId)).toEqual(['low 5', 'high 21']);
    expect((await messages(tenantId, 'usage.threshold')).map((m) => m.priceVersion)).toEqual([1, 3]);
    // Another threshold is another crossing, of the sum as it is now.
    expect((await send(key, 'PATCH', `/v1/alert-rules/${low.id}`, { threshold: '20' })).status).toBe(200);
    await post(key, aCall(at, { inputTokens: 1 }));
    expect(await totals(tenantId)).toEqual(['low 5', 'high 21', 'low 22']);
    // A price of another currency changes nothing of these.
    const epochs = async () =>
      (
        await t.sql.query('select epoch::int from alert_rule where tenant_id = $1 order by created_at', [
          tenantId,
        ])
      ).rows;
    const before = await epochs();
    await put(key, { ...ofModel, currency: 'EUR' });
    expect(await epochs()).toEqual(before);
  });

  it('rate each event by the price at its own time, wherever prices change: within a day, an hour, a window', async () => {
    const { id: tenantId, key } = await t.tenant();
    await listen(key);
    await made(key, '/v1/alert-rules', { ...usage, threshold: '1000000', name: 'sum' });
    const day = startOf('day', now() - 3 * DAY);
    const changes = [
      0,
      DAY,
      DAY + 5 * HOUR,
      DAY + 5 * HOUR + 10 * WINDOW,
      DAY + 5 * HOUR + 10 * WINDOW + 7_001,
    ];
    const prices: BrutePrice[] = changes.map((ms, i) => ({
      ...{ model: 'm', match: 'exact', provider: null, currency: 'USD', unitPrices: { input: `${10 ** i}` } },
      fromMicros: (day + ms) * 1_000,
      toMicros: i + 1 < changes.length ? (day + changes[i + 1]!) * 1_000 : null,
    }));
    await made(
      key,
      '/v1/prices',
      prices.map((price) => priceBody(price)),
    );
    const calls = changes.flatMap((ms) =>
      [-1, 0, 1, WINDOW].map((off) => aCall(day + ms + off, { inputTokens: 1 })),
    );
    await post(key, ...calls);
    const tally = async () => {
      const { rows } = await t.sql.query(
        `select sum(total)::text as total from usage_tally u join alert_rule r on r.id = u.rule_id where r.tenant_id = $1`,
        [tenantId],
      );
      return units(rows[0].total);
    };
    const expected = async () => {
      const all = await send(
        key,
        'GET',
        `/v1/costs?from=${iso(day - DAY)}&to=${iso(day + 3 * DAY)}&granularity=1mo`,
      );
      return all.body.data.reduce(
        (sum: bigint, row: { costs: { amount: string }[] }) => sum + units(row.costs[0]!.amount),
        0n,
      );
    };
    for (const step of ['nothing', 'fillAll', 'closeAndFold'] as const) {
      if (step !== 'nothing') await upkeep[step]();
      // The sum begins anew, from what is stored.
      for (const active of [false, true]) {
        const [rule] = (await send(key, 'GET', '/v1/alert-rules')).body.data;
        expect((await send(key, 'PATCH', `/v1/alert-rules/${rule.id}`, { active })).status).toBe(200);
      }
      // Also where a window is read from its events, which have their parts too.
      const late = [day, day + changes[4]! - 1, day + changes[4]!, day + 2 * DAY].map((at) =>
        aCall(at, { inputTokens: 1 }),
      );
      await post(key, ...late);
      calls.push(...late);
      expect(await tally()).toBe(units(costOf(calls, prices, 'USD')!));
      expect(await tally()).toBe(await expected());
    }
  });

  it('take what begins with the next period for that one alone, where a batch touches both', async () => {
    const { id: tenantId, key } = await t.tenant();
    await listen(key);
    await put(key, { ...ofModel, unitPrices: { input: '1' } });
    // Two days that are read together.
    const day = [3, 4]
      .map((days) => startOf('day', Date.now() - days * DAY))
      .find((ms) => Math.floor(ms / (8 * DAY)) === Math.floor((ms + DAY) / (8 * DAY)))!;
    const both = (later: number) =>
      [day + later, day + DAY + later].map((at) => aCall(at, { inputTokens: 1 }));
    await post(key, ...both(0), ...both(0)); // alike, and not the same
    await made(key, '/v1/alert-rules', { ...usage, period: 'day', threshold: '0', name: 'events' });
    await post(key, ...both(1));
    expect(await totals(tenantId)).toEqual(['events 3', 'events 3']);
    for (const [name, total] of [
      ['filled', '4'],
      ['folded', '5'],
    ] as const) {
      await (name === 'filled' ? upkeep.fillAll() : upkeep.closeAndFold());
      await made(key, '/v1/alert-rules', { ...usage, period: 'day', threshold: '0', name });
      await post(key, ...both(2));
      expect((await totals(tenantId)).slice(-2)).toEqual([`${name} ${total}`, `${name} ${total}`]);
    }
  });

  it('count once what a fill brings into the levels while they are read', async () => {
    const { id: tenantId, key } = await t.tenant();
    await listen(key);
    await upkeep.fillAll(); // what other tests have left
    await put(key, { ...ofModel, unitPrices: { input: '1' } });
    const day = startOf('day', Date.now() - 2 * DAY);
    await post(key, ...Array.from({ length: 24 }, (_, i) => aCall(day + i * HOUR, { inputTokens: 1 })));
    await made(key, '/v1/alert-rules', { ...usage, period: 'day', threshold: '0', name: 'day' });
    const filledFrom = async (): Promise<number> => {
      const { rows } = await t.sql.query('select filled_from from meter_series where tenant_id = $1', [
        tenantId,
      ]);
      return Number(rows[0].filled_from);
    };
    while ((await filledFrom()) > day + 20 * HOUR) await upkeep.fill(2 * HOUR);
    const before = await filledFrom();
    expect(before).toBeGreaterThan(day + 12 * HOUR);

    const filler = await t.sql.connect();
    try {
      await filler.query('begin');
      await filler.query('lock table meter_1d in access exclusive mode');
      const posted = post(key, aCall(day + 2 * HOUR, { inputTokens: 1 }));
      await until(async () => {
        const { rows } = await t.sql.query(
          `select from pg_locks where not granted and relation = 'meter_1d'::regclass
             and database = (select oid from pg_database where datname = current_database())`,
        );
        return rows.length > 0;
      });
      await upkeep.fill(6 * HOUR, filler); // and commits
      await posted;
    } finally {
      filler.release(true);
    }
    expect(await filledFrom()).toBeLessThan(before);
    expect(await totals(tenantId)).toEqual(['day 25']);
  });

  it('take a bucket whole, by the price at its beginning, where what is within is no longer kept', async () => {
    const { id: tenantId, key } = await t.tenant();
    await listen(key);
    const month = startOf('month', now());
    const day = startOf('day', Math.max(month, Date.now() - 2 * DAY));
    const changed = day + 90_000;
    await made(key, '/v1/prices', [
      { ...ofModel, effectiveTo: iso(changed), unitPrices: { input: '1' } },
      { ...ofModel, effectiveFrom: iso(changed), unitPrices: { input: '100' } },
    ]);
    await post(key, aCall(day, { inputTokens: 1 }), aCall(changed, { inputTokens: 1 }));
    await upkeep.fillAll();
    await upkeep.closeAndFold();
    const keep = (relation: string, from: string) =>
      t.sql.query('update retention set kept_from = $2 where relation = $1', [relation, from]);
    onTestFinished(async () => {
      for (const relation of ['event', 'meter_30s', 'meter_1h']) await keep(relation, '-infinity');
    });
    await made(key, '/v1/alert-rules', { ...usage, threshold: '0', name: 'windows' });
    await post(key, aCall(changed, { inputTokens: 1 }));
    for (const relation of ['event', 'meter_30s', 'meter_1h']) await keep(relation, iso(day + DAY));
    await t.sql.query('delete from meter_1h where tenant_id = $1', [tenantId]);
    await made(key, '/v1/alert-rules', { ...usage, threshold: '0', name: 'days' });
    await post(key, aCall(Date.now(), { inputTokens: 0 }));
    // In parts, which no day has yet: by its own price. In the day: both by the first.
    expect(await totals(tenantId)).toEqual(['windows 201', 'days 102']);
  });

  it.each([
    ['no currency', { ...usage }, '/currency', 'required'],
    ['a currency in small letters', { ...usage, currency: 'usd' }, '/currency', 'invalid_format'],
    ['a currency of four letters', { ...usage, currency: 'USDC' }, '/currency', 'invalid_format'],
    ['a symbol', { ...usage, currency: '$' }, '/currency', 'invalid_format'],
    ['a currency that is no text', { ...usage, currency: 840 }, '/currency', 'invalid_type'],
    ['a currency of null', { ...usage, currency: null }, '/currency', 'invalid_type'],
    ['a currency with tokens', { ...usage, measure: 'tokens', currency: 'USD' }, '/currency', 'not_allowed'],
    ['a currency with a meter', { kind: 'event', meter: 'm', currency: 'USD' }, '/currency', 'not_allowed'],
    ['no currency of an event', { kind: 'event', field: 'cost' }, '/currency', 'required'],
  ])('are refused with %s, and nothing is stored', async (name, body, pointer, code) => {
    const { id, key } = await t.tenant();
    const sent = { ...body, ...(name === 'no currency' && { currency: undefined }), threshold: 1 };
    const answer = await send(key, 'POST', '/v1/alert-rules', sent);
    expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(answer.body.errors).toMatchObject([{ pointer, code }]);
    const { rows } = await t.sql.query('select from alert_rule where tenant_id = $1', [id]);
    expect(rows).toEqual([]);
  });

  it('tell of each customer and period once, exactly, whatever changes: prices, what is folded and filled', async () => {
    const random = randomFrom(seed);
    const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
    const { key, id: tenantId } = await t.tenant();
    await listen(key);
    const began = Date.now();
    const calls: Call[] = [];
    const prices = new Map<string, BrutePrice>();
    const rules: {
      id: string;
      currency: string;
      period: Period | 'each';
      threshold: string;
      type: string | null;
    }[] = [];
    const told = new Set<string>();
    const expected: string[] = [];
    const alerts: string[] = [];
    const anywhere = () =>
      Math.floor((began - 3 * DAY + random() * 3 * DAY) * 1_000) + Math.floor(random() * 1_000);

    const postSome = async () => {
      const batch = Array.from({ length: 1 + Math.floor(random() * 20) }, () => {
        if (random() < 0.1 && calls.length > 0) return pick(calls);
        const micros =
          random() < 0.5 ? anywhere() : Math.floor((Date.now() - 60_000 + random() * 120_000) * 1_000);
        const eventType = pick(['chat', 'chat', 'embed']);
        const customerId = pick(['a', 'b', "o'neil"]);
        const metadata = randomUsage(random);
        return { eventId: randomUUID(), micros, customerId, eventType, metadata };
      });
      const body = batch.map(({ micros, ...event }) => ({ ...event, timestamp: formatTimestamp(micros) }));
      const answer = await pick([t, other]).call('POST', '/v1/events', { key, body });
      expect(answer.status, JSON.stringify(answer.body)).toBe(200);
      const fresh = [...new Set(batch)].filter((call) => !calls.includes(call));
      calls.push(...fresh);
      const terms = [...prices.values()];
      for (const { id, currency, period, threshold, type } of rules) {
        const about = (of: readonly Call[]) => of.filter((call) => type === null || call.eventType === type);
        const priced = about(fresh).flatMap((call) => {
          const cost = costOf([call], terms, currency);
          return cost === null ? [] : [{ call, cost }];
        });
        if (period === 'each') {
          for (const { call, cost } of priced) {
            if (units(cost) > units(threshold)) alerts.push(`${id} ${call.eventId} ${cost}`);
          }
          continue;
        }
        const place = (call: Call) => `${call.customerId} ${iso(startOf(period, call.micros / 1_000))}`;
        for (const where of new Set(priced.map(({ call }) => place(call)))) {
          const total = costOf(
            about(calls).filter((call) => place(call) === where),
            terms,
            currency,
          )!;
          const crossing = `${id} ${where} ${threshold}`;
          if (units(total) <= units(threshold) || told.has(crossing)) continue;
          told.add(crossing);
          expected.push(`${crossing} ${total}`);
        }
      }
    };
    const changePrices = async () => {
      const supersedes = random() < 0.4 && prices.size > 0 ? pick([...prices.keys()]) : undefined;
      const price = randomPrice(random, anywhere, supersedes ? prices.get(supersedes) : undefined);
      const answer = await pick([t, other]).call('POST', '/v1/prices', {
        key,
        body: priceBody(price, supersedes),
      });
      if (answer.status === 409) return expect(answer.body.code).toBe('price_overlaps');
      expect(answer.status, JSON.stringify(answer.body)).toBe(201);
      if (supersedes) prices.delete(supersedes);
      prices.set(answer.body.data[0].id, price);
    };
    const actions: (() => Promise<unknown>)[] = [
      async () => {
        const period = pick(['hour', 'day', 'month', 'month', 'each'] as const);
        const threshold = pick(['0', '0.001', '0.25', '40', '900']);
        const currency = pick(['USD', 'USD', 'EUR', 'JPY']);
        const type = pick([null, 'chat']);
        const ofKind =
          period === 'each' ? { kind: 'event', field: 'cost' } : { kind: 'usage', measure: 'cost', period };
        const { id } = await made(key, '/v1/alert-rules', {
          ...ofKind,
          currency,
          threshold,
          eventType: type,
        });
        rules.push({ id, currency, period, threshold, type });
      },
      async () => {
        const rule = rules.length > 0 ? pick(rules) : null;
        if (!rule) return;
        rule.threshold = String(Number(rule.threshold) + 10);
        const body = { threshold: rule.threshold };
        expect((await send(key, 'PATCH', `/v1/alert-rules/${rule.id}`, body)).status).toBe(200);
      },
      changePrices,
      changePrices,
      async () => closeUpTo(t.sql, (await closedUntil(t.sql)) + WINDOW * Math.floor(random() * 3)),
      () => upkeep.fold(pick([1, 5, 100])),
      () => upkeep.fill(pick([1, 7, 300, 10_000]) * WINDOW),
      () => upkeep.fill(pick([1, 7, 300, 10_000]) * WINDOW),
    ];
    await postSome();
    for (let i = 0; i < 5; i++) await actions[0]!();
    await postSome(); // nothing has a price yet
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
      ({ rule, event }) => `${rule.id} ${event.eventId} ${event.cost}`,
    );
    expect(triggered.sort()).toEqual(alerts.sort());
    expect(prices.size).toBeGreaterThan(2);
    expect(expected.length).toBeGreaterThan(8);
  });
});
