import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Interest } from '../../../src/outbound/delivery/interest.ts';
import { MOST_PRICES } from '../../../src/sums/costs/catalog/putPrices.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';

const PRICE = {
  model: 'gpt-4o',
  provider: 'openai',
  currency: 'USD',
  per: 'million',
  unitPrices: { input: '2.50', cachedInput: 1.25, output: 10 },
};
const HOUR = 3_600_000;

describeEngine('prices', () => {
  let t: TestService;
  let key: string;
  let id: string;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const tenant = async () => {
    ({ id, key } = await t.tenant());
  };
  const put = (body: unknown) => t.call('POST', '/v1/prices', { key, body });
  const made = async (body: unknown) => {
    const answer = await put(body);
    expect([answer.status, answer.body]).toEqual([201, answer.body]);
    return answer.body;
  };
  const aCall = (at: number, metadata: Record<string, unknown>) => ({
    eventId: randomUUID(),
    timestamp: new Date(at).toISOString(),
    customerId: 'acme',
    eventType: 'gen_ai.chat',
    apiEndpoint: '/chat',
    metadata: { model: 'gpt-4o', provider: 'openai', ...metadata },
  });
  const post = async (...calls: unknown[]) => {
    expect((await t.call('POST', '/v1/events', { key, body: calls })).status).toBe(200);
  };
  const costs = async (query = '') => (await t.call('GET', `/v1/costs?${query}`, { key })).body;

  it('are per token, whatever they were sent for, and keep every digit', async () => {
    await tenant();
    const { priceVersion, data } = await made([
      PRICE,
      {
        ...PRICE,
        model: 'x',
        match: 'prefix',
        provider: null,
        unitPrices: { input: 1.5e-7, call: '0.000001' },
        per: 'thousand',
      },
    ]);
    expect(priceVersion).toBe(1);
    expect(data).toMatchObject([
      {
        ...{
          model: 'gpt-4o',
          match: 'exact',
          provider: 'openai',
          currency: 'USD',
          effectiveFrom: null,
          effectiveTo: null,
        },
        unitPrices: { input: '0.0000025', cachedInput: '0.00000125', output: '0.00001' },
        ...{ version: 1, supersedes: null, supersededIn: null, supersededAt: null },
      },
      { provider: null, match: 'prefix', unitPrices: { input: '0.00000000015', call: '0.000001' } },
    ]);
    const list = await t.call('GET', '/v1/prices?limit=1', { key });
    const rest = await t.call('GET', `/v1/prices?cursor=${list.body.nextCursor}`, { key });
    expect([...list.body.data, ...rest.body.data].map((price) => price.id).sort()).toEqual(
      data.map((price: { id: string }) => price.id).sort(),
    );
    expect((await t.call('GET', `/v1/prices/${data[0].id}`, { key })).body).toEqual(data[0]);
    const found = async (query: string) =>
      (await t.call('GET', `/v1/prices?${query}`, { key })).body.data.map(
        (price: { model: string }) => price.model,
      );
    expect(await found('model=x')).toEqual(['x']);
    expect(await found('provider=openai')).toEqual(['gpt-4o']);
    expect(await found('currency=EUR')).toEqual([]);
  });

  it('are refused with a code and a pointer, and then nothing is stored', async () => {
    await tenant();
    const { currency: _, ...noCurrency } = PRICE;
    const faults = async (body: unknown) => {
      const answer = await put(body);
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
      return answer.body.errors.map((fault: Record<string, unknown>) => [
        fault.index,
        fault.pointer,
        fault.code,
      ]);
    };
    const of = (unitPrices: unknown) => ({ ...PRICE, per: 'token', unitPrices });
    expect(await faults([PRICE, noCurrency])).toEqual([[1, '/currency', 'required']]);
    expect(await faults({ ...PRICE, currency: 'usd' })).toEqual([[0, '/currency', 'currency_invalid']]);
    expect(await faults(of({ input: -1 }))).toEqual([[0, '/unitPrices/input', 'negative']]);
    expect(await faults(of({ input: '1e-25', output: '1e12' }))).toEqual([
      [0, '/unitPrices/input', 'too_many_digits'],
      [0, '/unitPrices/output', 'too_many_digits'],
    ]);
    expect(await faults(of({ input: 'a', unsplit: 1 }))).toEqual([
      [0, '/unitPrices/input', 'value_invalid'],
      [0, '/unitPrices/unsplit', 'unknown_field'],
    ]);
    expect(await faults(of({}))).toEqual([[0, '/unitPrices', 'required']]);
    expect(await faults({ ...PRICE, model: '', match: 'like', extra: 1 })).toEqual([
      [0, '/extra', 'unknown_field'],
      [0, '/model', 'too_short'],
      [0, '/match', 'not_allowed'],
    ]);
    const bounds = { effectiveFrom: '2026-11-02T00:00:00Z', effectiveTo: '2026-11-02T00:00:00Z' };
    expect(await faults({ ...PRICE, ...bounds })).toEqual([[0, '/effectiveTo', 'range_invalid']]);
    expect(await faults({ ...PRICE, effectiveFrom: 'yesterday' })).toEqual([
      [0, '/effectiveFrom', 'timestamp_invalid'],
    ]);
    expect(await faults({ ...PRICE, supersedes: randomUUID() })).toEqual([
      [0, '/supersedes', 'price_unknown'],
    ]);
    expect(await faults([])).toEqual([[0, '', 'too_many']]);
    const overlap = await put([PRICE, { ...PRICE, effectiveFrom: '2026-11-02T00:00:00Z' }]);
    expect([overlap.status, overlap.body.code]).toEqual([409, 'price_overlaps']);
    expect(overlap.body.errors).toMatchObject([
      { index: 1, pointer: '/effectiveFrom', code: 'price_overlaps' },
    ]);

    const dated = (from: string, to: string) => ({ ...PRICE, effectiveFrom: from, effectiveTo: to });
    const within = await put([
      dated('2026-01-01T00:00:00Z', '2026-12-01T00:00:00Z'),
      dated('2026-02-01T00:00:00Z', '2026-03-01T00:00:00Z'),
      dated('2026-05-01T00:00:00Z', '2026-06-01T00:00:00Z'),
    ]);
    expect(within.body.errors.map(({ index }: { index: number }) => index)).toEqual([1, 2]);

    expect((await t.call('GET', '/v1/prices?superseded=true', { key })).body.data).toEqual([]);
    expect((await costs()).priceVersion).toBe(0);
    for (const version of ['', '%20', '0x1', '1e0', '-1', '1.5']) {
      const { status, body } = await t.call('GET', `/v1/costs?priceVersion=${version}`, { key });
      expect([status, body.code]).toEqual([400, 'invalid_request']);
      expect(body.errors).toMatchObject([{ pointer: '/priceVersion' }]);
    }
    const { rows } = await t.sql.query('select from meter_series where tenant_id = $1', [id]);
    expect(rows).toEqual([]);
  });

  it('of the same do not overlap unless one supersedes the other; ended once; each a version, and in the audit log', async () => {
    await tenant();
    const [first] = (await made({ ...PRICE, effectiveTo: '2026-11-02T00:00:00.000001Z' })).data;
    const next = { ...PRICE, effectiveFrom: '2026-11-02T00:00:00Z' };
    const refused = await put(next);
    expect([refused.status, refused.body.errors]).toMatchObject([
      409,
      [{ index: 0, pointer: '/effectiveFrom', code: 'price_overlaps' }],
    ]);
    expect(refused.body.errors[0].message).toContain(first.id);
    await made([
      { ...next, effectiveFrom: '2026-11-02T00:00:00.000001Z' },
      { ...next, provider: null },
      { ...next, currency: 'EUR' },
      { ...next, match: 'prefix' },
    ]);
    const corrected = await made({
      ...PRICE,
      effectiveTo: first.effectiveTo,
      supersedes: first.id,
      unitPrices: { call: 1 },
    });
    expect(corrected.priceVersion).toBe(3);
    const again = await put({ ...PRICE, effectiveTo: first.effectiveTo, supersedes: first.id });
    expect([again.status, again.body.code]).toEqual([409, 'price_superseded']);
    expect((await t.call('GET', `/v1/prices/${first.id}`, { key })).body).toMatchObject({
      version: 1,
      supersededIn: 3,
      supersededAt: expect.any(String),
    });

    const open = (await t.call('GET', '/v1/prices?currency=EUR', { key })).body.data[0];
    const end = (effectiveTo: unknown, price = open.id) =>
      t.call('POST', `/v1/prices/${price}/end`, { key, body: { effectiveTo } });
    expect((await end('2026-11-01T00:00:00Z')).body.errors[0]).toMatchObject({ code: 'range_invalid' });
    expect((await end(undefined)).body.errors[0]).toMatchObject({
      pointer: '/effectiveTo',
      code: 'required',
    });
    expect((await end('2026-12-01T00:00:00Z', randomUUID())).status).toBe(404);
    const ended = await end('2026-12-01T00:00:00Z');
    expect([ended.status, ended.body]).toMatchObject([
      201,
      { effectiveTo: '2026-12-01T00:00:00.000Z', supersedes: open.id, version: 4 },
    ]);
    expect((await end('2026-12-01T00:00:00Z')).body.code).toBe('price_superseded');
    const twice = await end('2026-12-02T00:00:00Z', ended.body.id);
    expect([twice.status, twice.body.errors]).toMatchObject([
      400,
      [{ pointer: '/effectiveTo', code: 'immutable' }],
    ]);
    const at = async (moment: string) =>
      (await t.call('GET', `/v1/prices?currency=EUR&at=${moment}`, { key })).body.data.length;
    expect([await at('2026-11-30T23:59:59.999999Z'), await at('2026-12-01T00:00:00Z')]).toEqual([1, 0]);

    const log = (await t.call('GET', '/v1/audit-log', { key })).body.data;
    const actions = log
      .map(({ action }: { action: string }) => action)
      .filter((action: string) => action.startsWith('price.'));
    expect(actions.sort()).toEqual(
      [...Array(5).fill('price.created'), 'price.corrected', 'price.ended'].sort(),
    );
    expect(log.find(({ action }: { action: string }) => action === 'price.corrected')).toMatchObject({
      actor: { kind: 'key' },
      target: corrected.data[0].id,
      changes: { before: { input: 0.0000025 }, after: { call: 1 } },
    });
  });

  it('rate what they cover, anew once corrected, and an answer says by which version', async () => {
    await tenant();
    const at = Date.now() - 2 * HOUR;
    await post(
      aCall(at, { inputTokens: 1_000, cachedInputTokens: 800, outputTokens: 300 }),
      aCall(at, { usageStatus: 'unknown' }),
      aCall(at, { model: 'unheard-of', inputTokens: 5 }),
      aCall(at, { tokens: 7 }),
    );
    const before = await costs();
    expect(before).toMatchObject({ priceVersion: 0, pricesChangedAt: null });
    expect(before.data).toMatchObject([
      {
        calls: 4,
        unknownCalls: 1,
        costs: [],
        unpriced: { calls: 4, unknownCalls: 1, tokens: { input: 205, cachedInput: 800 } },
      },
    ]);
    const { data } = await made(PRICE);
    const first = await costs('groupBy=customer,model');
    expect(first).toMatchObject({ priceVersion: 1, pricesChangedAt: expect.any(String), nextCursor: null });
    expect(first.data).toMatchObject([
      {
        ...{ customerId: 'acme', model: 'gpt-4o', calls: 3, unknownCalls: 1 },
        tokens: { input: 200, output: 300, cachedInput: 800, unsplit: 7 },
        costs: [{ currency: 'USD', amount: '0.0045', number: 0.0045, calls: 2 }],
        unpriced: { calls: 1, unknownCalls: 1, tokens: { unsplit: 7 } },
      },
      {
        customerId: 'acme',
        model: 'unheard-of',
        calls: 1,
        costs: [],
        unpriced: { calls: 1, tokens: { input: 5 } },
      },
    ]);
    await made({ ...PRICE, unitPrices: { input: 2, cachedInput: 1, output: 8 }, supersedes: data[0].id });
    const second = await costs('groupBy=customer,model');
    expect([second.priceVersion, second.data[0].costs[0].amount]).toEqual([2, '0.0036']);
    const { pricesChangedAt: _, ...asBefore } = await costs('groupBy=customer,model&priceVersion=1');
    expect(asBefore).toMatchObject({ priceVersion: 1, data: first.data });
    const future = await t.call('GET', '/v1/costs?priceVersion=3', { key });
    expect([future.status, future.body.errors]).toMatchObject([
      400,
      [{ pointer: '/priceVersion', code: 'out_of_range' }],
    ]);
  });

  it('are told in CSV a line for each currency, and beside usage', async () => {
    await tenant();
    await made([PRICE, { ...PRICE, currency: 'EUR', unitPrices: { call: '0.25' } }]);
    const at = Date.parse('2026-11-20T10:00:00Z');
    await post(aCall(at, { inputTokens: 3, outputTokens: 0 }), {
      ...aCall(at, {}),
      metadata: {},
      eventType: 'click',
    });
    const range = 'from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z&granularity=1d';
    const headers = { accept: 'text/csv' };
    const csv = await t.call('GET', `/v1/costs?${range}&groupBy=model`, { key, headers });
    expect(csv.headers.get('x-price-version')).toBe('1');
    const lines = csv.body
      .trim()
      .split('\r\n')
      .map((line: string) => line.split(','));
    expect(lines[0].slice(0, 11)).toEqual(
      'bucket,bucketEnd,model,calls,currency,cost,pricedCalls,unpricedCalls,unknownCalls,tokensInput,tokensOutput'.split(
        ',',
      ),
    );
    expect(lines.slice(1).map((line: string[]) => line.slice(2, 10).join())).toEqual([
      'gpt-4o,1,EUR,0.25,1,0,0,3',
      'gpt-4o,1,USD,0.0000075,1,0,0,3',
    ]);
    const usage = (await t.call('GET', `/v1/usage?${range}&groupBy=eventType&cost=true`, { key })).body;
    expect(usage).toMatchObject({
      priceVersion: 1,
      data: [
        { eventType: 'click', calls: 1, cost: { calls: 0, costs: [], unpriced: { calls: 0 } } },
        {
          eventType: 'gen_ai.chat',
          calls: 1,
          inputTokens: 3,
          cost: { calls: 1, costs: [{ currency: 'EUR' }, { currency: 'USD' }] },
        },
      ],
    });
    const both = await t.call('GET', `/v1/usage?${range}&cost=true`, { key, headers });
    const [names, ...rows] = both.body
      .trim()
      .split('\r\n')
      .map((line: string) => line.split(','));
    expect(rows.map((row: string[]) => [row[names.indexOf('calls')], row[names.indexOf('cost')]])).toEqual([
      ['2', '0.25'],
      ['2', '0.0000075'],
    ]);
    expect((await t.call('GET', `/v1/usage?${range}`, { key })).body.data[0]).not.toHaveProperty('cost');
  });

  it('have one series of all usage, which no list of meters shows, no limit counts, and archiving leaves', async () => {
    await tenant();
    await made(PRICE);
    await made({ ...PRICE, model: 'other' });
    expect((await t.call('GET', '/v1/meters?archived=true', { key })).body.data).toEqual([]);
    const meter = { slug: 'calls', eventType: 'gen_ai.chat', aggregation: 'count' };
    expect((await t.call('POST', '/v1/meters', { key, body: meter })).status).toBe(201);
    expect((await t.call('DELETE', '/v1/meters/calls', { key })).status).toBe(204);
    const { rows } = await t.sql.query(
      'select event_type, retired_at is null as live from meter_series where tenant_id = $1 order by id',
      [id],
    );
    expect(rows).toEqual([
      { event_type: '', live: true },
      { event_type: 'gen_ai.chat', live: false },
    ]);
  });

  it('belong to one tenant', async () => {
    await tenant();
    const [price] = (await made(PRICE)).data;
    await tenant();
    expect((await t.call('GET', `/v1/prices/${price.id}`, { key })).status).toBe(404);
    expect((await put({ ...PRICE, supersedes: price.id })).body.errors[0].code).toBe('price_unknown');
    expect((await t.call('GET', '/v1/prices', { key })).body.data).toEqual([]);
  });

  it('are 10,000 at most', async () => {
    await tenant();
    await t.sql.query(
      `insert into price (id, tenant_id, model, match, currency, call, version)
       select gen_random_uuid(), $1, 'm' || n, 'exact', 'USD', 1, 1 from generate_series(1, $2) as n`,
      [id, MOST_PRICES - 1],
    );
    expect((await put([PRICE, { ...PRICE, model: 'y' }])).body.code).toBe('limit_reached');
    await made(PRICE);
  });

  it('are known to writers of tenants with a rule about costs, from the next batch on', async () => {
    await tenant();
    const interest = new Interest();
    const [price] = (await made(PRICE)).data;
    await interest.reload(t.sql);
    const before = interest.current;
    const call = ['gpt-4o', 'openai', 'USD', Date.now() * 1_000] as const;
    expect(before.prices.of(id)).toMatchObject({ version: 0, book: { size: 0 } });
    const rule = { kind: 'usage', measure: 'cost', currency: 'USD', period: 'day', threshold: 1 };
    expect((await t.call('POST', '/v1/alert-rules', { key, body: rule })).status).toBe(201);
    await interest.reload(t.sql);
    const known = interest.current.prices.of(id);
    expect([known.version, known.book.find(...call)?.call]).toEqual([1, 0n]);
    await interest.reload(t.sql);
    expect(interest.current.prices.of(id).book).toBe(known.book);
    const { version } = interest.current;
    await made({ ...PRICE, unitPrices: { call: 1 }, supersedes: price.id });
    await interest.reload(t.sql);
    expect(Number(interest.current.version)).toBeGreaterThan(Number(version));
    const now = interest.current.prices.of(id);
    expect([now.version, now.book.find(...call)?.call]).toEqual([2, 10n ** 24n]);
  });

  it('are in the audit log with all their digits', async () => {
    await tenant();
    const input = '0.123456789012345678901234';
    await made({ ...PRICE, per: 'token', unitPrices: { input } });
    const headers = { authorization: `Bearer ${key}` };
    const answer = await t.service.app.request('/v1/audit-log?limit=1', { headers });
    expect(await answer.text()).toContain(`"input":${input},`);
  });

  it('rate what is kept, where nobody says from when on', async () => {
    await tenant();
    const today = Math.floor(Date.now() / (24 * HOUR)) * 24 * HOUR;
    await post(aCall(today - 2 * HOUR, { inputTokens: 1_000_000 }));
    await t.sql.query(`update retention set kept_from = $1 where relation = 'event'`, [
      new Date(today - 24 * HOUR),
    ]);
    // Where a month begins that is kept whole, the range does, and yesterday is before it.
    const wholeMonth = new Date(today).getUTCDate() === 1;
    const read = async (path: string) => (await t.call('GET', `/v1/${path}`, { key })).body;
    const before = new Date(today - 48 * HOUR).toISOString();
    for (const costs of [[], ['2.5']]) {
      if (costs.length > 0) await made(PRICE); // its past begins where events are kept
      const amounts = (point: { costs: { amount: string }[] }) => point.costs.map(({ amount }) => amount);
      expect((await read('costs')).data.map(amounts)).toEqual([costs]);
      expect((await read('costs?granularity=1mo')).data.map(amounts)).toEqual(wholeMonth ? [] : [costs]);
      const { data } = await read('usage?granularity=1d&cost=true');
      expect(data.map(({ cost }: { cost: Parameters<typeof amounts>[0] }) => amounts(cost))).toEqual([costs]);
      for (const path of ['costs?', 'usage?granularity=1d&cost=true&']) {
        expect((await read(`${path}from=${before}`)).code).toBe('range_not_kept');
      }
    }
  });
});
