import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { CloudEvent, type CloudEventV1, emitterFor, HTTP, type Message, Mode } from 'cloudevents';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServer, listen } from '../../../src/faces/http/server.ts';
import { describeEngine } from '../../support/database.ts';
import { converse } from '../../support/rawHttp.ts';
import { startTestService, type TestService } from '../../support/service.ts';

const STRUCTURED = { 'content-type': 'application/cloudevents+json' };

const aCloudEvent = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
  specversion: '1.0',
  id: randomUUID(),
  source: '/gateways/eu-1',
  type: 'api.request',
  subject: 'acme',
  data: { apiEndpoint: '/api/completion', tokens: 10 },
  ...fields,
});

describeEngine('CloudEvents', () => {
  let t: TestService;
  let server: HttpServer;
  beforeAll(async () => {
    t = await startTestService();
    server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
  });
  afterAll(async () => {
    await server.close(0);
    await t.stop();
  });

  const post = (key: string, body: unknown, headers: Record<string, string> = STRUCTURED, query = '') =>
    t.call('POST', `/v1/events${query}`, { key, body, headers });
  const stored = async (key: string) => (await t.call('GET', '/v1/events', { key })).body.data;
  const countOf = async (id: string) =>
    (await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [id])).rows[0].n;

  describe('from the SDK', () => {
    const time = new Date(Date.now() - 1_000).toISOString();
    const anSdkEvent = (fields: Partial<CloudEventV1<unknown>> = {}) =>
      new CloudEvent({
        id: 'order 17/ü "1"',
        source: 'https://shop.example/orders?a=1',
        type: 'order.placed',
        subject: 'customer-7',
        time,
        data: {
          value: '12.50',
          unit: 'EUR',
          sessionId: 's-1',
          tokens: 3,
          model: 'gpt-4',
          items: [{ sku: 'a' }],
        },
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        attempt: 2,
        ...fields,
      });
    const expected = (id: string) => ({
      eventId: 'https://shop.example/orders?a=1 order 17/ü "1"',
      timestamp: time,
      receivedAt: expect.any(String),
      tenantId: id,
      customerId: 'customer-7',
      eventType: 'order.placed',
      sourceId: 'https://shop.example/orders?a=1',
      reference: 's-1',
      unit: 'EUR',
      value: '12.5',
      metadata: {
        tokens: 3,
        model: 'gpt-4',
        items: [{ sku: 'a' }],
        traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        attempt: expect.toSatisfy((attempt: unknown) => String(attempt) === '2'),
      },
    });
    const send = async (key: string, message: Message) => {
      const response = await fetch(`${server.address}/v1/events`, {
        method: 'POST',
        headers: { ...(message.headers as Record<string, string>), authorization: `Bearer ${key}` },
        body: message.body as string,
      });
      return { status: response.status, body: await response.json() };
    };

    it.each([
      ['structured', Mode.STRUCTURED],
      ['binary', Mode.BINARY],
    ])('in %s mode', async (_, mode) => {
      const { id, key } = await t.tenant();
      const answers: unknown[] = [];
      const emit = emitterFor(async (message) => void answers.push(await send(key, message)), { mode });
      // The SDK does not percent-encode headers, so a binary event has an id that needs none.
      const event = anSdkEvent(mode === Mode.BINARY ? { id: 'order-17' } : {});
      await emit(event);
      await emit(event);
      expect(answers).toEqual([
        { status: 200, body: { accepted: 1, duplicates: 0 } },
        { status: 200, body: { accepted: 0, duplicates: 1 } },
      ]);
      const eventId = `https://shop.example/orders?a=1 ${event.id}`;
      expect(await stored(key)).toEqual([{ ...expected(id), eventId }]);
    });

    it('in a batch', async () => {
      const { id, key } = await t.tenant();
      const events = [anSdkEvent(), anSdkEvent({ id: '2' }), anSdkEvent({ id: '2', source: '/other' })];
      const body = JSON.stringify(events);
      const headers = { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' };
      expect(await send(key, { headers, body })).toEqual({
        status: 200,
        body: { accepted: 3, duplicates: 0 },
      });
      const found = (await stored(key)).find(({ eventId }: { eventId: string }) => eventId.endsWith('"1"'));
      expect(found).toEqual(expected(id));
    });

    it('is the same event in either mode, with bytes as data too', async () => {
      const { key } = await t.tenant();
      const data = new Uint8Array(new Uint32Array([0xdeadbeef, 0]).buffer);
      const event = new CloudEvent({
        source: '/s',
        type: 'blob',
        subject: 'c',
        datacontenttype: 'image/png',
        data,
      });
      const modes = [HTTP.structured(event), HTTP.binary(event)];
      expect((await send(key, modes[0]!)).body).toEqual({ accepted: 1, duplicates: 0 });
      expect((await send(key, modes[1]!)).body).toEqual({ accepted: 0, duplicates: 1 });
      expect((await stored(key))[0].metadata).toEqual({
        data_base64: Buffer.from(data).toString('base64'),
        datacontenttype: 'image/png',
      });
    });
  });

  it('take parameters of the content type, gzip, respond-async and onInvalid=skip', async () => {
    const { id, key } = await t.tenant();
    const type = { 'content-type': 'Application/CloudEvents+JSON; charset=UTF-8; x="y"' };
    expect((await post(key, aCloudEvent(), type)).body).toEqual({ accepted: 1, duplicates: 0 });
    const zipped = { 'content-type': 'application/cloudevents-batch+json', 'content-encoding': 'gzip' };
    const batch = gzipSync(JSON.stringify([aCloudEvent(), aCloudEvent()]));
    expect((await post(key, batch, zipped)).body).toEqual({ accepted: 2, duplicates: 0 });
    const later = await post(key, aCloudEvent(), { ...STRUCTURED, prefer: 'respond-async' });
    expect([later.status, later.body]).toEqual([202, { queued: 1 }]);
    const mixed = [aCloudEvent(), aCloudEvent({ subject: undefined })];
    const skipped = await post(key, mixed, STRUCTURED, '?onInvalid=skip');
    expect(skipped.body).toMatchObject({
      accepted: 1,
      rejected: 1,
      results: [{}, { errors: [{ pointer: '/subject' }] }],
    });
    await expect.poll(() => countOf(id)).toBe(5);
  });

  it('without a time happen when they are received, and a retry is counted once', async () => {
    const { id, key } = await t.tenant();
    const event = aCloudEvent();
    const before = Date.now();
    for (const accepted of [1, 0, 0]) {
      expect((await post(key, event)).body).toEqual({ accepted, duplicates: 1 - accepted });
    }
    expect((await post(key, { ...event, time: null })).body.duplicates).toBe(1);
    const [{ timestamp }] = await stored(key);
    expect(Date.parse(timestamp)).toBeGreaterThanOrEqual(before);
    expect(Date.parse(timestamp)).toBeLessThanOrEqual(Date.now());
    expect(await countOf(id)).toBe(1);
  });

  it('are told apart by source and id, and never taken for a native event', async () => {
    const { id, key } = await t.tenant();
    const pairs = [
      ['a b', 'c'],
      ['a', 'b c'],
      ['a', 'b'],
      ['b', 'a'],
    ];
    for (const [eventId, source] of pairs.map(([source, id]) => [id, source!.replace(' ', '%20')])) {
      expect((await post(key, aCloudEvent({ id: eventId, source }))).body.accepted).toBe(1);
    }
    const uuid = randomUUID();
    await post(key, aCloudEvent({ id: uuid }));
    for (const eventId of [uuid, 'b', 'a b', '["a","b"]']) {
      const native = { eventId, timestamp: new Date().toISOString(), customerId: 'c', apiEndpoint: '/' };
      const answer = await t.call('POST', '/v1/events', { key, body: native });
      expect(answer.body).toEqual({ accepted: 1, duplicates: 0 });
    }
    expect(await countOf(id)).toBe(9);
  });

  it.each([
    ['an array', [1, 'a'], { data: [1, 'a'] }],
    ['a text', 'hello', { data: 'hello' }],
    ['a number', 0, { data: 0 }],
    ['false', false, { data: false }],
    ['nothing', undefined, {}],
    ['null', null, {}],
  ])('keep data that are %s', async (_, data, metadata) => {
    const { key } = await t.tenant();
    expect((await post(key, aCloudEvent({ type: 'x', data }))).status).toBe(200);
    expect((await stored(key))[0].metadata).toEqual(metadata);
  });

  it('read JSON from data_base64, keep other content as it is', async () => {
    const { key } = await t.tenant();
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    const send = (fields: Record<string, unknown>) =>
      post(key, aCloudEvent({ type: 'x', data: undefined, ...fields }));
    await send({ datacontenttype: 'application/vnd.x+json; a=b', data_base64: base64('{"tokens":7,"a":1}') });
    expect((await stored(key))[0].metadata).toEqual({ tokens: 7, a: 1 });
    await send({ datacontenttype: 'text/plain', data: 'hi', dataschema: 'urn:x' });
    expect((await stored(key))[0].metadata).toEqual({
      data: 'hi',
      datacontenttype: 'text/plain',
      dataschema: 'urn:x',
    });
    await send({ data_base64: 'AAE=' });
    expect((await stored(key))[0].metadata).toEqual({ data_base64: 'AAE=' });
    const refused: [Record<string, unknown>, string, string][] = [
      [{ data_base64: 'not base64!' }, '/data_base64', 'type_invalid'],
      [{ data_base64: 'AAE=', data: {} }, '/data_base64', 'data_conflict'],
      [{ data_base64: 'AAE=', datacontenttype: 'application/json' }, '/data_base64', 'data_invalid'],
    ];
    for (const [fields, pointer, code] of refused) {
      expect((await send(fields)).body.errors).toMatchObject([{ pointer, code }]);
    }
  });

  it.each([
    [{ specversion: undefined }, '/specversion', 'required'],
    [{ specversion: '0.3' }, '/specversion', 'not_allowed'],
    [{ specversion: 1 }, '/specversion', 'not_allowed'],
    [{ id: undefined }, '/id', 'required'],
    [{ id: null }, '/id', 'required'],
    [{ id: '' }, '/id', 'too_short'],
    [{ id: 5 }, '/id', 'type_invalid'],
    [{ id: 'x'.repeat(257) }, '/id', 'too_long'],
    [{ id: '\ud800' }, '/id', 'text_invalid'],
    [{ source: undefined }, '/source', 'required'],
    [{ source: 'a b' }, '/source', 'type_invalid'],
    [{ type: undefined }, '/type', 'required'],
    [{ type: '' }, '/type', 'too_short'],
    [{ subject: undefined }, '/subject', 'required'],
    [{ subject: null }, '/subject', 'required'],
    [{ subject: 'a\u0000' }, '/subject', 'text_invalid'],
    [{ subject: 'a\ud800' }, '/subject', 'text_invalid'],
    [{ time: 'yesterday' }, '/time', 'timestamp_invalid'],
    [{ time: '2026-01-01' }, '/time', 'timestamp_invalid'],
    [{ time: 5 }, '/time', 'type_invalid'],
    [{ time: '2001-01-01T00:00:00Z' }, '/time', 'timestamp_too_old'],
    [{ time: '2101-01-01T00:00:00Z' }, '/time', 'timestamp_too_new'],
    [{ data: { tokens: 1 } }, '/data/apiEndpoint', 'required'],
    [{ type: 'x', data: { tokens: -1 } }, '/data/tokens', 'out_of_range'],
    [{ type: 'x', data: { tokens: '5' } }, '/data/tokens', 'type_invalid'],
    [{ type: 'x', data: { model: {} } }, '/data/model', 'type_invalid'],
    [{ type: 'x', data: { value: 'high' } }, '/data/value', 'value_invalid'],
    [{ type: 'x', data: { value: {} } }, '/data/value', 'type_invalid'],
    [{ type: 'x', data: { reference: 'a', sessionId: 'b' } }, '/data/sessionId', 'reference_conflict'],
    [{ type: 'x', data: { a: 'x'.repeat(70_000) } }, '/data', 'metadata_too_large'],
    [{ type: 'counter.increment', data: {} }, '/data/value', 'value_not_positive'],
    [{ dataContentType: 'x' }, '/dataContentType', 'unknown_field'],
    [{ trace_id: 'x' }, '/trace_id', 'unknown_field'],
    [{ extension: {} }, '/extension', 'type_invalid'],
    [{ data_base64: 'A'.repeat(200_000), data: undefined, type: 'x' }, '/data_base64', 'too_long'],
    [Object.fromEntries(Array.from({ length: 99 }, (_, i) => [`x${i}`, 1])), '', 'too_many_attributes'],
    [{ tokens: 5 }, '/tokens', 'attribute_conflict'],
    [{ region: 'eu', data: { apiEndpoint: '/', region: 'us' } }, '/region', 'attribute_conflict'],
  ])('are refused with %j', async (fields, pointer, code) => {
    const { id, key } = await t.tenant();
    const answer = await post(key, [aCloudEvent(), aCloudEvent(fields)]);
    expect(answer.body).toMatchObject({
      status: 422,
      code: 'invalid_events',
      errors: [{ index: 1, pointer, code }],
    });
    expect(await countOf(id)).toBe(0);
  });

  it('are refused as what is none', async () => {
    const { id, key } = await t.tenant();
    for (const body of ['5', 'null', '"x"', '[[]]']) {
      expect((await post(key, body)).body.errors).toMatchObject([{ pointer: '', code: 'type_invalid' }]);
    }
    expect((await post(key, '{')).body.code).toBe('invalid_json');
    expect((await post(key, '[]')).body.code).toBe('empty_batch');
    const poison = '{"__proto__":{"subject":"x","id":"x"}}';
    expect((await post(key, poison)).body.code).toBe('invalid_events');
    for (const type of [
      'application/cloudevents',
      'application/cloudevents+avro',
      'application/cloudevents+xml',
    ]) {
      const answer = await post(key, aCloudEvent(), { 'content-type': type, 'ce-specversion': '1.0' });
      expect(answer.body).toMatchObject({ status: 415, code: 'unsupported_media_type' });
    }
    expect(await countOf(id)).toBe(0);
    const platform = await t.call('POST', '/v1/events', { body: aCloudEvent(), headers: STRUCTURED });
    expect(platform.body).toMatchObject({ status: 400, code: 'tenant_required' });
    const headers = { ...STRUCTURED, 'x-tenant-id': id };
    expect((await t.call('POST', '/v1/events', { body: aCloudEvent(), headers })).status).toBe(200);
  });

  describe('in binary mode', () => {
    const CE = {
      'ce-specversion': '1.0',
      'ce-id': '1',
      'ce-source': '/s',
      'ce-type': 'x',
      'ce-subject': 'acme',
      'content-type': 'application/json',
    };

    it('have their headers decoded as the binding says', async () => {
      const { key } = await t.tenant();
      const headers = {
        ...CE,
        'ce-subject': 'Euro%20%E2%82%AC%20%F0%9F%98%80 100% %zz',
        'ce-id': '"a \\"quoted\\" \\\\ %E2%82%AC"',
        'ce-note': '%48i',
        'content-type': 'application/json; charset=utf-8',
      };
      expect((await post(key, { a: 1 }, headers)).body).toEqual({ accepted: 1, duplicates: 0 });
      expect((await stored(key))[0]).toMatchObject({
        customerId: 'Euro € 😀 100% %zz',
        eventId: '/s a "quoted" \\ €',
        metadata: { a: 1, note: 'Hi' },
      });
    });

    it('keep a body that is not JSON, and need none', async () => {
      const { key } = await t.tenant();
      const send = (id: string, body: unknown, type: string) =>
        post(key, body, { ...CE, 'ce-id': id, 'content-type': type });
      await send('1', 'hello', 'text/plain');
      expect((await stored(key))[0].metadata).toEqual({ data: 'hello', datacontenttype: 'text/plain' });
      await send('2', Buffer.from([0xff, 0]), 'application/octet-stream');
      expect((await stored(key))[0].metadata).toMatchObject({ data_base64: '/wA=' });
      expect((await send('3', '', 'application/json')).status).toBe(200);
      expect((await stored(key))[0].metadata).toEqual({});
    });

    it.each([
      [{ 'ce-id': '' }, 'invalid_events', '/id'],
      [{ 'ce-subject': '%00' }, 'invalid_events', '/subject'],
      [{ 'ce-specversion': '0.3' }, 'invalid_events', '/specversion'],
      [{ 'ce-time': 'now' }, 'invalid_events', '/time'],
      [{ 'ce-my-extension': 'x' }, 'invalid_events', '/my-extension'],
      [{ 'ce-subject': '%ff' }, 'invalid_request', undefined],
      [{ 'ce-subject': 'a\x80' }, 'invalid_request', undefined],
      [{ 'ce-data': 'x' }, 'invalid_request', undefined],
    ])('are refused with %j', async (headers, code, pointer) => {
      const { id, key } = await t.tenant();
      const answer = await post(key, {}, { ...CE, ...headers });
      const status = code === 'invalid_events' ? 422 : 400;
      expect(answer.body).toMatchObject({ status, code, ...(pointer && { errors: [{ pointer }] }) });
      expect(await countOf(id)).toBe(0);
    });

    it('are refused when the body is not what the content type says', async () => {
      const { key } = await t.tenant();
      expect((await post(key, '{', CE)).body).toMatchObject({ status: 400, code: 'invalid_json' });
      expect((await post(key, Buffer.from([0xff]), CE)).body.code).toBe('invalid_encoding');
    });

    it('may have each header once', async () => {
      const { key } = await t.tenant();
      const lines = Object.entries({
        ...CE,
        host: 'x',
        authorization: `Bearer ${key}`,
        'content-length': '2',
      });
      const head = [...lines, ['ce-id', '2']].map(([name, value]) => `${name}: ${value}\r\n`).join('');
      const { answers } = await converse(server.address, `POST /v1/events HTTP/1.1\r\n${head}\r\n{}`);
      expect(JSON.parse(answers[0]!.body)).toMatchObject({ status: 400, code: 'invalid_request' });
    });
  });
});
