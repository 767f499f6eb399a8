import { Metronome } from '@metronome/sdk';
import { Orb } from 'orb-billing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../../support/database.ts';
import { type ListeningService, startListeningService } from '../../../support/listening.ts';

describeEngine('clients of which only ingest is taken', () => {
  let t: ListeningService;
  beforeAll(async () => {
    t = await startListeningService();
  });
  afterAll(() => t.stop());

  const countOf = async (id: string) =>
    (await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [id])).rows[0].n;
  const failing = async (work: PromiseLike<unknown>) => {
    try {
      await work;
    } catch (error) {
      const {
        status,
        error: body,
        constructor: made,
      } = error as { status: number; error: unknown; constructor: { name: string } };
      return { status, name: made.name, body };
    }
    return undefined;
  };
  const minuteAgo = () => new Date(Date.now() - 60_000).toISOString();

  it('Orb: stores a request once, and says which events of it are wrong', async () => {
    const { id, key } = await t.tenant();
    const orb = new Orb({ apiKey: key, baseURL: t.server.address, maxRetries: 0 });
    const event = (idempotency_key: string, fields: object = {}) => ({
      event_name: 'job',
      idempotency_key,
      timestamp: minuteAgo().replace('Z', ''), // without a zone, as its documentation has it
      properties: { seconds: 12, tokens: 'few' },
      external_customer_id: 'acme',
      ...fields,
    });
    expect(await orb.events.ingest({ events: [event('a'), event('b')] })).toEqual({ validation_failed: [] });
    const again = await orb.events.ingest({ events: [event('b'), event('c')] }, { query: { debug: true } });
    expect(again).toEqual({ validation_failed: [], debug: { duplicate: ['b'], ingested: ['c'] } });
    expect(await countOf(id)).toBe(3);
    // Letters of another case are another key, but for a UUID's; of one that comes twice, one is stored.
    const other = (await t.tenant()).key;
    const debugging = new Orb({ apiKey: other, baseURL: t.server.address, maxRetries: 0 });
    const send = async (...keys: string[]) => {
      const events = keys.map((key) => event(key));
      const answer = await debugging.events.ingest({ events }, { query: { debug: true } });
      return (answer as { debug?: object }).debug;
    };
    const uuid = '5D0F1E5C-93A5-4F6D-8D5C-0C7F3A1B2D4E';
    expect(await send('b', uuid)).toEqual({ duplicate: [], ingested: ['b', uuid] });
    expect(await send('B', 'b', uuid, 'n', 'n')).toEqual({
      duplicate: ['b', uuid, 'n'],
      ingested: ['B', 'n'],
    });
    const { body } = await t.call('GET', '/v1/events?limit=1', { key });
    expect(body.data[0]).toMatchObject({
      customerId: 'acme',
      eventType: 'job',
      metadata: { seconds: 12, tokens: 'few' },
    });
    const wrong = [event('d'), event('e', { external_customer_id: null }), event('f', { customer_id: 'x' })];
    expect(await failing(orb.events.ingest({ events: wrong }))).toMatchObject({
      status: 400,
      name: 'RequestValidationError',
      body: {
        validation_failed: [
          { idempotency_key: 'e', validation_errors: [expect.stringContaining('exactly one of')] },
          { idempotency_key: 'f', validation_errors: [expect.stringContaining('exactly one of')] },
        ],
      },
    });
    expect(await countOf(id)).toBe(3);
    const stranger = new Orb({ apiKey: 'tm_wrong', baseURL: t.server.address, maxRetries: 0 });
    expect(await failing(stranger.events.ingest({ events: [event('g')] }))).toMatchObject({
      status: 401,
      name: 'OrbAuthenticationError',
    });
  });

  it('Metronome: stores a request once, and says what is wrong with it', async () => {
    const { id, key } = await t.tenant();
    const metronome = new Metronome({ bearerToken: key, baseURL: t.server.address, maxRetries: 0 });
    const event = (transaction_id: string, fields: object = {}) => ({
      transaction_id,
      customer_id: 'team@example.com',
      event_type: 'api_request',
      timestamp: minuteAgo(),
      properties: { cpu_hours: '1.5' },
      ...fields,
    });
    await metronome.v1.usage.ingest({ usage: [event('a'), event('b')] });
    await metronome.v1.usage.ingest({ usage: [event('b', { timestamp: new Date().toISOString() })] });
    expect(await countOf(id)).toBe(2);
    const { body } = await t.call('GET', '/v1/events?limit=1', { key });
    expect(body.data[0]).toMatchObject({ customerId: 'team@example.com', metadata: { cpu_hours: '1.5' } });
    const wrong = [event('c'), event('d', { customer_id: '' })];
    expect(await failing(metronome.v1.usage.ingest({ usage: wrong }))).toMatchObject({
      status: 400,
      name: 'BadRequestError',
      body: { message: expect.stringContaining('/customer_id'), code: 'invalid_events' },
    });
    expect(await countOf(id)).toBe(2);
    const stranger = new Metronome({ bearerToken: 'tm_wrong', baseURL: t.server.address, maxRetries: 0 });
    expect(await failing(stranger.v1.usage.ingest({ usage: [event('e')] }))).toMatchObject({
      status: 401,
      name: 'AuthenticationError',
    });
  });
});
