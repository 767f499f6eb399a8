import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServer, listen } from '../../../src/faces/http/server.ts';
import { describeEngine } from '../../support/database.ts';
import { type Answer, startTestService, type TestService } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const MIB = 1_048_576;
const SECOND = 1_000;
const DAY = 86_400_000;

/** pointer and code of each fault. */
const faultsOf = (answer: Answer): [string, string][] =>
  (answer.body.errors ?? []).map(({ pointer, code }: { pointer: string; code: string }) => [pointer, code]);

/** A valid event with some fields replaced; undefined leaves a field out. */
const eventWith = (fields: Record<string, unknown>): Record<string, unknown> => ({ ...anEvent(), ...fields });
const withMetadata = (metadata: unknown) => eventWith({ metadata });
/** The JSON of a valid event with a raw piece of JSON at its end. */
const jsonWith = (member: string) => `${JSON.stringify(anEvent()).slice(0, -1)},${member}}`;
const jsonWithMetadata = (members: string) =>
  JSON.stringify(anEvent()).replace('"tokens":10', `"tokens":10,${members}`);
const iso = (ms: number) => new Date(ms).toISOString();

describeEngine('what POST /v1/events refuses', () => {
  let t: TestService;
  let id: string;
  let key: string;
  beforeAll(async () => {
    t = await startTestService();
    ({ id, key } = await t.tenant());
  });
  afterAll(() => t.stop());

  const post = (body: unknown, headers: Record<string, string> = {}, query = '') =>
    t.call('POST', `/v1/events${query}`, { key, body, headers });

  const rows = async () => {
    const { rows } = await t.sql.query(
      `select (select count(*) from event) + (select count(*) from counted_key) + (select count(*) from customer) as n`,
    );
    return Number(rows[0].n);
  };

  /** Refused as a whole, and nothing of it stored. */
  const refuses = async (status: number, code: string, body: unknown, headers = {}, query = '') => {
    const before = await rows();
    const answer = await post(body, headers, query);
    expect(answer.body).toMatchObject({ status, code, requestId: answer.headers.get('x-request-id') });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(await rows()).toBe(before);
    return answer;
  };

  const refusesEvent = async (event: unknown, ...faults: [string, string][]) => {
    const answer = await refuses(422, 'invalid_events', event);
    expect(faultsOf(answer)).toEqual(faults);
  };

  const accepts = async (event: unknown) => {
    const answer = await post(event);
    expect(answer.body).toEqual({ accepted: 1, duplicates: 0 });
  };

  /** The event last stored for this tenant, as the API shows it. */
  const lastStored = async () => {
    const { rows } = await t.sql.query(
      `select coalesce(external_id, event_id::text) as id from event where tenant_id = $1 order by received_at desc limit 1`,
      [id],
    );
    const { body } = await t.call('GET', `/v1/events?limit=1000&from=${iso(Date.now() - 30 * DAY)}`, { key });
    return body.data?.find((event: { eventId: string }) => event.eventId === rows[0].id);
  };

  describe('bodies', () => {
    it.each([
      ['nothing', ''],
      ['white space', ' \n'],
      ['no JSON', 'eventId=1'],
      ['an unfinished object', '{"eventId":"a"'],
      ['two values', '{}{}'],
      ['a second byte order mark', `\ufeff\ufeff${JSON.stringify(anEvent())}`],
      ['NaN', '[NaN]'],
      ['a comma too many', '[1,]'],
      ['a raw control character in a text', `{"eventId":"a\u0001"}`],
    ])('%s: invalid_json', async (_, body) => {
      await refuses(400, 'invalid_json', body);
    });

    it('what is not UTF-8: invalid_encoding', async () => {
      const json = JSON.stringify(anEvent({ customerId: 'caf\u00e9' }));
      await refuses(400, 'invalid_encoding', Buffer.from(json, 'latin1'));
      await refuses(400, 'invalid_encoding', Buffer.from([0xff, 0xfe, 0x7b, 0x00]));
      // A surrogate and an overlong slash, each encoded as if that were UTF-8.
      for (const bytes of [Buffer.from('eda080', 'hex'), Buffer.from('c0af', 'hex')]) {
        const [head, tail] = JSON.stringify(anEvent({ customerId: '@' })).split('@');
        const body = Buffer.concat([Buffer.from(head!), bytes, Buffer.from(tail!)]);
        await refuses(400, 'invalid_encoding', body);
      }
    });

    it('no event at all: empty_batch', async () => {
      await refuses(400, 'empty_batch', []);
      await refuses(400, 'empty_batch', '', { 'content-type': 'application/x-ndjson' });
      await refuses(400, 'empty_batch', '\n \r\n', { 'content-type': 'application/x-ndjson' });
    });

    it.each([
      'text/plain',
      'application/xml',
      'application/x-www-form-urlencoded',
      'application/jsonp',
      'json',
      '',
    ])('Content-Type "%s": unsupported_media_type', async (type) => {
      await refuses(415, 'unsupported_media_type', JSON.stringify(anEvent()), { 'content-type': type });
    });

    it('takes every spelling of the content types it knows', async () => {
      for (const type of ['application/json', 'Application/JSON; charset=UTF-8', 'application/json ;q=1']) {
        expect((await post(anEvent(), { 'content-type': type })).status).toBe(200);
      }
      for (const type of ['application/x-ndjson', 'application/ndjson', 'application/jsonl']) {
        expect((await post(anEvent(), { 'content-type': type })).status).toBe(200);
      }
    });

    it.each(['br', 'deflate', 'zstd', 'gzip, gzip', 'nonsense'])(
      'Content-Encoding "%s": unsupported_encoding',
      async (encoding) => {
        await refuses(415, 'unsupported_encoding', gzipSync('[]'), { 'content-encoding': encoding });
      },
    );

    it('broken gzip: invalid_encoding', async () => {
      const whole = gzipSync(JSON.stringify(anEvent()));
      const damaged = Buffer.from(whole);
      damaged[whole.length - 6]! ^= 0xff; // its checksum
      for (const body of [whole.subarray(0, -10), damaged, Buffer.from('{}'), Buffer.alloc(0)]) {
        await refuses(400, 'invalid_encoding', body, { 'content-encoding': 'gzip' });
      }
    });

    it('a gzip bomb: body_too_large, without unpacking it', async () => {
      const bomb = gzipSync(Buffer.alloc(200 * MIB));
      expect(bomb.length).toBeLessThan(MIB);
      const before = process.memoryUsage.rss();
      await refuses(413, 'body_too_large', bomb, { 'content-encoding': 'gzip' });
      expect(process.memoryUsage.rss() - before).toBeLessThan(100 * MIB);
    });

    it('8 MiB and a byte: body_too_large; 8 MiB are read', async () => {
      const json = JSON.stringify(anEvent());
      const padded = (bytes: number) => json + ' '.repeat(bytes - json.length);
      await refuses(413, 'body_too_large', padded(8 * MIB + 1));
      await refuses(413, 'body_too_large', gzipSync(padded(8 * MIB + 1)), { 'content-encoding': 'gzip' });
      expect((await post(padded(8 * MIB))).status).toBe(200);
    });

    it('10,001 events: too_many_events; 10,000 are looked at', async () => {
      const many = (count: number) => Array.from({ length: count }, () => 0);
      await refuses(413, 'too_many_events', many(10_001));
      await refuses(413, 'too_many_events', many(10_001).join('\n'), {
        'content-type': 'application/x-ndjson',
      });
      const answer = await refuses(422, 'invalid_events', many(10_000));
      expect(answer.body.detail).toContain('10000 of the events');
      expect(answer.body.errors).toHaveLength(1_000);
    });

    it('nesting without end', async () => {
      const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
      await refuses(422, 'invalid_events', deep(1_000_000));
      for (const field of ['customerId', 'value', 'unheardOf']) {
        await refuses(422, 'invalid_events', jsonWith(`"${field}":${deep(100_000)}`));
      }
    });

    it('an onInvalid it does not know', async () => {
      await refuses(400, 'invalid_request', anEvent(), {}, '?onInvalid=ignore');
      await refuses(400, 'invalid_request', anEvent(), {}, '?onInvalid=');
    });
  });

  describe('bodies over a socket', () => {
    let server: HttpServer;
    beforeAll(async () => {
      server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
    });
    afterAll(() => server.close(1_000));

    /** Sends a head and then `chunk` for as long as the server takes it. */
    const pour = async (headers: string, chunk: Buffer) => {
      const socket = connect(Number(new URL(server.address).port), '127.0.0.1');
      await once(socket, 'connect');
      let answer = '';
      let sent = 0;
      socket.on('data', (data) => {
        answer += data;
      });
      socket.on('error', () => undefined); // the server hangs up while we write
      const closed = once(socket, 'close');
      socket.write(
        `POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\n${headers}\r\n\r\n`,
      );
      const started = Date.now();
      while (!socket.destroyed && answer === '' && sent < 256 * MIB && Date.now() - started < 5_000) {
        sent += chunk.length;
        if (!socket.write(chunk)) await Promise.race([once(socket, 'drain').catch(() => undefined), closed]);
        await sleep(0);
      }
      await Promise.race([closed, sleep(3_000)]);
      const closedByServer = socket.destroyed;
      socket.destroy();
      return { answer, sent, closedByServer };
    };

    const expectTooLarge = ({ answer, closedByServer }: Awaited<ReturnType<typeof pour>>) => {
      expect(answer).toMatch(/^HTTP\/1\.1 413 /);
      expect(answer).toMatch(/\r\nconnection: close\r\n/i);
      expect(JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1))).toMatchObject({
        code: 'body_too_large',
      });
      expect(closedByServer).toBe(true);
    };

    it('refuses by Content-Length before the body has come', async () => {
      const before = await rows();
      const result = await pour(`Content-Length: ${1024 * MIB}`, Buffer.alloc(1_024, 0x20));
      expectTooLarge(result);
      expect(result.sent).toBeLessThan(8 * MIB);
      expect(await rows()).toBe(before);
    });

    it('refuses a chunked body once it is over the limit, and not at its end', async () => {
      const data = Buffer.alloc(65_536, 0x20);
      const chunk = Buffer.concat([Buffer.from('10000\r\n'), data, Buffer.from('\r\n')]);
      const result = await pour('Transfer-Encoding: chunked', chunk);
      expectTooLarge(result);
      expect(result.sent).toBeGreaterThan(8 * MIB);
      expect(result.sent).toBeLessThan(32 * MIB);
    });

    it('takes a chunked body within the limit, and goes on with the connection after a refusal', async () => {
      const body = new Blob([JSON.stringify(anEvent())]).stream();
      const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
      const init = { method: 'POST', headers, duplex: 'half' } as const;
      const answer = await fetch(`${server.address}/v1/events`, { ...init, body });
      expect(await answer.json()).toEqual({ accepted: 1, duplicates: 0 });
      const bad = await fetch(`${server.address}/v1/events`, { ...init, body: '{' });
      expect([bad.status, bad.headers.get('connection')]).toEqual([400, 'keep-alive']);
    });
  });

  describe('events', () => {
    it.each([null, true, 17, 'text', [[]]])('%j is no event', async (body) => {
      await refusesEvent(JSON.stringify(body), ['', 'type_invalid']);
    });

    it('names every missing field', async () => {
      await refusesEvent(
        {},
        ['/eventId', 'required'],
        ['/timestamp', 'required'],
        ['/customerId', 'required'],
      );
      await refusesEvent(eventWith({ apiEndpoint: undefined }), ['/apiEndpoint', 'required']);
      await refusesEvent(eventWith({ apiEndpoint: undefined, eventType: 'api.request' }), [
        '/apiEndpoint',
        'required',
      ]);
      await accepts(eventWith({ apiEndpoint: undefined, eventType: 'click', metadata: undefined }));
    });

    it('names every unknown field, with what RFC 6901 escapes', async () => {
      await refusesEvent(
        eventWith({ nonsense: 1, 'a/b~c': 2, '': 3, tokens: 4 }),
        ['/nonsense', 'unknown_field'],
        ['/a~1b~0c', 'unknown_field'],
        ['/', 'unknown_field'],
        ['/tokens', 'unknown_field'],
      );
      for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
        await refusesEvent(jsonWith(`"${name}":{"customerId":"x"}`), [`/${name}`, 'unknown_field']);
      }
    });

    it.each([
      'eventId',
      'timestamp',
      'tenantId',
      'customerId',
      'apiEndpoint',
      'eventType',
      'sourceId',
      'reference',
      'sessionId',
      'unit',
    ])('%s must be a text', async (field) => {
      for (const value of [null, 5, true, {}, ['a']]) {
        await refusesEvent(eventWith({ [field]: value }), [`/${field}`, 'type_invalid']);
      }
    });

    it.each([
      ['eventId', 256],
      ['customerId', 256],
      ['apiEndpoint', 1_024],
      ['eventType', 128],
      ['sourceId', 256],
      ['reference', 256],
      ['sessionId', 256],
      ['unit', 64],
    ])('%s has 1 to %i characters', async (field, max) => {
      await refusesEvent(eventWith({ [field]: '' }), [`/${field}`, 'too_short']);
      await refusesEvent(eventWith({ [field]: 'x'.repeat(max + 1) }), [`/${field}`, 'too_long']);
      await accepts(eventWith({ [field]: 'x'.repeat(max) }));
      await accepts(eventWith({ [field]: '客'.repeat(max) })); // three bytes each
    });

    it('metadata must be an object, its own fields of their types', async () => {
      for (const metadata of [null, 5, 'x', ['a']]) {
        await refusesEvent(withMetadata(metadata), ['/metadata', 'type_invalid']);
      }
      for (const model of [5, {}, ['gpt-4']]) {
        await refusesEvent(withMetadata({ model }), ['/metadata/model', 'type_invalid']);
      }
      await refusesEvent(withMetadata({ model: '' }), ['/metadata/model', 'too_short']);
      await refusesEvent(withMetadata({ model: 'x'.repeat(257) }), ['/metadata/model', 'too_long']);
      await accepts(withMetadata({ model: 'x'.repeat(256) }));
      await accepts(
        withMetadata({ model: null, tokens: null, latencyMs: null, inputTokens: null, outputTokens: null }),
      );
    });

    it.each(['tokens', 'inputTokens', 'outputTokens'])('%s is a whole number up to 10^10', async (field) => {
      const at = `/metadata/${field}`;
      for (const value of ['1.5', '1e-3', '"5"', 'true', '{}', '1e400', '-1e400']) {
        await refusesEvent(jsonWith(`"metadata":{"${field}":${value}}`), [at, 'type_invalid']);
      }
      for (const value of ['-1', '10000000001', '9007199254740993', '-9007199254740993', '1e300']) {
        const answer = await refuses(422, 'invalid_events', jsonWith(`"metadata":{"${field}":${value}}`));
        expect(faultsOf(answer)[0]).toEqual([at, 'out_of_range']);
      }
      for (const value of ['0', '-0', '10000000000', '1e10', '5.0']) {
        await accepts(jsonWith(`"metadata":{"${field}":${value}}`));
      }
    });

    it('latencyMs is a number up to 10^9', async () => {
      for (const value of ['"5"', 'true', '1e400', '[1]']) {
        await refusesEvent(jsonWith(`"metadata":{"latencyMs":${value}}`), [
          '/metadata/latencyMs',
          'type_invalid',
        ]);
      }
      for (const value of ['-0.001', '1000000000.001', '1e308']) {
        await refusesEvent(jsonWith(`"metadata":{"latencyMs":${value}}`), [
          '/metadata/latencyMs',
          'out_of_range',
        ]);
      }
      for (const value of ['0', '5e-324', '0.001', '1000000000']) {
        await accepts(jsonWith(`"metadata":{"latencyMs":${value}}`));
      }
    });

    it('sums of the largest counts are still exact', async () => {
      const { key } = await t.tenant();
      const event = () => withMetadata({ inputTokens: 1e10, outputTokens: 1e10, latencyMs: 1e9 });
      const body = Array.from({ length: 100 }, event);
      expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
      const usage = await t.call('GET', '/v1/usage?granularity=1d', { key });
      expect(usage.body.data[0]).toMatchObject({ tokens: 2e12, inputTokens: 1e12, latency: { avgMs: 1e9 } });
    });

    it.each([
      '"2026-11-21T10:00:00"',
      '"2026-11-21T10:00:00.123"',
      '"2026-11-21"',
      '"2026-11-21T10:00:00.Z"',
      '"2026-11-21T10:00:00+24:00"',
      '"2026-11-21T10:00:00+02:60"',
      '"2026-11-21T10:00:00 UTC"',
      '"2026-11-21T10:00:00Zx"',
      '" 2026-11-21T10:00:00Z"',
      '"2026-11-21T10:00:00Z "',
      '"2026-11-21T10:00:00Z\\u0000"',
      '"2026-02-30T10:00:00Z"',
      '"2026-02-29T10:00:00Z"',
      '"1900-02-29T10:00:00Z"',
      '"2026-04-31T10:00:00Z"',
      '"2026-13-01T10:00:00Z"',
      '"2026-00-10T10:00:00Z"',
      '"2026-11-00T10:00:00Z"',
      '"2026-11-32T10:00:00Z"',
      '"2026-11-21T24:00:01Z"',
      '"2026-11-21T23:60:00Z"',
      '"2026-11-21T22:59:60Z"',
      '"2026-11-21T1000Z"',
      '"0000-01-01T00:00:00Z"',
      '"-002026-11-21T10:00:00Z"',
      '"+002026-11-21T10:00:00Z"',
      '"10000-01-01T00:00:00Z"',
      '"٢٠٢٦-11-21T10:00:00Z"',
      '"17640000000"',
      '"now"',
      '"infinity"',
      '"NaN"',
      '""',
    ])('%s is no timestamp', async (timestamp) => {
      const answer = await refuses(422, 'invalid_events', jsonWith(`"timestamp":${timestamp}`));
      expect(faultsOf(answer)[0]).toEqual(['/timestamp', 'timestamp_invalid']);
    });

    it('timestamps may lie 10 minutes ahead and 30 days back', async () => {
      const at = (ms: number) => eventWith({ timestamp: iso(Date.now() + ms) });
      const margin = 5 * SECOND;
      await refusesEvent(at(600 * SECOND + margin), ['/timestamp', 'timestamp_too_new']);
      await refusesEvent(eventWith({ timestamp: '9999-12-31T23:59:59Z' }), [
        '/timestamp',
        'timestamp_too_new',
      ]);
      await refusesEvent(at(-30 * DAY - margin), ['/timestamp', 'timestamp_too_old']);
      await refusesEvent(eventWith({ timestamp: '0001-01-01T00:00:00Z' }), [
        '/timestamp',
        'timestamp_too_old',
      ]);
      await refusesEvent(eventWith({ timestamp: `${'2026-11-21T10:00:00.'}${'1'.repeat(50)}Z` }), [
        '/timestamp',
        'too_long',
      ]);
      await accepts(at(600 * SECOND - margin));
      await accepts(at(-30 * DAY + margin));
    });

    it('knows its limits in time to the second they are given in', async () => {
      const strict = await startTestService({ ACCEPT_AHEAD_SECONDS: '0', ACCEPT_BEHIND_DAYS: '1' });
      try {
        const owner = await strict.tenant();
        const code = async (ms: number) => {
          const body = eventWith({ timestamp: iso(Date.now() + ms) });
          const answer = await strict.call('POST', '/v1/events', { key: owner.key, body });
          return answer.body.errors?.[0].code;
        };
        expect(await code(2 * SECOND)).toBe('timestamp_too_new');
        expect(await code(0)).toBeUndefined();
        expect(await code(-DAY + 2 * SECOND)).toBeUndefined();
        expect(await code(-DAY - 2 * SECOND)).toBe('timestamp_too_old');
      } finally {
        await strict.stop();
      }
    });

    it.each([
      '""',
      '" 1"',
      '"1 "',
      '"1,5"',
      '"1_000"',
      '"0x10"',
      '"NaN"',
      '"Infinity"',
      '"."',
      '"+"',
      '"--1"',
      '"e5"',
      '"1e"',
      '"1e1.5"',
      '"١"',
      '"1\\u0000"',
      '"100000000000000000000"',
      '100000000000000000000',
      '"-100000000000000000000"',
      '"1e20"',
      '1e21',
      '1e300',
      '"1e9999"',
      '"1e99999"',
      '"0.0000000000000000001"',
      '"1.0000000000000000001"',
      '"1e-19"',
    ])('%s is no value', async (value) => {
      const answer = await refuses(422, 'invalid_events', jsonWith(`"value":${value}`));
      expect(faultsOf(answer)[0]).toEqual(['/value', 'value_invalid']);
    });

    it.each(['1e400', '-1e400', 'null', 'true', '[1]', '{}'])('%s is no value by its type', async (value) => {
      await refusesEvent(jsonWith(`"value":${value}`), ['/value', 'type_invalid']);
    });

    it.each([
      ['"99999999999999999999.999999999999999999"', '99999999999999999999.999999999999999999'],
      ['"-99999999999999999999.999999999999999999"', '-99999999999999999999.999999999999999999'],
      ['"0.000000000000000001"', '0.000000000000000001'],
      ['1e-18', '0.000000000000000001'],
      ['"1e19"', '10000000000000000000'],
      ['"0000000000000000000000000001.500000000000000000000000000"', '1.5'],
      ['"+.5"', '0.5'],
      ['"-0"', '0'],
      ['-0', '0'],
      ['"5."', '5'],
      ['12.50', '12.5'],
    ])('the value %s is %s', async (value, stored) => {
      await accepts(jsonWith(`"value":${value}`));
      const { rows } = await t.sql.query(
        'select value from event where tenant_id = $1 order by received_at desc limit 1',
        [id],
      );
      expect(rows[0].value).toBe(stored);
    });

    it('reference and sessionId are one thing', async () => {
      await refusesEvent(eventWith({ reference: 'a', sessionId: 'b' }), ['/sessionId', 'reference_conflict']);
      await accepts(eventWith({ reference: 'a', sessionId: 'a' }));
      expect(await lastStored()).toMatchObject({ reference: 'a' });
    });

    it('a key given twice counts as given last', async () => {
      await accepts(`{"customerId":"first",${JSON.stringify(anEvent({ customerId: 'last' })).slice(1)}`);
      expect(await lastStored()).toMatchObject({ customerId: 'last' });
      await refusesEvent(jsonWith('"customerId":5'), ['/customerId', 'type_invalid']);
    });

    it('lists the faults of each event with its index, and stores none of the request', async () => {
      const answer = await refuses(422, 'invalid_events', [
        anEvent(),
        eventWith({ timestamp: 'x', value: 'y' }),
        anEvent(),
        17,
      ]);
      expect(answer.body.detail).toContain('2 of the events');
      expect(answer.body.errors).toEqual([
        { index: 1, pointer: '/timestamp', code: 'timestamp_invalid', message: expect.any(String) },
        { index: 1, pointer: '/value', code: 'value_invalid', message: expect.any(String) },
        { index: 3, pointer: '', code: 'type_invalid', message: expect.any(String) },
      ]);
    });

    it('NDJSON: each line has its index, blank lines none', async () => {
      const lines = [JSON.stringify(anEvent()), '', '{"eventId":', JSON.stringify({ ...anEvent(), unit: 5 })];
      const answer = await refuses(422, 'invalid_events', lines.join('\n'), {
        'content-type': 'application/x-ndjson',
      });
      expect(answer.body.errors).toMatchObject([
        { index: 1, pointer: '', code: 'invalid_json' },
        { index: 2, pointer: '/unit', code: 'type_invalid' },
      ]);
    });
  });

  describe('text that PostgreSQL cannot hold', () => {
    const bad = { NUL: '\\u0000', 'a high surrogate': '\\ud800', 'a low surrogate': '\\uDFFF' };
    const texts = [
      'eventId',
      'tenantId',
      'customerId',
      'apiEndpoint',
      'eventType',
      'sourceId',
      'reference',
      'sessionId',
      'unit',
    ];

    it.each(Object.entries(bad))('%s, in every field', async (_, escaped) => {
      for (const field of texts) {
        const answer = await refuses(
          field === 'tenantId' ? 403 : 422,
          field === 'tenantId' ? 'tenant_mismatch' : 'invalid_events',
          jsonWith(`"${field}":"a${escaped}b"`),
        );
        expect(faultsOf(answer)).toContainEqual([`/${field}`, 'text_invalid']);
      }
      const faults: [string, string][] = [
        [`"model":"${escaped}"`, '/metadata/model'],
        [`"a":[{"b/c":["x",{"d":"${escaped}"}]}]`, '/metadata/a/0/b~1c/1/d'],
        [`"a":{"${escaped}":1}`, '/metadata/a'],
        [`"${escaped}":1`, '/metadata'],
        [`"__proto__":{"x":"${escaped}"}`, '/metadata/__proto__/x'],
      ];
      for (const [members, pointer] of faults) {
        await refusesEvent(jsonWithMetadata(members), [pointer, 'text_invalid']);
      }
    });

    it('swapped surrogates', async () => {
      await refusesEvent(jsonWith('"unit":"\\ude00\\ud83d"'), ['/unit', 'text_invalid']);
    });

    it('but not what only looks like it', async () => {
      const { key } = await t.tenant();
      const tricky = ['\\u0000', '\\\\u0000', '\\ud800', 'smile \u{1f600}', '\u0001\u001f\u007f', '\u2028'];
      const body = tricky.map((text) => ({
        ...anEvent({ customerId: text, eventId: text }),
        metadata: { [text]: { [text]: [text] } },
      }));
      const escaped = JSON.stringify(body).replaceAll('\u{1f600}', '\\ud83d\\ude00');
      expect((await t.call('POST', '/v1/events', { key, body: escaped })).body.accepted).toBe(tricky.length);
      const { body: stored } = await t.call('GET', '/v1/events', { key });
      for (const text of tricky) {
        expect(stored.data).toContainEqual(
          expect.objectContaining({
            eventId: text,
            customerId: text,
            metadata: { [text]: { [text]: [text] } },
          }),
        );
      }
    });
  });

  describe('metadata', () => {
    const nested = (levels: number) => {
      let value: Record<string, unknown> = {};
      for (let level = 1; level < levels; level++) value = { a: value };
      return value;
    };

    it('may nest 32 levels deep, itself included', async () => {
      await accepts(withMetadata(nested(32)));
      expect((await lastStored()).metadata).toEqual(nested(32));
      await refusesEvent(withMetadata(nested(33)), ['/metadata', 'metadata_too_large']);
      await refusesEvent(jsonWithMetadata(`"a":${'['.repeat(100_000)}${']'.repeat(100_000)}`), [
        '/metadata',
        'metadata_too_large',
      ]);
      await refusesEvent(jsonWithMetadata(`"a":${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`), [
        '/metadata',
        'metadata_too_large',
      ]);
    });

    it('may have 65,536 characters besides what has a column', async () => {
      const filled = (length: number) => ({ tokens: 1, a: 'x'.repeat(length - '{"a":""}'.length) });
      await accepts(withMetadata(filled(65_536)));
      await refusesEvent(withMetadata(filled(65_537)), ['/metadata', 'metadata_too_large']);
    });

    it('may hold any JSON, numbers too big for a double included, without harm', async () => {
      await accepts(jsonWithMetadata('"big":123456789012345678901234567890,"huge":1e400,"tiny":1e-400'));
      expect((await lastStored()).metadata).toMatchObject({
        big: Number('123456789012345678901234567890'),
        huge: Number.POSITIVE_INFINITY, // what JSON.parse here makes of 1e400
        tiny: 0,
      });
    });
  });
});

