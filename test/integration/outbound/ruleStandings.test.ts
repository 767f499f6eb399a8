import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const DAY = 86_400_000;
const iso = (ms: number) => new Date(ms).toISOString();

describeEngine('where customers stand with a rule', () => {
  let t: TestService;
  let key: string;
  /** Noon of a day: what is of it lies in one period. */
  const noon = Math.floor(Date.now() / DAY) * DAY - DAY / 2;
  beforeAll(async () => {
    t = await startTestService();
    ({ key } = await t.tenant());
    const uses = (customerId: string, tokens: number, at = noon) => ({
      ...anEvent({ customerId, timestamp: iso(at) }),
      metadata: { tokens, gb: String(tokens / 4), model: 'm', inputTokens: tokens, outputTokens: 0 },
    });
    const body = [
      uses('above', 700),
      uses('above', 301),
      uses('at', 1_000),
      uses('near', 900),
      uses('far', 10),
      uses('before', 5_000, noon - DAY),
    ];
    expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    await t.call('PATCH', '/v1/customers/near', { key, body: { name: 'Near Inc.' } });
  });
  afterAll(() => t.stop());

  const make = async (rule: object) =>
    (await t.call('POST', '/v1/alert-rules', { key, body: { kind: 'usage', period: 'day', ...rule } })).body;
  const standings = (id: string, query: Record<string, string> = {}) =>
    t.call('GET', `/v1/alert-rules/${id}/customers?${new URLSearchParams({ at: iso(noon), ...query })}`, {
      key,
    });

  it('is what they have in the period that holds the moment', async () => {
    const rule = await make({ measure: 'tokens', threshold: 1_000 });
    const { body } = await standings(rule.id);
    expect(body).toEqual({
      rule,
      periodStart: iso(noon - DAY / 2),
      periodEnd: iso(noon + DAY / 2),
      customers: 4,
      above: 1, // what equals the threshold is not above
      data: [
        { customerId: 'above', name: null, value: '1001', told: false },
        { customerId: 'at', name: null, value: '1000', told: false },
        { customerId: 'near', name: 'Near Inc.', value: '900', told: false },
        { customerId: 'far', name: null, value: '10', told: false },
      ],
    });
    const before = await standings(rule.id, { at: iso(noon - DAY) });
    expect(before.body).toMatchObject({ above: 1, data: [{ customerId: 'before', value: '5000' }] });
    const one = await standings(rule.id, { customerId: 'near' });
    expect(one.body).toMatchObject({ customers: 1, above: 0, data: [{ customerId: 'near' }] });
    const first = await standings(rule.id, { limit: '1' });
    expect(first.body).toMatchObject({ customers: 4, above: 1 });
    expect(first.body.data).toHaveLength(1);
  });

  it('is of nobody whom the rule is not about', async () => {
    const rule = await make({ measure: 'calls', threshold: 1, customers: ['above', 'near'] });
    const { body } = await standings(rule.id);
    expect(body).toMatchObject({ customers: 2, above: 1 });
    expect(body.data.map(({ customerId, value }: Record<string, string>) => [customerId, value])).toEqual([
      ['above', '2'],
      ['near', '1'],
    ]);
    expect((await standings(rule.id, { customerId: 'far' })).body).toMatchObject({ customers: 0, data: [] });
    const ofType = await make({ measure: 'calls', threshold: 1, eventType: 'another' });
    expect((await standings(ofType.id)).body).toMatchObject({ customers: 0, data: [] });
  });

  it('is of a meter, and of a cost', async () => {
    const meter = { slug: 'gb', eventType: 'api.request', aggregation: 'max', value: '$.gb' };
    expect((await t.call('POST', '/v1/meters', { key, body: meter })).status).toBe(201);
    const greatest = await make({ meter: 'gb', threshold: 225 });
    expect((await standings(greatest.id)).body).toMatchObject({
      above: 1,
      data: [
        { customerId: 'at', value: '250' },
        { customerId: 'near', value: '225' },
        { customerId: 'above', value: '175' },
        { customerId: 'far', value: '2.5' },
      ],
    });
    const price = { model: 'm', currency: 'EUR', unitPrices: { input: '0.001' } };
    expect((await t.call('POST', '/v1/prices', { key, body: price })).status).toBe(201);
    const cost = await make({ measure: 'cost', currency: 'EUR', threshold: '0.9' });
    expect((await standings(cost.id)).body).toMatchObject({
      customers: 4,
      above: 2,
      data: [{ value: '1.001' }, { value: '1' }, { value: '0.9' }, { value: '0.01' }],
    });
  });

  it('says who was told of', async () => {
    const rule = await make({ measure: 'calls', threshold: 1, customers: ['loud', 'quiet'] });
    const subscription = { stream: 'told', messageTypes: ['usage.threshold'] };
    expect((await t.call('POST', '/v1/subscriptions', { key, body: subscription })).status).toBe(201);
    const at = { timestamp: iso(noon) };
    const body = ['loud', 'loud', 'quiet'].map((customerId) => anEvent({ customerId, ...at }));
    expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    expect((await standings(rule.id)).body.data).toEqual([
      { customerId: 'loud', name: null, value: '2', told: true },
      { customerId: 'quiet', name: null, value: '1', told: false },
    ]);
    await t.call('PATCH', `/v1/alert-rules/${rule.id}`, { key, body: { threshold: '1.5' } });
    expect((await standings(rule.id)).body.data[0]).toMatchObject({ customerId: 'loud', told: false });
  });

  it('is refused of a rule that adds nothing up, of another tenant, and at no moment', async () => {
    const rule = { kind: 'event', field: 'tokens', threshold: 1 };
    const { id } = (await t.call('POST', '/v1/alert-rules', { key, body: rule })).body;
    const refused = await standings(id);
    expect([refused.status, refused.body.errors]).toMatchObject([
      400,
      [{ pointer: '/id', code: 'not_allowed' }],
    ]);
    const other = await t.tenant();
    const foreign = await t.call('GET', `/v1/alert-rules/${id}/customers`, { key: other.key });
    expect([foreign.status, foreign.body.code]).toEqual([404, 'not_found']);
    expect((await standings(id, { at: 'soon' })).body.errors).toMatchObject([{ pointer: '/at' }]);
  });
});
