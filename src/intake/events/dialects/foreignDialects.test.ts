import { describe, expect, it, test } from 'vitest';
import { type Dialect, type EventFormat, parseEvents } from '../parseEvents.ts';

const NOW = Date.parse('2026-11-20T12:00:00Z') * 1_000;
const RULES = {
  tenantId: 'shop',
  earliestMicros: Number.NaN,
  latestMicros: Number.NaN,
  receivedMicros: NOW,
};
/** @param json as it comes, so that numbers keep their digits. */
const parse = (dialect: Dialect, json: unknown, format: Partial<EventFormat> = {}) =>
  parseEvents(
    Buffer.from(typeof json === 'string' ? json : JSON.stringify(json)),
    { dialect, framing: 'json', ...format },
    RULES,
    10,
  );
const one = (dialect: Dialect, json: unknown, format?: Partial<EventFormat>) => {
  const { events, faults } = parse(dialect, json, format);
  expect(faults).toEqual([]);
  expect(events.length).toBe(1);
  return events[0]!;
};
const faultsOf = (dialect: Dialect, json: unknown) =>
  parse(dialect, json).faults.map(({ pointer, code }) => [pointer, code]);

const cloudEvent = (fields: object = {}) => ({
  specversion: '1.0',
  id: 'c-1',
  source: 'gateway',
  type: 'prompt',
  subject: 'acme',
  ...fields,
});

describe('the document of a foreign event', () => {
  const metadataOf = (data: string) => {
    const json = JSON.stringify(cloudEvent({ data: 0 })).replace('"data":0', `"data":${data}`);
    return one('openmeter', json);
  };

  it('becomes columns where it has the name and the form of one', () => {
    const event = metadataOf(
      '{"tokens":12,"model":"m","latencyMs":1.5,"inputTokens":4,"outputTokens":8,"value":"12.50","unit":"EUR","apiEndpoint":"/a","sessionId":"s","other":[1]}',
    );
    expect(event).toMatchObject({
      tokens: 12,
      model: 'm',
      latencyMs: 1.5,
      inputTokens: 4,
      outputTokens: 8,
      value: '12.5',
      unit: 'EUR',
      endpoint: '/a',
      reference: 's',
      metadata: '{"other":[1]}',
    });
  });

  test.each([
    ['"tokens":"12"', 'tokens'],
    ['"tokens":1.5', 'tokens'],
    ['"tokens":-1', 'tokens'],
    ['"tokens":null', 'tokens'],
    ['"tokens":123456789012345678901', 'tokens'],
    ['"inputTokens":true', 'inputTokens'],
    ['"outputTokens":{"a":1}', 'outputTokens'],
    ['"latencyMs":"fast"', 'latencyMs'],
    ['"model":7', 'model'],
    ['"model":""', 'model'],
    ['"value":"NaN"', 'value'],
    ['"value":""', 'value'],
    ['"value":null', 'value'],
    ['"value":1e-30', 'value'],
    ['"value":"0.1234567890123456789"', 'value'],
    ['"value":0.1234567890123456789', 'value'],
    ['"unit":5', 'unit'],
    [`"unit":"${'x'.repeat(65)}"`, 'unit'],
    ['"reference":["a"]', 'reference'],
    ['"apiEndpoint":false', 'endpoint'],
  ])('keeps %s as it came', (member, column) => {
    const event = metadataOf(`{${member}}`);
    expect(event[column as 'tokens']).toBe(null);
    expect(event.metadata).toBe(`{${member}}`);
  });

  it('takes a session for the reference only where there is no other', () => {
    expect(metadataOf('{"reference":"r","sessionId":"s"}')).toMatchObject({
      reference: 'r',
      metadata: '{"sessionId":"s"}',
    });
    expect(metadataOf('{"sessionId":"s","reference":5}')).toMatchObject({
      reference: null,
      metadata: '{"sessionId":"s","reference":5}',
    });
    expect(metadataOf('{"reference":"r","sessionId":"r"}')).toMatchObject({ reference: 'r', metadata: null });
  });

  it('keeps members of any name, and the digits of numbers', () => {
    expect(metadataOf('{"__proto__":{"a":1},"n":12345678901234567890.5}').metadata).toBe(
      '{"__proto__":{"a":1},"n":12345678901234567890.5}',
    );
  });
});

