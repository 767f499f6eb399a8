import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServer, listen } from '../../../src/faces/http/server.ts';
import { describeEngine } from '../../support/database.ts';
import { type Description, type Operation, readDescription } from '../../support/description.ts';
import { type Conversation, converse, open } from '../../support/rawHttp.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const MIB = 1_048_576;
/** Bodies without an end at a time. */
const POURS = 12;
const CONSOLE = 'https://console.example.com';
const LIMITS = {
  HEADERS_TIMEOUT_MS: '400',
  REQUEST_TIMEOUT_MS: '800',
  KEEP_ALIVE_TIMEOUT_MS: '500',
  MAX_CONNECTIONS: '20',
  MAX_BODY_BYTES: '1048576',
};

describeEngine('HTTP', () => {
  let t: TestService;
  let key: string;
  let server: HttpServer;
  let hurried: HttpServer;
  let description: Description;
  beforeAll(async () => {
    t = await startTestService(LIMITS);
    ({ key } = await t.tenant());
    const patient = { headersMs: 10_000, requestMs: 15_000, keepAliveMs: 65_000, maxConnections: 1_000 };
    server = await listen(t.service.app, '127.0.0.1', 0, { ...t.config.http.limits, ...patient });
    hurried = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
    description = await readDescription(t);
  });
  afterAll(async () => {
    await server.close(500);
    await hurried.close(500);
    await t.stop();
  });

  const events = async () => Number((await t.sql.query('select count(*) as n from event')).rows[0].n);
  const postOf = (headers: string, body = '') =>
    `POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n${headers}\r\n\r\n${body}`;
  const healthz = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';

  /** One answer, a clean problem, then the end of the connection. */
  const expectRefused = ({ answers, closed, text }: Conversation, status: number, code: string) => {
    expect(answers.map((answer) => answer.status)).toEqual([status]);
    expect(JSON.parse(answers[0]!.body)).toEqual({
      type: 'about:blank',
      title: expect.any(String),
      status,
      code,
      detail: expect.any(String),
      requestId: answers[0]!.headers['x-request-id'],
    });
    expect(answers[0]!.headers).toMatchObject({
      'content-type': 'application/problem+json',
      connection: 'close',
      'x-content-type-options': 'nosniff',
    });
    expect(text).not.toMatch(/HPE_|node|llhttp|ERR_/i);
    expect(closed).toBe(true);
  };

  describe('framing', () => {
    const event = JSON.stringify(anEvent());
    const chunked = `${event.length.toString(16)}\r\n${event}\r\n0\r\n\r\n`;

    it.each([
      ['gzip, chunked', 'Transfer-Encoding: gzip, chunked'],
      ['chunked, then gzip', 'Transfer-Encoding: chunked, gzip'],
      ['chunked twice', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'],
      ['an unknown coding', 'Transfer-Encoding: xchunked'],
      ['identity', 'Transfer-Encoding: identity'],
      ['chunked behind a tab and more', 'Transfer-Encoding: \x0bchunked'],
      ['both framings', `Transfer-Encoding: chunked\r\nContent-Length: ${event.length}`],
      ['both framings, the other way round', 'Content-Length: 3\r\nTransfer-Encoding: chunked'],
      ['two lengths', 'Content-Length: 5\r\nContent-Length: 6'],
      ['one length twice', 'Content-Length: 5\r\nContent-Length: 5'],
      ['a list of lengths', 'Content-Length: 5, 5'],
      ['a signed length', 'Content-Length: +5'],
      ['a negative length', 'Content-Length: -5'],
      ['a length in hexadecimal', 'Content-Length: 0x10'],
      ['a length beyond 64 bits', 'Content-Length: 99999999999999999999'],
      ['a space before the colon', 'Transfer-Encoding : chunked'],
      ['a folded header', 'X-Folded: a\r\n b'],
      ['a NUL', 'X-Nul: a\0b'],
      ['a bare line feed', 'X-Line: a\nX-Other: b'],
      ['a bare carriage return', 'X-Line: a\rX-Other: b'],
      ['a header without a name', ': a'],
    ])('%s: refused, and nothing behind it is a request', async (_, headers) => {
      const before = await events();
      const answer = await converse(server.address, postOf(headers, chunked) + healthz);
      expectRefused(answer, 400, 'malformed_request');
      expect(await events()).toBe(before);
    });

    it.each([
      ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n'],
      ['an empty Host', 'GET /healthz HTTP/1.1\r\nHost:\r\n\r\n'],
      ['several Hosts', 'GET /healthz HTTP/1.1\r\nHost: x\r\nhost: y\r\n\r\n'],
      ['a Host twice', 'GET /healthz HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n'],
      [
        'two keys',
        'GET /v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n',
      ],
      ['HTTP/0.9', 'GET /healthz\r\n\r\n'],
      ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
      ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
      [
        'chunked by HTTP/1.0',
        'POST /v1/events HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      ],
      ['bytes beyond ASCII in the path', 'GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n'],
    ])('%s: refused', async (_, request) => {
      expectRefused(await converse(server.address, request), 400, 'malformed_request');
    });

    it.each([
      ['no path', 'GET healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['a Host that is none', 'GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n'],
      ['a Host with a user', 'GET /healthz HTTP/1.1\r\nHost: a@b\r\n\r\n'],
    ])('%s: refused', async (_, request) => {
      const { answers } = await converse(server.address, request);
      expect(answers.map(({ status }) => status)).toEqual([400]);
      expect(JSON.parse(answers[0]!.body)).toMatchObject({ code: 'malformed_request' });
    });

    it('a proxy that checks by HTTP/1.0 needs no Host', async () => {
      const { answers } = await converse(server.address, 'GET /healthz HTTP/1.0\r\n\r\n');
      expect(answers.map(({ status }) => status)).toEqual([200]);
    });

    it('broken chunks: refused, and nothing stored', async () => {
      const before = await events();
      for (const body of [
        'zz\r\n',
        `${chunked.slice(0, -5)}5;\nabc`,
        '-1\r\na',
        'fffffffffffffffff\r\na',
        '1\na\n0\n\n',
      ]) {
        const answer = await converse(server.address, postOf('Transfer-Encoding: chunked', body));
        expectRefused(answer, 400, 'malformed_request');
      }
      expect(await events()).toBe(before);
    });

    it('what came whole before the fault is answered first', async () => {
      const before = await events();
      const good = postOf(`Content-Length: ${event.length}`, event);
      const { answers, closed } = await converse(server.address, `${good}\x16\x03junk\r\n\r\n`, 2_000);
      expect(answers.map(({ status, body }) => [status, JSON.parse(body)])).toEqual([
        [200, { accepted: 1, duplicates: 0 }],
      ]);
      expect(closed).toBe(true);
      expect(await events()).toBe(before + 1);
    });

    it('headers: too large, too many, a URL too long', async () => {
      const large = `GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: ${'x'.repeat(40_000)}\r\n\r\n`;
      expectRefused(await converse(server.address, large), 431, 'headers_too_large');
      const many = `GET /healthz HTTP/1.1\r\nHost: x\r\n${'A: b\r\n'.repeat(100)}\r\n`;
      expectRefused(await converse(server.address, many), 431, 'headers_too_large');
      const long = `GET /healthz?${'x'.repeat(25_000)} HTTP/1.1\r\nHost: x\r\n\r\n`;
      expectRefused(await converse(server.address, long), 414, 'uri_too_long');
    });

    it('CONNECT and TRACE: refused; an Upgrade is passed over', async () => {
      expectRefused(
        await converse(server.address, 'CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n'),
        405,
        'method_not_allowed',
      );
      const trace = await converse(
        server.address,
        'TRACE /healthz HTTP/1.1\r\nHost: x\r\nX-Secret: s\r\n\r\n',
      );
      expect(trace.answers.map(({ status }) => status)).toEqual([405]);
      expect(trace.text).not.toMatch(/x-secret/i);
      const upgrade =
        'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==';
      const { answers } = await converse(
        server.address,
        `GET /healthz HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n\r\n`,
      );
      expect(answers.map(({ status }) => status)).toEqual([200]);
    });

    it('Expect: 100-continue goes on only where the body is wanted; anything else is 417', async () => {
      const expects = (length: number, authorization = `Bearer ${key}`) =>
        `POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`;
      const good = await converse(server.address, [expects(event.length), event], 2_000);
      expect(good.text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
      const large = await converse(server.address, expects(9 * MIB));
      expectRefused(large, 413, 'body_too_large');
      const unknown = await converse(server.address, expects(event.length, 'Bearer nobody'), 1_500);
      expect(unknown.text).toMatch(/^HTTP\/1\.1 401 /);
      const other = postOf('Expect: 200-ok\r\nContent-Length: 2', '{}');
      expectRefused(await converse(server.address, other), 417, 'expectation_failed');
    });
  });

  describe('bodies', () => {
    /** Writes for as long as the server takes it. @returns what it took, and the answer. */
    const pour = async (head: string, chunk: Buffer) => {
      const socket = await open(server.address);
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.write(head);
      const started = Date.now();
      while (!socket.destroyed && Date.now() - started < 20_000 && socket.bytesWritten < 256 * MIB) {
        if (!socket.write(chunk))
          await Promise.race([once(socket, 'drain').catch(() => undefined), closed, sleep(500)]);
        await sleep(0);
      }
      const ended = socket.destroyed;
      const sent = socket.bytesWritten - socket.writableLength;
      socket.destroy();
      return { text, sent, ended };
    };
    const data = Buffer.alloc(65_536, 0x20);
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), data, Buffer.from('\r\n')]);

    it('too large by Content-Length: 413 on every route, unread', async () => {
      for (const { method, path } of description.operations) {
        const url = path.replaceAll(/\{\w+\}/g, '00000000-0000-4000-8000-000000000000');
        const head = `${method} ${url} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: ${1_024 * MIB}\r\n\r\n`;
        const { text, sent, ended } = await pour(head, data);
        expect([method, path, text.slice(0, 13)]).toEqual([method, path, 'HTTP/1.1 413 ']);
        expect(ended).toBe(true);
        expect(sent).toBeLessThan(8 * MIB);
      }
    });

    it('without end, chunked: a bounded part is read on every route, with a key or without', async () => {
      const check = async ({ method, path, hasBody }: Operation, authorization: string) => {
        const url = path.replaceAll(/\{\w+\}/g, '00000000-0000-4000-8000-000000000000');
        const head = `${method} ${url} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${authorization}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`;
        const { text, sent, ended } = await pour(head, chunk);
        expect([method, path, ended]).toEqual([method, path, true]);
        expect(sent).toBeLessThan(17 * MIB); // the limit, and what sockets hold
        expect(text, `${method} ${path} ${authorization === key} ${sent}`).toMatch(/^HTTP\/1\.1 [24]\d\d /);
        if (hasBody && authorization === key) expect(text).toMatch(/^HTTP\/1\.1 (413|403) /);
      };
      // The server listens for a while to what comes: to several at a time.
      const pours = description.operations.flatMap((operation) => [
        [operation, key] as const,
        [operation, 'nobody'] as const,
      ]);
      for (let i = 0; i < pours.length; i += POURS)
        await Promise.all(pours.slice(i, i + POURS).map((pouring) => check(...pouring)));
    });
  });

  describe('time', () => {
    /** Sends `first`, then `more` every 100 ms until the server closes. */
    const dawdle = async (first: string, more: string) => {
      const started = Date.now();
      const socket = await open(hurried.address);
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      socket.write(first);
      while (!socket.destroyed && Date.now() - started < 8_000) {
        if (more !== '') socket.write(more);
        await sleep(100);
      }
      const ended = socket.destroyed;
      socket.destroy();
      return { text, ms: Date.now() - started, ended };
    };

    it.each([
      ['slow headers', 'GET /healthz HTTP/1.1\r\nHost: x\r\n', 'X-Slow: y\r\n'],
      ['a slow request line', 'GET /healthz', 'x'],
      ['nothing at all', '', ''],
      [
        'a slow body',
        'POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nContent-Length: 9000\r\n\r\n{',
        ' ',
      ],
      [
        'slow chunks',
        'POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked\r\n\r\n',
        '1\r\n \r\n',
      ],
    ])('%s: 408, within about a second of the limit', async (_, first, more) => {
      const { text, ms, ended } = await dawdle(first.replace('KEY', key), more);
      expect(ended).toBe(true);
      expect(ms).toBeLessThan(3_000);
      expect(text).toMatch(/^HTTP\/1\.1 408 /);
      expect(text).toContain('"code":"request_timeout"');
    });

    it('an idle connection lives as long as it may', async () => {
      const { text, ms, ended } = await dawdle(healthz, '');
      expect(text).toMatch(/^HTTP\/1\.1 200 /);
      expect(ended).toBe(true);
      expect(ms).toBeGreaterThan(400);
      expect(ms).toBeLessThan(3_500);
    });

    it('one connection more than may be is closed at once', async () => {
      const sockets = await Promise.all(Array.from({ length: 20 }, () => open(hurried.address)));
      const { closed, text } = await converse(hurried.address, healthz);
      expect([closed, text]).toEqual([true, '']);
      for (const socket of sockets) socket.destroy();
      await sleep(100);
      expect((await fetch(`${hurried.address}/healthz`)).status).toBe(200);
    });
  });

  describe('headers of answers', () => {
    const paths = [
      '/healthz',
      '/openapi.json',
      '/nowhere',
      '/v1/events',
      '/v1/nowhere',
      '/metrics',
      '/docs/init.js',
    ];

    it.each(paths)('%s', async (path) => {
      for (const headers of [{}, { authorization: `Bearer ${key}` }]) {
        const answer = await fetch(server.address + path, { headers });
        expect(Object.fromEntries(answer.headers)).toMatchObject({
          'x-content-type-options': 'nosniff',
          'referrer-policy': 'no-referrer',
          'content-security-policy': `default-src 'none'; frame-ancestors 'none'`,
          'cross-origin-resource-policy': 'same-origin',
          'x-request-id': expect.any(String),
          ...(path.startsWith('/v1/') && { 'cache-control': 'no-store' }),
        });
        for (const name of [
          'server',
          'x-powered-by',
          'strict-transport-security',
          'access-control-allow-origin',
        ]) {
          expect([name, answer.headers.get(name)]).toEqual([name, null]);
        }
      }
    });

    it('/docs has a policy under which it works, and cannot be framed', async () => {
      const answer = await fetch(`${server.address}/docs`);
      const policy = answer.headers.get('content-security-policy')!;
      expect(policy).toContain(`default-src 'none'`);
      expect(policy).toContain(`script-src 'self'`);
      expect(policy).toContain(`connect-src 'self'`);
      expect(policy).toContain(`frame-ancestors 'none'`);
      expect(await answer.text()).not.toMatch(/<script>|onload=|style=/);
    });
  });

  describe('pages of other origins', () => {
    it('get nothing by default', async () => {
      const preflight = await t.call('OPTIONS', '/v1/events', {
        key: null,
        headers: { origin: CONSOLE, 'access-control-request-method': 'POST' },
      });
      expect(preflight.status).toBe(401);
      const answers = [preflight, await t.call('GET', '/v1/events', { key, headers: { origin: CONSOLE } })];
      for (const { headers } of answers) {
        expect([...headers.keys()].filter((name) => /^access-control|^vary$/.test(name))).toEqual([]);
      }
    });

    it('get what CORS_ORIGINS names, and only there', async () => {
      const open = await startTestService({
        CORS_ORIGINS: `https://a.example, ${CONSOLE}`,
        HSTS_SECONDS: '60',
      });
      try {
        const { key } = await open.tenant();
        const preflight = (path: string, origin: string) =>
          open.call('OPTIONS', path, {
            key: null,
            headers: {
              origin,
              'access-control-request-method': 'POST',
              'access-control-request-headers': 'authorization',
            },
          });
        const allowed = await preflight('/v1/events', CONSOLE);
        expect(allowed.status).toBe(204);
        expect(Object.fromEntries(allowed.headers)).toMatchObject({
          'access-control-allow-origin': CONSOLE,
          'access-control-allow-methods': expect.stringContaining('POST'),
          'access-control-allow-headers': expect.stringContaining('Authorization'),
          'access-control-max-age': '600',
          vary: expect.stringContaining('Origin'),
          'strict-transport-security': 'max-age=60',
        });
        expect(allowed.headers.get('access-control-allow-credentials')).toBe(null);

        const others = [
          `${CONSOLE}.evil.example`,
          'https://console.example.com:444',
          'http://console.example.com',
          'null',
          '*',
          '',
        ];
        for (const origin of others) {
          const answers = [
            await preflight('/v1/events', origin),
            await open.call('GET', '/v1/events', { key, headers: { origin } }),
          ];
          for (const { headers } of answers) {
            expect([origin, headers.get('access-control-allow-origin')]).toEqual([origin, null]);
            expect(headers.get('vary')).toContain('Origin');
          }
        }
        for (const options of [{ key }, { key: null }]) {
          const { headers } = await open.call('GET', '/v1/events', {
            ...options,
            headers: { origin: CONSOLE },
          });
          expect(headers.get('access-control-allow-origin')).toBe(CONSOLE);
          for (const name of ['X-Request-Id', 'Retry-After', 'RateLimit', 'X-Next-Cursor']) {
            expect(headers.get('access-control-expose-headers')).toContain(name);
          }
        }
        const elsewhere = await open.call('GET', '/metrics', { key: null, headers: { origin: CONSOLE } });
        expect(elsewhere.headers.get('access-control-allow-origin')).toBe(null);
      } finally {
        await open.stop();
      }
    });
  });
});