describeEngine('names that mean something to JavaScript', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', 'length'];
  const own = (object: object) => Object.entries(object).map(([name, value]) => [name, value]);
  const byName = (a: unknown[], b: unknown[]) => (String(a[0]) < String(b[0]) ? -1 : 1);

  it('as metadata keys, at any depth', async () => {
    const { key } = await t.tenant();
    const members = NAMES.map((name, i) => `"${name}":{"${name}":[${i}]}`).join(',');
    const body = jsonWithMetadata(members);
    expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    const { metadata } = (await t.call('GET', '/v1/events', { key })).body.data[0];
    expect(own(metadata).sort(byName)).toEqual(
      [['tokens', 10], ...NAMES.map((name, i) => [name, JSON.parse(`{"${name}":[${i}]}`)])].sort(byName),
    );
    for (const name of NAMES) expect(Object.keys(metadata[name])).toEqual([name]);
  });

  it('as endpoint, model, customer, type and id', async () => {
    const { key } = await t.tenant();
    const get = async (path: string) => {
      const answer = await t.call('GET', path, { key });
      expect(answer.status).toBe(200);
      return answer.body;
    };
    const timestamp = iso(Date.now());
    const body: ClientEvent[] = NAMES.map((name, i) =>
      anEvent({
        eventId: name,
        timestamp,
        customerId: name,
        apiEndpoint: name,
        eventType: name,
        metadata: { model: name, tokens: i },
      }),
    );
    const shared = NAMES.map((name) => anEvent({ timestamp, apiEndpoint: name, metadata: { model: name } }));
    const answer = await t.call('POST', '/v1/events', { key, body: [...body, ...shared] });
    expect(answer.body).toEqual({ accepted: 12, duplicates: 0 });
    expect((await t.call('POST', '/v1/events', { key, body })).body).toEqual({ accepted: 0, duplicates: 6 });

    const windows = (await get('/v1/windows')).data;
    for (const [i, name] of NAMES.entries()) {
      const window = windows.find((w: { customerId: string }) => w.customerId === name);
      expect(own(window.aggregations.byEndpoint)).toEqual([[name, { calls: 1, tokens: i }]]);
      expect(own(window.aggregations.byModel)).toEqual([[name, { calls: 1, tokens: i }]]);
    }
    const all = windows.find((w: { customerId: string }) => w.customerId === 'customer-1').aggregations;
    const expected = NAMES.map((name) => [name, { calls: 1, tokens: 0 }]).sort(byName);
    expect(own(all.byEndpoint).sort(byName)).toEqual(expected);
    expect(own(all.byModel).sort(byName)).toEqual(expected);

    for (const path of ['/v1/summaries/hourly', '/v1/summaries/daily']) {
      const [summary] = (await get(path)).data;
      expect(summary).toMatchObject({ totalEvents: 12, uniqueUsers: 7, totalClicks: 0, totalImpressions: 0 });
      expect(own(summary.byType).sort(byName)).toEqual(
        [['api.request', 6], ...NAMES.map((name) => [name, 1])].sort(byName),
      );
    }
    const usage = (await get('/v1/usage?groupBy=customer,endpoint,model,eventType')).data;
    for (const name of NAMES) {
      expect(usage).toContainEqual(
        expect.objectContaining({ customerId: name, endpoint: name, model: name, eventType: name, calls: 1 }),
      );
      const path = `/v1/usage?customerId=${name}&endpoint=${name}&model=${name}&eventType=${name}`;
      expect((await get(path)).data).toMatchObject([{ calls: 1 }]);
    }
    const live = await get('/v1/live');
    const window = [live.current, live.previous].find(({ totalCalls }) => totalCalls > 0);
    expect(window.totalCalls).toBe(12);
    expect(own(window.byEndpoint).map(([name]) => name)).toEqual(expect.arrayContaining(NAMES));
    expect(own(window.byModel).map(([name]) => name)).toEqual(expect.arrayContaining(NAMES));

    const customers = (await get('/v1/customers')).data.map((c: { customerId: string }) => c.customerId);
    expect(customers).toEqual(expect.arrayContaining(NAMES));
    const named = await t.call('PATCH', '/v1/customers/__proto__', { key, body: { name: 'constructor' } });
    expect(named.body).toMatchObject({ customerId: '__proto__', name: 'constructor' });
  });

  it('as tenants', async () => {
    for (const id of NAMES) {
      expect((await t.call('POST', '/v1/tenants', { body: { id, name: id } })).status).toBe(201);
      const headers = { 'x-tenant-id': id };
      expect((await t.call('POST', '/v1/events', { body: anEvent(), headers })).body.accepted).toBe(1);
      expect((await t.call('GET', '/v1/usage', { headers })).body.data).toMatchObject([{ calls: 1 }]);
    }
  });

  it('and keeps customers apart whose ids only join to the same text', async () => {
    const [a, b] = ['x', 'x y'];
    for (const id of [a, b]) await t.call('POST', '/v1/tenants', { body: { id, name: id } });
    const timestamp = iso(Date.now() - 3_600_000); // late: its window has closed
    const body = [
      { ...anEvent({ timestamp, customerId: 'y z' }), tenantId: a },
      { ...anEvent({ timestamp, customerId: 'z' }), tenantId: b },
    ];
    expect((await t.call('POST', '/v1/events', { body })).body.accepted).toBe(2);
    for (const tenantId of [a, b]) {
      const headers = { 'x-tenant-id': tenantId };
      expect((await t.call('GET', '/v1/customers', { headers })).body.data).toHaveLength(1);
      const { rows } = await t.sql.query('select revision from late_window where tenant_id = $1', [tenantId]);
      expect(rows).toEqual([{ revision: 1 }]);
    }
  });
});
