import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MAX_ENDPOINT, MAX_EVENT_TYPE, MAX_ID, MAX_UNIT } from '../../../src/intake/events/nativeEvent.ts';
import { describeEngine } from '../../support/database.ts';
import { ADMIN_KEY, startTestService, type TestService, until } from '../../support/service.ts';
import { randomFrom } from '../../support/traffic.ts';

const random = randomFrom(20_261_129);
/** Ideographs in no order: nothing that a page, or the compression of a value, could make shorter. */
const cjk = (length: number) =>
  Array.from({ length }, () => String.fromCharCode(0x4e00 + Math.floor(random() * 20_900))).join('');

describeEngine('texts of the full length, three bytes a character', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService({ WINDOW_GRACE_MS: '0' });
  });
  afterAll(() => t.stop());

  const longEvent = () => ({
    eventId: cjk(MAX_ID),
    timestamp: new Date().toISOString(),
    customerId: cjk(MAX_ID),
    apiEndpoint: cjk(MAX_ENDPOINT),
    eventType: cjk(MAX_EVENT_TYPE),
    sourceId: cjk(MAX_ID),
    reference: cjk(MAX_ID),
    unit: cjk(MAX_UNIT),
    value: '1.5',
    metadata: { model: cjk(MAX_ID), tokens: 10 },
  });
  /** A tenant whose id is as long as one may be, with a key. */
  const longTenant = async () => {
    const id = cjk(MAX_ID);
    const tenant = await t.call('POST', '/v1/tenants', { key: ADMIN_KEY, body: { id, name: cjk(MAX_ID) } });
    expect(tenant.status, JSON.stringify(tenant.body)).toBe(201);
    const body = { tenantId: id, scopes: ['ingest', 'read', 'admin'] };
    const { key } = (await t.call('POST', '/v1/keys', { key: ADMIN_KEY, body })).body;
    return { id, key };
  };

  it('fit together into every key, and are told apart', async () => {
    const { key } = await longTenant();
    const event = longEvent();
    const others = [
      { ...event, eventId: cjk(10), apiEndpoint: `${event.apiEndpoint.slice(0, -1)}x` },
      { ...event, eventId: cjk(10), metadata: { ...event.metadata, model: cjk(MAX_ID) } },
      { ...event, eventId: cjk(10), eventType: cjk(MAX_EVENT_TYPE) },
      { ...event, eventId: cjk(10), customerId: cjk(MAX_ID) },
      { ...event, eventId: cjk(10) },
    ];
    const answer = await t.call('POST', '/v1/events', { key, body: [event, ...others] });
    expect(answer.body).toEqual({ accepted: 6, duplicates: 0 });
    expect((await t.call('POST', '/v1/events', { key, body: event })).body).toEqual({
      accepted: 0,
      duplicates: 1,
    });

    const groups = 'groupBy=customer,endpoint,model,eventType';
    const usage = await t.call('GET', `/v1/usage?granularity=1h&${groups}&limit=100`, { key });
    expect(usage.status, JSON.stringify(usage.body).slice(0, 200)).toBe(200);
    expect(usage.body.data.map((point: { calls: number }) => point.calls).toSorted()).toEqual([
      1, 1, 1, 1, 2,
    ]);
    const session = await t.call('GET', `/v1/sessions/${encodeURIComponent(event.reference)}`, { key });
    expect(session.body).toMatchObject({ events: 6, value: '9' });
    const listed = await t.call('GET', '/v1/events', { key });
    expect(listed.body.data).toHaveLength(6);
  });

  it('are closed, summarised and walked through page by page', async () => {
    const { key } = await longTenant();
    const at = new Date(Date.now() - 120_000).toISOString();
    const body = Array.from({ length: 3 }, () => ({ ...longEvent(), timestamp: at }));
    expect((await t.call('POST', '/v1/events', { key, body })).body.accepted).toBe(3);
    const pages: unknown[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const path: string = `/v1/usage?granularity=1h&groupBy=customer,endpoint,model,eventType&limit=1`;
      const page = await t.call('GET', `${path}${cursor && `&cursor=${cursor}`}`, { key });
      expect(page.status).toBe(200);
      pages.push(...page.body.data);
      cursor = page.body.nextCursor;
    }
    expect(pages).toHaveLength(3);
    await until(async () => {
      const { rows } = await t.sql.query('select count(*)::int as n from late_window where stale');
      return rows[0].n === 0;
    });
    const summary = await t.call('GET', '/v1/summaries/daily', { key });
    expect(summary.body.data[0]).toMatchObject({ uniqueUsers: 3, totalEvents: 3 });
  });

  it('are counters, records, and what is told of them', async () => {
    const { key } = await longTenant();
    const counter = cjk(MAX_ID);
    const increment = await t.call('POST', '/increment', {
      key,
      body: { key: counter, value: 2 },
    });
    expect(increment.body).toMatchObject({ accepted: 1 });
    expect((await t.call('GET', `/v1/counters/${encodeURIComponent(counter)}`, { key })).body.value).toBe(
      '2',
    );
    const subscription = await t.call('POST', '/v1/subscriptions', {
      key,
      body: {
        url: 'https://example.com/hook',
        messageTypes: ['record.processed', 'window.closed', 'usage.threshold'],
      },
    });
    expect(subscription.status, JSON.stringify(subscription.body)).toBe(201);
    const rule = await t.call('POST', '/v1/alert-rules', {
      key,
      body: { kind: 'usage', measure: 'value', period: 'day', threshold: 1, name: cjk(256), customers: null },
    });
    expect(rule.status, JSON.stringify(rule.body)).toBe(201);
    const record = () => ({
      ...{
        recordId: cjk(MAX_ID),
        time: new Date().toISOString(),
        sourceId: cjk(MAX_ID),
        destinationId: cjk(MAX_ID),
      },
      ...{ type: 'positive', value: '1', unit: cjk(MAX_UNIT), reference: cjk(MAX_ID) },
    });
    const records = await t.call('POST', '/v1/records', { key, body: [record(), record()] });
    expect(records.body).toMatchObject({ accepted: 2 });
    expect((await t.call('GET', '/v1/records', { key })).body.data).toHaveLength(2);
  });

  it('of a CloudEvent too', async () => {
    const { key } = await longTenant();
    const { apiEndpoint, reference, unit, metadata } = longEvent();
    const body = {
      ...{
        specversion: '1.0',
        id: cjk(MAX_ID),
        source: cjk(MAX_ID),
        type: cjk(MAX_EVENT_TYPE),
        subject: cjk(MAX_ID),
      },
      data: { apiEndpoint, reference, unit, ...metadata },
    };
    const headers = { 'content-type': 'application/cloudevents+json' };
    expect((await t.call('POST', '/v1/events', { key, body, headers })).body).toMatchObject({ accepted: 1 });
    expect((await t.call('POST', '/v1/events', { key, body, headers })).body).toMatchObject({
      duplicates: 1,
    });
  });

  describe.each([
    ['eventId', MAX_ID],
    ['customerId', MAX_ID],
    ['apiEndpoint', MAX_ENDPOINT],
    ['eventType', MAX_EVENT_TYPE],
    ['sourceId', MAX_ID],
    ['reference', MAX_ID],
    ['unit', MAX_UNIT],
  ])('%s', (field, max) => {
    it('may not be a character longer, and it is said which field it is', async () => {
      const { key } = await t.tenant();
      const answer = await t.call('POST', '/v1/events', {
        key,
        body: { ...longEvent(), [field]: cjk(max + 1) },
      });
      expect(answer.body.errors).toMatchObject([{ index: 0, pointer: `/${field}`, code: 'too_long' }]);
      const just = await t.call('POST', '/v1/events', { key, body: { ...longEvent(), [field]: cjk(max) } });
      expect(just.body).toMatchObject({ accepted: 1 });
    });
  });
});