describe('an event of OpenMeter', () => {
  it('has the identity of the same CloudEvent', () => {
    expect(one('openmeter', cloudEvent()).eventId).toBe(one('cloudevents', cloudEvent()).eventId);
    expect(one('openmeter', cloudEvent())).toMatchObject({
      customerId: 'acme',
      eventType: 'prompt',
      sourceId: 'gateway',
      tsMicros: NOW,
      metadata: null,
    });
  });

  it('needs no endpoint, and its data go before extensions', () => {
    const event = one(
      'openmeter',
      cloudEvent({ type: 'api.request', region: 'eu', tier: 1, data: { tier: 2 } }),
    );
    expect(event).toMatchObject({ endpoint: null, metadata: '{"region":"eu","tier":2}' });
  });

  test.each([
    [{ data: 'text' }, '/data', 'type_invalid'],
    [{ data: [1] }, '/data', 'type_invalid'],
    [{ datacontenttype: 'application/xml', data: {} }, '/datacontenttype', 'type_invalid'],
    [{ data_base64: 'e30=' }, '/data_base64', 'type_invalid'],
    [{ subject: '' }, '/subject', 'too_short'],
    [{ subject: null }, '/subject', 'required'],
    [{ specversion: '0.3' }, '/specversion', 'not_allowed'],
    [{ time: 'yesterday' }, '/time', 'timestamp_invalid'],
    [{ 'not-a-name': 1 }, '/not-a-name', 'unknown_field'],
    [{ nested: {} }, '/nested', 'unknown_field'],
  ])('is refused with %j', (fields, pointer, code) => {
    expect(faultsOf('openmeter', cloudEvent(fields))).toEqual([[pointer, code]]);
  });

  it('is refused where its data are a number of many digits', () => {
    const json = JSON.stringify(cloudEvent({ data: 0 })).replace('"data":0', '"data":12345678901234567890');
    expect(faultsOf('openmeter', json)).toEqual([['/data', 'type_invalid']]);
  });
});

describe('an event of Stripe', () => {
  const meterEvent = (fields: object = {}) => ({
    event_name: 'tokens',
    payload: { stripe_customer_id: 'cus_1', value: '25' },
    ...fields,
  });

  it('is about the customer of its payload, by its identifier', () => {
    expect(one('stripe', meterEvent({ identifier: 'i-1', timestamp: '1795000000' }))).toMatchObject({
      externalId: 'i-1',
      customerId: 'cus_1',
      eventType: 'tokens',
      value: '25',
      tsMicros: 1_795_000_000_000_000,
      metadata: null,
    });
  });

  it('comes many in an envelope', () => {
    const { events } = parse('stripe', { events: [meterEvent(), meterEvent()] }, { envelope: 'events' });
    expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(2);
  });

  test.each([
    [{ payload: { value: '1' } }, '/payload/stripe_customer_id', 'required'],
    [{ payload: 'x' }, '/payload', 'type_invalid'],
    [{ event_name: '' }, '/event_name', 'too_short'],
    [{ color: 'red' }, '/color', 'unknown_field'],
  ])('is refused with %j', (fields, pointer, code) => {
    expect(faultsOf('stripe', meterEvent(fields))).toEqual([[pointer, code]]);
  });
});

describe('an event of Lago', () => {
  const event = (fields: object = {}) => ({
    transaction_id: 'tx',
    external_subscription_id: 'sub',
    code: 'gb',
    ...fields,
  });

  it('is told apart by subscription and transaction, whatever its time', () => {
    const first = one('lago', { event: event({ timestamp: 1_795_000_000.5 }) }, { envelope: 'event' });
    expect(first).toMatchObject({ customerId: 'sub', externalId: 'tx', tsMicros: 1_795_000_000_500_000 });
    expect(one('lago', event({ timestamp: '1795000001' })).eventId).toBe(first.eventId);
    expect(one('lago', event({ external_subscription_id: 'other' })).eventId).not.toBe(first.eventId);
    expect(one('lago', event({ transaction_id: 'ty' })).eventId).not.toBe(first.eventId);
  });

  it('keeps its properties and its amount', () => {
    const sent = event({ properties: { gb: '1.5' }, precise_total_amount_cents: '12.30', anything: 'else' });
    expect(one('lago', sent).metadata).toBe('{"precise_total_amount_cents":"12.30","gb":"1.5"}');
  });
});

describe('events of Orb and Metronome', () => {
  it('are told apart by what their clients call idempotency key and transaction', () => {
    const orb = { event_name: 'job', idempotency_key: 'k', properties: { a: 1 }, customer_id: 'acme' };
    expect(one('orb', { ...orb, timestamp: '2026-11-20T10:00:00' })).toMatchObject({
      externalId: 'k',
      customerId: 'acme',
      tsMicros: Date.parse('2026-11-20T10:00:00Z') * 1_000,
      metadata: '{"a":1}',
    });
    const usage = {
      transaction_id: 't',
      customer_id: 'acme',
      event_type: 'job',
      timestamp: '2026-11-20T10:00:00Z',
    };
    expect(one('metronome', usage)).toMatchObject({ externalId: 't', eventType: 'job', metadata: null });
    expect(faultsOf('metronome', { ...usage, timestamp: undefined })).toEqual([['/timestamp', 'required']]);
    expect(faultsOf('orb', { ...orb, timestamp: '2026-11-20T10:00:00Z', external_customer_id: 'b' })).toEqual(
      [['', 'type_invalid']],
    );
  });
});

describe('an envelope', () => {
  test.each([
    ['[]', 'an object with the member events'],
    ['5', 'an object with the member events'],
    ['{}', 'events is required'],
    ['{"events":5}', 'events is required'],
    ['{"event":{}}', 'events is required'],
  ])('is missed in %s', (json, message) => {
    expect(() => parse('orb', json, { envelope: 'events' })).toThrow(message);
  });
});
