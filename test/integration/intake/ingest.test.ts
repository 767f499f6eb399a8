import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

describeEngine('POST /v1/events', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const totals = async (key: string) => {
    const { body } = await t.call('GET', '/v1/usage?granularity=1d', { key });
    return body.data.reduce(
      (sum: { calls: number; tokens: number }, point: { calls: number; tokens: number }) => ({
        calls: sum.calls + point.calls,
        tokens: sum.tokens + point.tokens,
      }),
      { calls: 0, tokens: 0 },
    );
  };

  it('stores one event, an array and NDJSON, plain and gzipped', async () => {
    const { key } = await t.tenant();
    const post = (body: unknown, headers = {}) => t.call('POST', '/v1/events', { key, body, headers });
    expect(await post(anEvent())).toMatchObject({ status: 200, body: { accepted: 1, duplicates: 0 } });
    expect(await post([anEvent(), anEvent()])).toMatchObject({ status: 200, body: { accepted: 2 } });
    const lines = `${JSON.stringify(anEvent())}\r\n\n${JSON.stringify(anEvent())}`;
    const ndjson = { 'content-type': 'application/x-ndjson; charset=utf-8' };
    expect(await post(lines, ndjson)).toMatchObject({ status: 200, body: { accepted: 2 } });
    const zipped = { 'content-encoding': 'gzip' };
    expect(await post(gzipSync(JSON.stringify([anEvent()])), zipped)).toMatchObject({ status: 200 });
    expect(await totals(key)).toEqual({ calls: 6, tokens: 60 });
  });

  it('keeps every field, and only in metadata what has no column', async () => {
    const { id, key } = await t.tenant();
    const event = {
      eventId: 'invoice 17/line "2" é',
      timestamp: '2026-01-02T03:04:05.123456+02:00',
      customerId: "o'neil\\",
      apiEndpoint: '/api/a,b\t"c"',
      eventType: 'order.line',
      sourceId: 'gateway-1',
      sessionId: 'session-9',
      unit: 'EUR',
      value: '-00012.3400',
      metadata: { model: 'gpt-4', inputTokens: 3, latencyMs: 0.5, tags: ['a', { b: null }], region: 'eu' },
    };
    const now = new Date();
    event.timestamp = `${new Date(now.getTime() + 7_200_000).toISOString().slice(0, -1)}456+02:00`;
    expect(await t.call('POST', '/v1/events', { key, body: event })).toMatchObject({ status: 200 });
    const { body } = await t.call('GET', '/v1/events', { key });
    expect(body.data).toEqual([
      {
        eventId: event.eventId,
        timestamp: `${now.toISOString().slice(0, -1)}456Z`,
        receivedAt: expect.any(String),
        tenantId: id,
        customerId: event.customerId,
        eventType: 'order.line',
        apiEndpoint: event.apiEndpoint,
        sourceId: 'gateway-1',
        reference: 'session-9',
        unit: 'EUR',
        value: '-12.34',
        metadata: event.metadata && {
          model: 'gpt-4',
          tokens: 3,
          inputTokens: 3,
          latencyMs: 0.5,
          tags: ['a', { b: null }],
          region: 'eu',
        },
      },
    ]);
    const { rows } = await t.sql.query('select metadata from event where tenant_id = $1', [id]);
    expect(rows[0].metadata).toEqual({ tags: ['a', { b: null }], region: 'eu' });
  });

  it('stores decimals to the last digit', async () => {
    const { id, key } = await t.tenant();
    const values = [
      '0',
      '-0.5',
      '1e3',
      '99999999999999999999.999999999999999999',
      '0.000000000000000001',
      '10000',
    ];
    const body = values.map((value) => anEvent({ value }));
    await t.call('POST', '/v1/events', { key, body });
    const { rows } = await t.sql.query('select event_id, value from event where tenant_id = $1', [id]);
    const stored = new Map(rows.map((row) => [row.event_id, row.value]));
    expect(body.map((event) => stored.get(event.eventId))).toEqual([
      '0',
      '-0.5',
      '1000',
      '99999999999999999999.999999999999999999',
      '0.000000000000000001',
      '10000',
    ]);
    const usage = await t.call('GET', '/v1/usage?granularity=1d', { key });
    expect(usage.body.data[0].value).toBe('100000000000000010999.5');
  });

  it('counts an id once: in a request, across requests, under any case, and with another timestamp', async () => {
    const { key } = await t.tenant();
    const event = anEvent();
    const post = (body: unknown) => t.call('POST', '/v1/events', { key, body });
    expect((await post([event, event, anEvent()])).body).toEqual({ accepted: 2, duplicates: 1 });
    expect((await post({ ...event, eventId: event.eventId.toUpperCase() })).body).toEqual({
      accepted: 0,
      duplicates: 1,
    });
    const later = { ...event, timestamp: new Date(Date.now() - 3_600_000).toISOString() };
    expect((await post([later, anEvent()])).body).toEqual({ accepted: 1, duplicates: 1 });
    const named = anEvent({ eventId: 'not a uuid' });
    expect((await post([named, named])).body).toEqual({ accepted: 1, duplicates: 1 });
    expect((await post({ ...named, eventId: 'Not a uuid' })).body).toEqual({ accepted: 1, duplicates: 0 });
    expect(await totals(key)).toEqual({ calls: 5, tokens: 50 });
  });

  it('keeps the same id of two tenants apart, also inside one request of a platform key', async () => {
    const [a, b] = [await t.tenant(), await t.tenant()];
    const event = anEvent();
    const body = [
      { ...event, tenantId: a.id },
      { ...event, tenantId: b.id },
      { ...event, tenantId: b.id },
    ];
    expect((await t.call('POST', '/v1/events', { body })).body).toEqual({ accepted: 2, duplicates: 1 });
    expect((await t.call('POST', '/v1/events', { body })).body).toEqual({ accepted: 0, duplicates: 3 });
    expect(await totals(a.key)).toEqual({ calls: 1, tokens: 10 });
    expect(await totals(b.key)).toEqual({ calls: 1, tokens: 10 });
  });

  it('takes the sum of input and output for tokens that are left out', async () => {
    const { key } = await t.tenant();
    const body = [
      anEvent({ metadata: { inputTokens: 3, outputTokens: 4 } }),
      anEvent({ metadata: { outputTokens: 5 } }),
      anEvent({ metadata: { tokens: 0, inputTokens: 100 } }),
    ];
    await t.call('POST', '/v1/events', { key, body });
    expect(await totals(key)).toEqual({ calls: 3, tokens: 12 });
  });

  it('answers 202 to respond-async and stores the events all the same', async () => {
    const { key } = await t.tenant();
    const headers = { prefer: 'respond-async, wait=10' };
    const answer = await t.call('POST', '/v1/events', { key, body: [anEvent(), anEvent()], headers });
    expect(answer).toMatchObject({ status: 202, body: { queued: 2 } });
    expect(answer.headers.get('preference-applied')).toBe('respond-async');
    await until(async () => (await totals(key)).calls === 2);
  });

  it('gives each event its verdict with onInvalid=skip', async () => {
    const { key } = await t.tenant();
    const known = anEvent();
    await t.call('POST', '/v1/events', { key, body: known });
    const body = [anEvent(), { nonsense: 1 }, known, 17, anEvent({ timestamp: 'yesterday' })];
    const answer = await t.call('POST', '/v1/events?onInvalid=skip', { key, body });
    expect(answer).toMatchObject({ status: 200, body: { accepted: 1, duplicates: 1, rejected: 3 } });
    expect(answer.body.results.map((r: { status: string }) => r.status)).toEqual([
      'accepted',
      'invalid',
      'duplicate',
      'invalid',
      'invalid',
    ]);
    expect(answer.body.results[4].errors).toEqual([
      { index: 4, pointer: '/timestamp', code: 'timestamp_invalid', message: expect.any(String) },
    ]);
  });

  it('registers each customer once', async () => {
    const { id, key } = await t.tenant();
    const body = ['a', 'b', 'a', 'c'].map((customerId) => anEvent({ customerId }));
    await Promise.all(
      [1, 2, 3].map(() =>
        t.call('POST', '/v1/events', { key, body: body.map((e) => ({ ...e, eventId: randomUUID() })) }),
      ),
    );
    const { body: customers } = await t.call('GET', '/v1/customers', { key });
    expect(customers.data.map((c: { customerId: string }) => c.customerId)).toEqual(['a', 'b', 'c']);
    const { rows } = await t.sql.query('select count(*)::int as n from customer where tenant_id = $1', [id]);
    expect(rows[0].n).toBe(3);
  });

  it('counts each id once when 32 clients post overlapping ids at the same time', async () => {
    const { id, key } = await t.tenant();
    const shared = Array.from({ length: 400 }, () => anEvent());
    const answers = await Promise.all(
      Array.from({ length: 32 }, async (_, client) => {
        const answers = [];
        for (let round = 0; round < 6; round++) {
          // Each client its own mixture and order of the shared ids, with times of its own.
          const body = shared
            .map((event, i) => ({ event, order: Math.sin((i + 1) * (client + 1) * (round + 1)) }))
            .sort((x, y) => x.order - y.order)
            .slice(0, 60)
            .map(({ event }) => ({ ...event, timestamp: new Date().toISOString() }));
          answers.push(await t.call('POST', '/v1/events', { key, body }));
        }
        return answers;
      }),
    );
    const flat = answers.flat();
    expect(new Set(flat.map((answer) => answer.status))).toEqual(new Set([200]));
    const accepted = flat.reduce((sum, answer) => sum + answer.body.accepted, 0);
    const { rows } = await t.sql.query(
      `select count(*)::int as events, count(distinct event_id)::int as ids from event where tenant_id = $1`,
      [id],
    );
    expect(rows[0]).toEqual({ events: accepted, ids: accepted });
    expect(await totals(key)).toEqual({ calls: accepted, tokens: accepted * 10 });
    const sent = flat.reduce((sum, answer) => sum + answer.body.accepted + answer.body.duplicates, 0);
    expect(sent).toBe(32 * 6 * 60);
  });
});
