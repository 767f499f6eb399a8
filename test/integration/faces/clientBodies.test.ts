import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { type ListeningService, startListeningService } from '../../support/listening.ts';
import { converse } from '../../support/rawHttp.ts';
import { ADMIN_KEY } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const BOM = '\ufeff';
const CE = { specversion: '1.0', source: '/s', type: 'x', subject: 'acme' };
let ids = 0;
const aCloudEvent = (more: object = {}) => ({ ...CE, id: `ce-${ids++}`, data: { tokens: 1 }, ...more });
const aRecord = () => ({
  recordId: `r-${ids++}`,
  time: new Date().toISOString(),
  destinationId: 'acme',
  type: 'positive',
  value: '1',
});

describeEngine('what clients really send', () => {
  let t: ListeningService;
  beforeAll(async () => {
    t = await startListeningService();
  });
  afterAll(() => t?.stop());

  /** By a socket: each header's characters are bytes. No Content-Type unless it is given. */
  const send = async (path: string, body: string | Buffer, headers: Record<string, string> = {}) => {
    const bytes = Buffer.from(body as string);
    const all = {
      Host: 'x',
      Authorization: `Bearer ${t.key}`,
      'Content-Length': String(bytes.length),
      ...headers,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}Connection: close\r\n\r\n`, 'latin1');
    const { answers } = await converse(t.server.address, Buffer.concat([head, bytes]), 20_000);
    const [answer] = answers;
    return { status: answer!.status, headers: answer!.headers, body: JSON.parse(answer!.body) };
  };
  const JSON_TYPE = { 'Content-Type': 'application/json' };
  const NDJSON = { 'Content-Type': 'application/x-ndjson' };
  const ndjson = (events: unknown[]) => events.map((event) => `${JSON.stringify(event)}\n`).join('');
  const accepts = async (n: number, path: string, body: string | Buffer, headers?: Record<string, string>) =>
    expect(await send(path, body, headers)).toMatchObject({
      status: 200,
      body: { accepted: n, duplicates: 0 },
    });

  describe('a byte order mark', () => {
    it('at the beginning of a body is passed over, in every dialect and framing', async () => {
      await accepts(1, '/v1/events', BOM + JSON.stringify(anEvent()), JSON_TYPE);
      await accepts(1, '/v1/events', BOM + JSON.stringify([anEvent()]));
      await accepts(2, '/v1/events', BOM + ndjson([anEvent(), anEvent()]), NDJSON);
      await accepts(2, '/v1/events', BOM + ndjson([anEvent(), anEvent()]));
      await accepts(1, '/v1/records', BOM + JSON.stringify(aRecord()), JSON_TYPE);
      await accepts(1, '/v1/counters/increment', `${BOM}{"key":"k","value":1}`, JSON_TYPE);
      await accepts(1, '/increment', `${BOM}{"key":"k","value":1}\n`, NDJSON);
      const gzip = { ...JSON_TYPE, 'Content-Encoding': 'gzip' };
      await accepts(1, '/v1/events', gzipSync(BOM + JSON.stringify(anEvent())), gzip);
      const type = (name: string) => ({ 'Content-Type': `application/${name}` });
      await accepts(1, '/v1/events', BOM + JSON.stringify(aCloudEvent()), type('cloudevents+json'));
      await accepts(1, '/v1/events', BOM + JSON.stringify([aCloudEvent()]), type('cloudevents-batch+json'));
      const binary = { ...JSON_TYPE, 'ce-specversion': '1.0', 'ce-id': `ce-${ids++}`, 'ce-source': '/s' };
      await accepts(1, '/v1/events', `${BOM}{"tokens":7}`, {
        ...binary,
        'ce-type': 'x',
        'ce-subject': 'bom',
      });
      const { body } = await t.call('GET', '/v1/events?customerId=bom', { key: t.key });
      expect(body.data).toMatchObject([{ metadata: { tokens: 7 } }]);
    });

    it('at the beginning of a line is passed over: files joined together have it', async () => {
      const lines = [anEvent(), anEvent(), anEvent()].map((event) => JSON.stringify(event));
      await accepts(3, '/v1/events', lines.map((line) => `${BOM}${line}`).join('\r\n'), NDJSON);
      await accepts(1, '/v1/events', `${BOM}\n${JSON.stringify(anEvent())}\n${BOM}\n`, NDJSON);
    });

    it('at the beginning of JSON in data_base64 is passed over', async () => {
      const data_base64 = Buffer.from(`${BOM}{"tokens":9}`).toString('base64');
      const event = aCloudEvent({
        datacontenttype: 'application/json',
        data_base64,
        data: undefined,
        subject: 'b64',
      });
      await accepts(1, '/v1/events', JSON.stringify(event), {
        'Content-Type': 'application/cloudevents+json',
      });
      const { body } = await t.call('GET', '/v1/events?customerId=b64', { key: t.key });
      expect(body.data).toMatchObject([{ metadata: { tokens: 9 } }]);
    });

    it('at the beginning of what administrates is passed over', async () => {
      const name = { key: 'PATCH', path: `/v1/tenants/${t.tenantId}`, body: `${BOM}{"name":"n"}` };
      const answer = await t.call(name.key, name.path, { body: name.body });
      expect(answer).toMatchObject({ status: 200, body: { name: 'n' } });
    });

    it('at the beginning of what clients of others send is passed over, and its answer is whole', async () => {
      const now = new Date().toISOString();
      const stripe = { event_name: 'x', payload: { stripe_customer_id: 'acme' } };
      const lago = () => ({ transaction_id: `l-${ids++}`, external_subscription_id: 'acme', code: 'x' });
      const orb = {
        event_name: 'x',
        idempotency_key: `o-${ids++}`,
        timestamp: now,
        properties: {},
        customer_id: 'acme',
      };
      const bodies: [path: string, body: object, answer: object][] = [
        ['/v2/billing/meter_events', stripe, { event_name: 'x' }],
        ['/v2/billing/meter_event_stream', { events: [stripe] }, {}],
        ['/api/v1/events', { event: lago() }, { event: { code: 'x' } }],
        ['/api/v1/events/batch', { events: [lago()] }, { events: [{ code: 'x' }] }],
        ['/ingest?debug=true', { events: [orb] }, { debug: { ingested: [orb.idempotency_key] } }],
        ['/api/v1/meters', { slug: 'bom', aggregation: 'COUNT', eventType: 'bom' }, { slug: 'bom' }],
        ['/api/v1/meters/bom/query', {}, { data: [{ value: 0 }] }],
      ];
      for (const [path, body, answer] of bodies) {
        const told = await send(path, BOM + JSON.stringify(body), JSON_TYPE);
        expect([path, told.body]).toMatchObject([path, answer]);
      }
      const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
      const sent = `${BOM}event_name=x&payload[stripe_customer_id]=acme`;
      expect(await send('/v1/billing/meter_events', sent, form)).toMatchObject({ status: 200 });
    });

    it('anywhere else is what it is', async () => {
      const text = `a${BOM}b`;
      await accepts(1, '/v1/events', JSON.stringify(anEvent({ customerId: text })), JSON_TYPE);
      expect((await send('/v1/events', `[${BOM}1]`, JSON_TYPE)).body.code).toBe('invalid_json');
      expect((await send('/v1/events', `${BOM}${BOM}{}`, JSON_TYPE)).body.code).toBe('invalid_json');
    });

    it.each(['utf16le', 'utf16be', 'utf32le'])('of %s, or text so encoded, is told', async (encoding) => {
      const encode = (text: string) => {
        const le = Buffer.from(text, 'utf16le');
        if (encoding === 'utf16be') return le.swap16();
        if (encoding === 'utf16le') return le;
        return Buffer.concat(Array.from(text, (c) => Buffer.from([...Buffer.from(c, 'utf16le'), 0, 0])));
      };
      for (const mark of ['', BOM]) {
        for (const type of [JSON_TYPE, NDJSON, {}]) {
          const { status, body } = await send('/v1/events', encode(mark + JSON.stringify(anEvent())), type);
          expect([status, body.code, body.detail]).toEqual([
            400,
            'invalid_encoding',
            'the body is UTF-16 or UTF-32; send UTF-8',
          ]);
        }
      }
    });
  });

  it('bytes that are no UTF-8 are told wherever a body is read, and make nothing', async () => {
    const form = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const meter = { slug: 'bytes', eventType: '@', aggregation: 'count' };
    const bodies: [path: string, body: string, headers: Record<string, string>][] = [
      ['/v1/meters', JSON.stringify(meter), JSON_TYPE],
      ['/api/v1/meters', JSON.stringify({ ...meter, aggregation: 'COUNT' }), JSON_TYPE],
      ['/v1/billing/meter_events', 'event_name=x&payload[stripe_customer_id]=@', form],
      ['/v1/billing/meters', 'event_name=@&default_aggregation[formula]=sum&display_name=x', form],
    ];
    for (const [path, body, headers] of bodies) {
      const bytes = Buffer.from(body);
      bytes[body.indexOf('@')] = 0xff;
      const sent = [bytes, ...(headers === form ? [body.replace('@', '%ff')] : [])];
      for (const one of sent) {
        const answer = await send(path, one, headers);
        expect([path, answer.status]).toEqual([path, 400]);
        expect(JSON.stringify(answer.body)).toContain('invalid_encoding');
      }
    }
    const tenant = '{"id":"bytes","name":"@"}';
    const name = Buffer.from(tenant);
    name[tenant.indexOf('@')] = 0xff;
    const headers = { ...JSON_TYPE, Authorization: `Bearer ${ADMIN_KEY}` };
    expect((await send('/v1/tenants', name, headers)).status).toBe(400);
    expect((await t.call('GET', '/v1/meters/bytes', { key: t.key })).status).toBe(404);
  });

  describe('one event a line', () => {
    it('is understood where no type is named, and one event or an array too', async () => {
      for (const [path, one] of [
        ['/v1/events', anEvent],
        ['/v1/records', aRecord],
        ['/v1/counters/increment', () => ({ key: 'k', value: 1 })],
        ['/increment', () => ({ key: 'k', value: 1 })],
      ] as const) {
        await accepts(3, path, ndjson([one(), one(), one()]));
        await accepts(2, path, `\n${ndjson([one(), one()]).replaceAll('\n', '\r\n')}`);
        await accepts(1, path, JSON.stringify(one()));
        await accepts(2, path, JSON.stringify([one(), one()], null, 2));
        await accepts(1, path, JSON.stringify(one(), null, 2));
      }
    });

    it('has each broken line told by its index', async () => {
      const body = `${ndjson([anEvent()])}{"eventId":\n`;
      expect(await send('/v1/events', body)).toMatchObject({
        status: 422,
        body: { code: 'invalid_events', errors: [{ index: 1, code: 'invalid_json' }] },
      });
      expect(await send('/v1/events?onInvalid=skip', body)).toMatchObject({
        status: 200,
        body: { accepted: 1, rejected: 1 },
      });
    });

    it('that is not UTF-8 spoils no other', async () => {
      const broken = () => Buffer.from(JSON.stringify(anEvent({ customerId: 'caf\u00e9' })), 'latin1');
      const body = Buffer.concat([
        Buffer.from(ndjson([anEvent()])),
        broken(),
        Buffer.from(`\n${ndjson([anEvent()])}`),
      ]);
      for (const type of [NDJSON, {}]) {
        expect(await send('/v1/events', body, type)).toMatchObject({
          status: 400,
          body: { code: 'invalid_encoding', errors: [{ index: 1, code: 'invalid_encoding' }] },
        });
      }
      expect((await send('/v1/events?onInvalid=skip', body, NDJSON)).body).toMatchObject({
        accepted: 2,
        rejected: 1,
        results: [{ status: 'accepted' }, { status: 'invalid' }, { status: 'accepted' }],
      });
      expect((await send('/v1/events?onInvalid=skip', broken(), NDJSON)).status).toBe(422);
      expect((await send('/v1/events?onInvalid=skip', broken(), JSON_TYPE)).status).toBe(422);
    });

    it('named JSON is refused with what to send', async () => {
      const { status, body } = await send('/v1/events', ndjson([anEvent(), anEvent()]), JSON_TYPE);
      expect([status, body.code]).toEqual([400, 'invalid_json']);
      expect(body.detail).toContain('send Content-Type: application/x-ndjson');
      const plain = await send('/v1/events', '{\n"a":1\n', JSON_TYPE);
      expect(plain.body.detail).not.toContain('ndjson');
    });

    it.each([
      'application/jsonl',
      'application/jsonlines',
      'application/json-lines',
      'application/x-jsonlines',
      'application/x-jsonl',
      'application/x-json-stream',
      'application/stream+json',
      'application/x-ldjson',
      'application/ndjson',
      'application/JSONL; charset=utf-8',
      'text/jsonl',
      'text/x-ndjson',
      'text/jsonlines',
    ])('may be called %s', async (type) => {
      await accepts(2, '/v1/events', ndjson([anEvent(), anEvent()]), { 'Content-Type': type });
      await accepts(1, '/v1/records', ndjson([aRecord()]), { 'Content-Type': type });
    });
  });

  describe('415', () => {
    it.each([
      ['application/x-www-form-urlencoded', '/v1/events'],
      ['text/plain', '/v1/records'],
      ['multipart/form-data; boundary=x', '/increment'],
      ['constructor', '/v1/events'],
      ['', '/v1/events'],
    ])('of "%s" says what to send, in Accept too, and nothing of codings', async (type, path) => {
      const { status, headers, body } = await send(path, JSON.stringify(anEvent()), { 'Content-Type': type });
      expect([status, body.code]).toEqual([415, 'unsupported_media_type']);
      expect(headers.accept).toMatch(/^application\/json, application\/x-ndjson/);
      expect(headers['accept-encoding']).toBeUndefined();
      expect(body.detail).toContain('application/x-ndjson for one a line');
      expect(body.detail.includes('--data-binary')).toBe(type.includes('urlencoded'));
    });

    it.each(['br', 'deflate', 'zstd', 'compress', 'gzip, gzip', 'gzip, br', 'nonsense'])(
      'of the coding %s names those that are understood',
      async (coding) => {
        const more = { ...JSON_TYPE, 'Content-Encoding': coding };
        const { status, headers, body } = await send('/v1/events', JSON.stringify(anEvent()), more);
        expect([status, body.code]).toEqual([415, 'unsupported_encoding']);
        expect(headers['accept-encoding']).toBe('gzip, identity');
        expect(headers.accept).toBeUndefined();
      },
    );

    it.each(['gzip', 'x-gzip', 'GZIP', 'identity, gzip', ' X-Gzip '])(
      'is not for the coding %s',
      async (coding) => {
        const more = { ...JSON_TYPE, 'Content-Encoding': coding };
        await accepts(1, '/v1/events', gzipSync(JSON.stringify(anEvent())), more);
      },
    );

    it.each(['identity', '', 'Identity'])('is not for no coding, called "%s"', async (coding) => {
      await accepts(1, '/v1/events', JSON.stringify(anEvent()), { ...JSON_TYPE, 'Content-Encoding': coding });
    });

    it('is for any coding where the administration is concerned', async () => {
      const more = { ...JSON_TYPE, 'Content-Encoding': 'gzip' };
      const body = gzipSync(JSON.stringify({ scopes: ['read'] }));
      expect(await send('/v1/keys', body, more)).toMatchObject({
        status: 415,
        headers: { 'accept-encoding': 'identity' },
        body: { code: 'unsupported_encoding' },
      });
      const text = await t.call('POST', '/v1/keys', {
        key: t.key,
        body: 'x',
        headers: { 'content-type': 'text/plain' },
      });
      expect([text.status, text.headers.get('accept')]).toEqual([415, 'application/json']);
    });
  });

  describe('a header', () => {
    const latin1 = 'm\xfcller';
    const utf8 = Buffer.from('müller').toString('latin1');

    it.each([
      ['Latin-1, as the JavaScript SDK of CloudEvents writes it', latin1, 'müller'],
      ['UTF-8', utf8, 'müller'],
      ['percent-encoded UTF-8', 'm%C3%BCller', 'müller'],
      ['Latin-1 and percent-encoding', 'm\xfcller%20%E2%82%AC', 'müller €'],
      ['UTF-8 and percent-encoding', `${utf8}%20%E2%82%AC`, 'müller €'],
      ['quoted Latin-1', '"m\xfcller"', 'müller'],
      ['UTF-8 beyond Latin-1', Buffer.from('株式会社').toString('latin1'), '株式会社'],
    ])('ce-subject in %s', async (_, subject, customerId) => {
      const id = `ce-${ids++}`;
      const headers = {
        'ce-specversion': '1.0',
        'ce-id': id,
        'ce-source': '/s',
        'ce-type': 'x',
        'ce-subject': subject,
      };
      await accepts(1, '/v1/events', '{}', { ...JSON_TYPE, ...headers });
      const { body } = await t.call(
        'GET',
        `/v1/events?customerId=${encodeURIComponent(customerId)}&limit=1`,
        { key: t.key },
      );
      expect(body.data[0]?.eventId).toContain(id);
    });

    it.each(['m\x81ller', '%FF', '\xc3%BC'])(
      'ce-subject that is no text, %j, is refused',
      async (subject) => {
        const headers = {
          'ce-specversion': '1.0',
          'ce-id': '1',
          'ce-source': '/s',
          'ce-type': 'x',
          'ce-subject': subject,
        };
        const { status, body } = await send('/v1/events', '{}', { ...JSON_TYPE, ...headers });
        expect([status, body.code]).toEqual(
          subject === '\xc3%BC' ? [status, body.code] : [400, 'invalid_request'],
        );
      },
    );

    it('X-Tenant-Id in either, for events and for reads', async () => {
      await t.call('POST', '/v1/tenants', { body: { id: 'müller', name: 'm' } });
      const long = 'ü'.repeat(256);
      await t.call('POST', '/v1/tenants', { body: { id: long, name: 'l' } });
      for (const [id, header] of [
        ['müller', latin1],
        ['müller', utf8],
        [long, Buffer.from(long).toString('latin1')],
      ] as const) {
        const own = { Authorization: `Bearer ${ADMIN_KEY}`, 'X-Tenant-Id': header };
        await accepts(1, '/v1/events', JSON.stringify(anEvent()), { ...JSON_TYPE, ...own });
        const read = await t.call('GET', '/v1/events?limit=1', { headers: { 'x-tenant-id': header } });
        expect(read).toMatchObject({ status: 200, body: { data: [{ tenantId: id }] } });
      }
      const nobody = await t.call('GET', '/v1/events', { headers: { 'x-tenant-id': 'm\x81ller' } });
      expect(nobody.body.code).toBe('tenant_unknown');
    });

    it('Idempotency-Key is ASCII, as its standard has it, and says so', async () => {
      for (const header of [`"${latin1}"`, utf8]) {
        const more = { ...JSON_TYPE, 'Idempotency-Key': header };
        const { body } = await send('/increment', '{"key":"letters","value":1}', more);
        expect([body.status, body.code, body.detail]).toEqual([
          400,
          'invalid_request',
          'Idempotency-Key must be one text in quotes of at most 256 ASCII characters',
        ]);
      }
    });
  });
});
