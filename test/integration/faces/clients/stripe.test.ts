import { randomUUID } from 'node:crypto';
import Stripe from 'stripe';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createKey } from '../../../../src/access/tenancy/keys.ts';
import { describeEngine } from '../../../support/database.ts';
import { type ListeningService, startListeningService } from '../../../support/listening.ts';

const HOUR = 3_600;

describeEngine('the client of Stripe', () => {
  let t: ListeningService;
  beforeAll(async () => {
    t = await startListeningService();
  });
  afterAll(() => t.stop());

  const clientOf = (key: string) => {
    const { hostname, port } = new URL(t.server.address);
    return new Stripe(key, { host: hostname, port, protocol: 'http', telemetry: false });
  };
  const client = async () => {
    const { id, key } = await t.tenant();
    return { id, key, stripe: clientOf(key) };
  };
  const failing = async (work: Promise<unknown>) => {
    const error = (await work.then(
      () => undefined,
      (caught: unknown) => caught,
    )) as Stripe.errors.StripeError | undefined;
    return { type: error?.type, code: error?.code, statusCode: error?.statusCode, param: error?.param };
  };
  const payload = (value: string, customer = 'cus_1') => ({ stripe_customer_id: customer, value });
  const countOf = async (id: string) =>
    (await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [id])).rows[0].n;

  it('sends events by v1 and v2, each once', async () => {
    const { id, stripe } = await client();
    const timestamp = Math.floor(Date.now() / 1_000) - 60;
    const event = { event_name: 'tokens', payload: payload('25'), identifier: 'id-1', timestamp };
    const first = await stripe.billing.meterEvents.create(event);
    expect(first).toMatchObject({
      object: 'billing.meter_event',
      created: expect.any(Number),
      event_name: 'tokens',
      identifier: 'id-1',
      livemode: true,
      payload: payload('25'),
      timestamp,
    });
    await stripe.billing.meterEvents.create({ ...event, timestamp: timestamp + 5 });
    expect(await countOf(id)).toBe(1);

    const second = await stripe.v2.billing.meterEvents.create({
      event_name: 'tokens',
      payload: payload('5'),
      identifier: 'id-2',
      timestamp: new Date(timestamp * 1_000).toISOString(),
    });
    expect(second).toMatchObject({
      object: 'v2.billing.meter_event',
      identifier: 'id-2',
      timestamp: new Date(timestamp * 1_000).toISOString(),
    });
    // Without an identifier, a request that is repeated counts once by the key that the client repeats with it.
    const idempotencyKey = randomUUID();
    const unnamed = { event_name: 'tokens', payload: payload('1') };
    await stripe.billing.meterEvents.create(unnamed, { idempotencyKey });
    await stripe.billing.meterEvents.create(unnamed, { idempotencyKey });
    await stripe.billing.meterEvents.create(unnamed);
    expect(await countOf(id)).toBe(4);
  });

  it('takes no two requests for one without an identifier', async () => {
    const { id, key, stripe } = await client();
    const unnamed = { event_name: 'tokens', payload: payload('1') };
    const long = (end: string) => ({ idempotencyKey: 'k'.repeat(250) + end });
    for (const end of ['a', 'b', 'b']) await stripe.billing.meterEvents.create(unnamed, long(end));
    for (const end of ['c', 'd', 'd']) await stripe.v2.billing.meterEvents.create(unnamed, long(end));
    for (const end of ['e', 'f', 'f']) {
      await stripe.v2.billing.meterEventStream.create({ events: [unnamed, unnamed] }, long(end));
    }
    expect(await countOf(id)).toBe(8);
    // A proxy's id of a request is nobody's key, and neither is none.
    const identifiers = new Set<string>();
    for (const headers of [{ 'x-request-id': 'hop-1' }, { 'idempotency-key': '' }]) {
      for (let i = 0; i < 2; i++) {
        const sent = { key, headers, body: unnamed };
        identifiers.add((await t.call('POST', '/v2/billing/meter_events', sent)).body.identifier);
        const events = { ...sent, body: { events: [unnamed] } };
        expect((await t.call('POST', '/v2/billing/meter_event_stream', events)).status).toBe(200);
      }
    }
    expect(identifiers.size).toBe(4);
    expect(await countOf(id)).toBe(16);
  });

  it('hands out no session that is revoked, nor one that outlives its key', async () => {
    const { id, key, stripe } = await client();
    const first = await stripe.v2.billing.meterEventSession.create();
    await t.call('DELETE', `/v1/keys/${first.id}`, { key });
    const second = await stripe.v2.billing.meterEventSession.create();
    expect(second.id).not.toBe(first.id);
    expect((await stripe.v2.billing.meterEventSession.create()).id).toBe(second.id);

    const ofSession = await clientOf(second.authentication_token).v2.billing.meterEventSession.create();
    expect(ofSession.expires_at).toEqual(second.expires_at);
    const expiresAt = new Date(Date.now() + 120_000);
    const brief = await createKey(t.sql, { tenantId: id, scopes: ['ingest'], expiresAt });
    const briefly = clientOf(brief.key).v2.billing.meterEventSession;
    const session = await briefly.create();
    expect(new Date(session.expires_at)).toEqual(expiresAt);
    expect((await briefly.create()).id).toBe(session.id);
  });

  it('sends many by a session, whose token does nothing else and ends', async () => {
    const { id, stripe } = await client();
    const session = await stripe.v2.billing.meterEventSession.create();
    const left = new Date(session.expires_at).getTime() - Date.now();
    expect([left > 14 * 60_000, left <= 15 * 60_000]).toEqual([true, true]);
    expect((await stripe.v2.billing.meterEventSession.create()).authentication_token).toBe(
      session.authentication_token,
    );
    const streaming = clientOf(session.authentication_token);
    const events = Array.from({ length: 100 }, (_, i) => ({
      event_name: 'tokens',
      payload: payload(String(i)),
    }));
    await streaming.v2.billing.meterEventStream.create({ events });
    expect(await countOf(id)).toBe(100);
    expect(await failing(streaming.billing.meters.list())).toMatchObject({ statusCode: 403 });
    const { rows } = await t.sql.query('select scopes, tenant_id from api_key where id = $1', [session.id]);
    expect(rows).toEqual([{ scopes: ['ingest'], tenant_id: id }]);
    // One that has ended, and that this instance does not remember.
    const ended = await createKey(t.sql, {
      tenantId: id,
      scopes: ['ingest'],
      expiresAt: new Date(Date.now() - 1_000),
    });
    const late = clientOf(ended.key).v2.billing.meterEventStream.create({ events: events.slice(0, 1) });
    expect(await failing(late)).toMatchObject({ type: 'TemporarySessionExpiredError', statusCode: 401 });
  });

  it('makes, reads and lists meters, and reads their summaries', async () => {
    const { stripe } = await client();
    const made = await stripe.billing.meters.create({
      display_name: 'Tokens used',
      event_name: 'tokens.used',
      default_aggregation: { formula: 'sum' },
      customer_mapping: { event_payload_key: 'stripe_customer_id', type: 'by_id' },
      value_settings: { event_payload_key: 'amount' },
    });
    expect(made).toMatchObject({
      object: 'billing.meter',
      display_name: 'Tokens used',
      event_name: 'tokens.used',
      default_aggregation: { formula: 'sum' },
      value_settings: { event_payload_key: 'amount' },
      status: 'active',
    });
    expect(await stripe.billing.meters.retrieve(made.id)).toEqual(made);
    for (const formula of ['count', 'last'] as const) {
      await stripe.billing.meters.create({
        display_name: formula,
        event_name: formula,
        default_aggregation: { formula },
      });
    }
    const names: string[] = [];
    for await (const { event_name } of stripe.billing.meters.list({ limit: 2 })) names.push(event_name);
    expect(names).toEqual(['last', 'count', 'tokens.used']);
    expect((await stripe.billing.meters.list({ status: 'inactive' })).data).toEqual([]);

    const hour = Math.floor(Date.now() / 1_000 / HOUR) * HOUR - 5 * HOUR;
    for (const [after, amount, customer] of [
      [60, '0.1', 'cus_1'],
      [120, '0.2', 'cus_1'],
      [HOUR, '7', 'cus_1'],
      [60, '100', 'cus_2'],
      [60, 'none', 'cus_1'],
    ] as const) {
      await stripe.billing.meterEvents.create({
        event_name: 'tokens.used',
        payload: { stripe_customer_id: customer, amount },
        timestamp: hour + after,
      });
    }
    const range = { customer: 'cus_1', start_time: hour, end_time: hour + 3 * HOUR };
    const total = await stripe.billing.meters.listEventSummaries(made.id, range);
    expect(total.data).toEqual([
      expect.objectContaining({
        object: 'billing.meter_event_summary',
        aggregated_value: 7.3,
        start_time: hour,
        end_time: hour + 3 * HOUR,
        meter: made.id,
      }),
    ]);
    expect(total.data[0]).toMatchObject({ aggregated_value_decimal: '7.3' });
    const byHour: [number, number][] = [];
    const grouped = { ...range, value_grouping_window: 'hour', limit: 1 } as const;
    for await (const summary of stripe.billing.meters.listEventSummaries(made.id, grouped)) {
      byHour.push([summary.start_time - hour, summary.aggregated_value]);
    }
    expect(byHour).toEqual([
      [HOUR, 7],
      [0, 0.3],
    ]);
    const none = await stripe.billing.meters.listEventSummaries(made.id, { ...range, customer: 'cus_9' });
    expect(none.data.map(({ aggregated_value }) => aggregated_value)).toEqual([0]);
    // Of all hours until the year 5138, each would be listed.
    const ever = { ...grouped, limit: 100, start_time: 0, end_time: 27_777_777 * HOUR };
    const all = await stripe.billing.meters.listEventSummaries(made.id, ever);
    expect(all.data.map(({ start_time, aggregated_value }) => [start_time - hour, aggregated_value])).toEqual(
      byHour,
    );
    const odd = stripe.billing.meters.listEventSummaries(made.id, { ...range, start_time: hour + 1 });
    expect(await failing(odd)).toMatchObject({ type: 'StripeInvalidRequestError', statusCode: 400 });
  });

  it('cancels events by v1 and v2, whose ids stay known', async () => {
    const { id, key, stripe } = await client();
    const event = (identifier: string) => ({ event_name: 'tokens', payload: payload('25'), identifier });
    const adjustment = (identifier: string, event_name = 'tokens') => ({
      ...{ event_name, type: 'cancel' as const, cancel: { identifier } },
    });
    for (const identifier of ['id-1', 'id-2', 'id-3'])
      await stripe.billing.meterEvents.create(event(identifier));
    const first = { ...adjustment('id-1'), object: 'billing.meter_event_adjustment', status: 'complete' };
    expect(await stripe.billing.meterEventAdjustments.create(adjustment('id-1'))).toMatchObject(first);
    const second = await stripe.v2.billing.meterEventAdjustments.create(adjustment('id-2'));
    expect(second).toMatchObject({
      ...{ ...adjustment('id-2'), object: 'v2.billing.meter_event_adjustment', status: 'complete' },
      ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), created: expect.any(String) },
    });
    // What its client has no answer to, it sends again.
    expect(await stripe.v2.billing.meterEventAdjustments.create(adjustment('id-2'))).toMatchObject({
      id: second.id,
      created: second.created,
    });
    await stripe.billing.meterEvents.create(event('id-1'));
    await stripe.billing.meterEvents.create(event('id-4'));
    const create = () => stripe.v2.billing.meterEventAdjustments.create(adjustment('id-4'));
    const atOnce = await Promise.all([create(), create(), create(), create()]);
    expect(new Set(atOnce.map((answer) => answer.id)).size).toBe(1);
    expect(await countOf(id)).toBe(1);
    const { body } = await t.call('GET', '/v1/events?state=voided', { key });
    const voided = body.data.map(({ eventId }: { eventId: string }) => eventId);
    expect(voided.sort()).toEqual(['id-1', 'id-2', 'id-4']);

    const refused = [
      [adjustment('id-9'), 404, 'not_found'],
      [adjustment('id-3', 'others'), 404, 'not_found'],
      [{ ...adjustment('id-3'), type: 'undo' as 'cancel' }, 400, 'invalid_request'],
      [{ event_name: 'tokens', type: 'cancel' as const }, 400, 'invalid_request'],
    ] as const;
    for (const [wanted, statusCode, code] of refused) {
      for (const create of [
        () => stripe.billing.meterEventAdjustments.create(wanted),
        () => stripe.v2.billing.meterEventAdjustments.create(wanted as ReturnType<typeof adjustment>),
      ]) {
        expect(await failing(create())).toMatchObject({ statusCode, code });
      }
    }
    const { key: sender } = await createKey(t.sql, { tenantId: id, scopes: ['ingest', 'read', 'admin'] });
    const forbidden = clientOf(sender).billing.meterEventAdjustments.create(adjustment('id-3'));
    expect(await failing(forbidden)).toMatchObject({ statusCode: 403, code: 'scope_missing' });
    expect(await countOf(id)).toBe(1);
  });

  it('is told what is wrong in the errors that it has', async () => {
    const { id, stripe } = await client();
    const noCustomer = { event_name: 'tokens', payload: { value: '1' } };
    expect(await failing(stripe.billing.meterEvents.create(noCustomer))).toEqual({
      type: 'StripeInvalidRequestError',
      code: 'invalid_events',
      statusCode: 400,
      param: 'payload[stripe_customer_id]',
    });
    expect(await failing(stripe.v2.billing.meterEvents.create(noCustomer))).toMatchObject({
      type: 'StripeInvalidRequestError',
    });
    expect(await countOf(id)).toBe(0);
    const stranger = clientOf('tm_wrong').billing.meters.list();
    expect(await failing(stranger)).toMatchObject({ type: 'StripeAuthenticationError', statusCode: 401 });
    expect(await failing(stripe.billing.meters.retrieve(randomUUID()))).toMatchObject({ statusCode: 404 });
    const meter = { display_name: 'A', event_name: 'a', default_aggregation: { formula: 'sum' } } as const;
    await stripe.billing.meters.create(meter);
    const began = Date.now();
    expect(await failing(stripe.billing.meters.create(meter))).toMatchObject({
      code: 'meter_exists',
      statusCode: 409,
    });
    expect(Date.now() - began).toBeLessThan(30_000);
    const byDay = { ...meter, event_name: 'b', event_time_window: 'day' as const };
    expect(await failing(stripe.billing.meters.create(byDay))).toMatchObject({
      statusCode: 400,
      param: 'event_time_window',
    });
  });
});
