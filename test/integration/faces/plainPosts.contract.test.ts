import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import type { App, PlainPosts } from '../../../src/faces/http/appEnv.ts';
import { type HttpServer, listen } from '../../../src/faces/http/server.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { describeEngine } from '../../support/database.ts';
import { open, type RawAnswer, readAnswers } from '../../support/rawHttp.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const JSON_TYPE = 'Content-Type: application/json';
const UTF8_TYPE = 'Content-Type: application/json; charset=utf-8';
const MAX_EVENTS = 20;

describeEngine('a plain POST /v1/events', () => {
  const lines: string[] = [];
  let t: TestService;
  let tenant: { id: string; key: string };
  let scopeless: string;
  let servers: { short: HttpServer; long: HttpServer };
  /** Requests that have gone the short way. */
  let taken = 0;

  beforeAll(async () => {
    t = await startTestService(
      { MAX_EVENTS_PER_REQUEST: String(MAX_EVENTS) },
      { log: createLogger({ logLevel: 'debug' }, { write: (line) => void lines.push(line) }) },
    );
    await t.sql.query(
      `alter table event add constraint no_poison check (endpoint is distinct from '/poison')`,
    );
    tenant = await t.tenant();
    ({ key: scopeless } = await createKey(t.sql, { tenantId: tenant.id, scopes: ['read'] }));
    const { app } = t.service;
    const { mayTake, take } = app.plainPosts!;
    const counting: PlainPosts = {
      mayTake,
      take(...request) {
        const takes = take(...request);
        if (takes) taken++;
        return takes;
      },
    };
    const serve = (plainPosts: PlainPosts | null) =>
      listen({ fetch: app.fetch, plainPosts } as App, '127.0.0.1', 0, t.config.http.limits);
    servers = { short: await serve(counting), long: await serve(null) };
  });
  beforeEach(async () => {
    await t.call('PATCH', `/v1/tenants/${tenant.id}`, { body: { name: 'so that keys are forgotten' } });
    await post(servers.short, tenant.key, [JSON_TYPE], anEvent()); // and believed again from now on
    taken = 0;
  });
  afterAll(async () => {
    await servers.short.close(1_000);
    await servers.long.close(1_000);
    await t.stop();
  });

  /** The bytes of a request; `headers` beside Host, Authorization and Content-Length. */
  const requestOf = (
    key: string | null,
    headers: string[],
    body: unknown,
    { query = '', version = '1.1', host = 'localhost:8080' } = {},
  ): Buffer => {
    const bytes = body instanceof Uint8Array || typeof body === 'string' ? body : JSON.stringify(body);
    const head = [
      `POST /v1/events${query} HTTP/${version}`,
      `Host: ${host}`,
      ...(key === null ? [] : [`Authorization: Bearer ${key}`]),
      ...(headers.some((line) => /^transfer-encoding/i.test(line))
        ? []
        : [`Content-Length: ${Buffer.byteLength(bytes)}`]),
      ...headers,
    ];
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), Buffer.from(bytes)]);
  };

  /** Sends pieces on a connection of their own, and waits for so many answers. */
  const exchange = async (server: HttpServer, pieces: Buffer[], answers = 1): Promise<RawAnswer[]> => {
    const socket = await open(server.address);
    let text = '';
    socket.on('data', (data) => {
      text += data.toString('latin1');
    });
    for (const piece of pieces) {
      socket.write(piece);
      if (pieces.length > 1) await sleep(30);
    }
    await until(() => socket.destroyed || readAnswers(text).filter(isWhole).length >= answers);
    socket.destroy();
    return readAnswers(text);
  };
  const isWhole = ({ status, headers, body }: RawAnswer) =>
    status !== 0 && body.length === Number(headers['content-length']);

  const post = async (
    server: HttpServer,
    key: string | null,
    headers: string[],
    body: unknown,
    more: Parameters<typeof requestOf>[3] = {},
  ) => (await exchange(server, [requestOf(key, headers, body, more)]))[0]!;

  /** What may differ from one request to the next is made the same. */
  const comparable = ({ status, headers, body }: RawAnswer, requestId?: string) => {
    const { date, 'x-request-id': id, 'content-length': length, ...others } = headers;
    expect(new Date(date!).getTime()).toBeGreaterThan(0);
    expect(Number(length)).toBe(body.length);
    expect(id).toMatch(requestId === undefined ? /^[0-9a-f-]{36}$/ : new RegExp(`^${requestId}$`));
    if (others.ratelimit) others.ratelimit = others.ratelimit.replace(/r=\d+;t=\d+/g, 'left');
    return { status, headers: others, body: body.replaceAll(id!, 'the request') };
  };

  const two = () => [anEvent(), anEvent({ customerId: 'müller', metadata: { model: 'm', latencyMs: 2.5 } })];
  const twice = () => {
    const event = anEvent();
    return [event, anEvent(), event];
  };
  const known = anEvent();
  const again = async () => {
    const event = anEvent();
    await t.call('POST', '/v1/events', { key: tenant.key, body: event });
    return event;
  };

  it.each<[string, unknown, number]>([
    ['one event', () => anEvent(), 200],
    ['several', two, 200],
    ['one twice', twice, 200],
    ['one that is known', again, 200],
    ['more than one request may hold', () => Array.from({ length: MAX_EVENTS + 1 }, () => anEvent()), 413],
    ['none', [], 400],
    ['no JSON', '{"eventId":', 400],
    ['one a line', () => `${JSON.stringify(anEvent())}\n${JSON.stringify(anEvent())}\n`, 400],
    ['no UTF-8', () => Buffer.from(JSON.stringify(anEvent({ customerId: 'é' })), 'latin1'), 400],
    ['UTF-16', () => Buffer.from(JSON.stringify(anEvent()), 'utf16le'), 400],
    ['a byte order mark', () => `\ufeff${JSON.stringify(anEvent())}`, 200],
    ['a field that is none', { ...known, colour: 'red' }, 422],
    ['faults in two of three', [{}, known, { ...known, customerId: 1 }], 422],
    ['the time of another year', () => ({ ...anEvent(), timestamp: '2001-01-01T00:00:00Z' }), 422],
    ['another tenant', () => ({ ...anEvent(), tenantId: 'another' }), 403],
    ['its own tenant', () => ({ ...anEvent(), tenantId: tenant.id }), 200],
    ['a long number', () => JSON.stringify(anEvent()).replace(':10}', ':12345678901234567890}'), 422],
    ['what only the database refuses', () => [anEvent(), anEvent({ apiEndpoint: '/poison' })], 422],
  ])('with %s is answered alike on both ways', async (_, body, status) => {
    const before = await metrics();
    const others = body === again ? 4 : 0;
    for (const headers of [[JSON_TYPE], [UTF8_TYPE, 'X-Request-Id: mine-1.2', 'X-Other: é']]) {
      const sent = async () => (typeof body === 'function' ? await body() : body);
      const bodies = [await sent(), await sent()];
      lines.length = 0;
      const short = await post(servers.short, tenant.key, headers, bodies[0]);
      const logged = linesOf(lines);
      lines.length = 0;
      const long = await post(servers.long, tenant.key, headers, bodies[1]);
      const id = headers.length > 1 ? 'mine-1.2' : undefined;
      expect(comparable(short, id)).toEqual(comparable(long, id));
      expect(short.status).toBe(status);
      expect(logged).toEqual(linesOf(lines));
      expect(logged.filter(({ msg }) => msg === 'request')).toHaveLength(1);
    }
    expect(taken).toBe(2);
    const after = await metrics();
    expect(after.answered - before.answered).toBe(4 + others);
    expect(after.active).toBe(before.active);
    expect((after.problems - before.problems) % 2).toBe(0);
    expect(after.problems - before.problems).toBe(status >= 400 ? 4 : 0);
    expect((after.rejected - before.rejected) % 2).toBe(0);
  });

  it.each<[string, Parameters<typeof requestOf>[1], Parameters<typeof requestOf>[3]]>([
    ['that asks for no answer', [JSON_TYPE, 'Prefer: respond-async'], {}],
    ['that skips what is invalid', [JSON_TYPE], { query: '?onInvalid=skip' }],
    ['with a query', [JSON_TYPE], { query: '?x=1' }],
    ['without a type', [], {}],
    ['of another type', ['Content-Type: text/plain'], {}],
    ['of a form', ['Content-Type: application/x-www-form-urlencoded'], {}],
    ['with two types', [JSON_TYPE, UTF8_TYPE], {}],
    ['as a CloudEvent', ['Content-Type: application/cloudevents+json'], {}],
    ['with an encoding', [JSON_TYPE, 'Content-Encoding: identity'], {}],
    ['with one that is none', [JSON_TYPE, 'Content-Encoding: zip'], {}],
    ['of another tenant', [JSON_TYPE, 'X-Tenant-Id: another'], {}],
    ['with an empty tenant', [JSON_TYPE, 'X-Tenant-Id:'], {}],
    ['by HTTP/1.0', [JSON_TYPE], { version: '1.0' }],
    ['of a Host that is none', [JSON_TYPE], { host: 'a b' }],
    ['of a Host beyond the usual', [JSON_TYPE], { host: '[::1]:70000' }],
  ])('%s goes through the app', async (_, headers, more) => {
    const short = await post(servers.short, tenant.key, headers, anEvent(), more);
    const long = await post(servers.long, tenant.key, headers, anEvent(), more);
    expect(comparable(short)).toEqual(comparable(long));
    expect(taken).toBe(0);
  });

  it('goes through the app where its body comes packed, in chunks, in pieces, or after a question', async () => {
    const body = JSON.stringify(anEvent());
    const packed = requestOf(tenant.key, [JSON_TYPE, 'Content-Encoding: gzip'], gzipSync(body));
    const chunked = requestOf(
      tenant.key,
      [JSON_TYPE, 'Transfer-Encoding: chunked'],
      `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    );
    const whole = requestOf(tenant.key, [JSON_TYPE], body);
    const headEnd = whole.indexOf('\r\n\r\n') + 4;
    const pieces = [
      whole.subarray(0, headEnd),
      whole.subarray(headEnd, headEnd + 20),
      whole.subarray(headEnd + 20),
    ];
    const asking = requestOf(tenant.key, [JSON_TYPE, 'Expect: 100-continue'], body);
    for (const server of [servers.short, servers.long]) {
      for (const sent of [[packed], [chunked], pieces, [asking]]) {
        expect((await exchange(server, sent)).map(({ status }) => status)).toEqual([200]);
      }
    }
    expect(taken).toBe(0);
  });

  it('is refused by the app where its key is not good for it', async () => {
    const { key: revoked } = await createKey(t.sql, { tenantId: tenant.id, scopes: ['ingest'] });
    await t.sql.query('update api_key set revoked_at = now() where secret_hash = sha256($1::bytea)', [
      revoked,
    ]);
    for (const key of [null, 'tm_unknown', scopeless, revoked]) {
      const [short, long] = [
        await post(servers.short, key, [JSON_TYPE], anEvent()),
        await post(servers.long, key, [JSON_TYPE], anEvent()),
      ];
      expect(comparable(short)).toEqual(comparable(long));
      expect([401, 403]).toContain(short.status);
    }
    expect(taken).toBe(0);
  });

  describe('on a connection with others', () => {
    it('is answered in its turn, whichever way each goes', async () => {
      const plain = (events: number) =>
        requestOf(
          tenant.key,
          [JSON_TYPE],
          Array.from({ length: events }, () => anEvent()),
        );
      const unread = requestOf('tm_unknown', [JSON_TYPE], anEvent());
      const lines = () => requestOf(tenant.key, ['Content-Type: application/x-ndjson'], anEvent());
      const all = Buffer.concat([plain(1), lines(), plain(2), unread, plain(3), lines(), plain(4)]);
      const answers = await exchange(servers.short, [all], 7);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 401, 200, 200, 200]);
      expect(answers.map(({ body }) => JSON.parse(body).accepted)).toEqual([1, 1, 2, undefined, 3, 1, 4]);
      expect(taken).toBeGreaterThan(0);
    });

    it('is of the key that it shows itself', async () => {
      const other = await t.tenant();
      await post(servers.short, other.key, [JSON_TYPE], anEvent());
      taken = 0;
      const socket = await open(servers.short.address);
      const ask = answersOn(socket);
      for (const { id, key } of [tenant, other, tenant, other]) {
        const event = { ...anEvent(), tenantId: id };
        expect((await ask(requestOf(key, [JSON_TYPE], event))).status).toBe(200);
        expect(
          (await ask(requestOf(key === other.key ? tenant.key : other.key, [JSON_TYPE], event))).status,
        ).toBe(403);
      }
      expect(taken).toBe(8);
      expect((await ask(requestOf(`${tenant.key}x`, [JSON_TYPE], anEvent()))).status).toBe(401);
      expect((await ask(requestOf(null, [JSON_TYPE], anEvent()))).status).toBe(401);
      expect(taken).toBe(8);
      socket.destroy();
    });

    it('is refused as soon as its key is revoked here', async () => {
      const { key, id } = await createKey(t.sql, { tenantId: tenant.id, scopes: ['ingest'] });
      const socket = await open(servers.short.address);
      const ask = answersOn(socket);
      for (let i = 0; i < 3; i++) {
        expect((await ask(requestOf(key, [JSON_TYPE], anEvent()))).status).toBe(200);
      }
      expect(taken).toBeGreaterThan(0);
      expect((await t.call('DELETE', `/v1/keys/${id}`, { key: tenant.key })).status).toBe(204);
      taken = 0;
      const answer = await ask(requestOf(key, [JSON_TYPE], anEvent()));
      expect([answer.status, JSON.parse(answer.body).code]).toEqual([401, 'key_revoked']);
      expect(taken).toBe(0);
      socket.destroy();
    });

    it('is refused within five seconds where its key is revoked elsewhere, however often it is shown', async () => {
      const { key, id } = await createKey(t.sql, { tenantId: tenant.id, scopes: ['ingest'] });
      const socket = await open(servers.short.address);
      const ask = answersOn(socket);
      await ask(requestOf(key, [JSON_TYPE], anEvent()));
      await t.sql.query('update api_key set revoked_at = now() where id = $1', [id]);
      const since = performance.now();
      let status = 200;
      while (status === 200 && performance.now() - since < 20_000) {
        ({ status } = await ask(requestOf(key, [JSON_TYPE], anEvent())));
        if (status === 200) expect(performance.now() - since).toBeLessThan(8_000); // a slow machine counted in
      }
      expect(status).toBe(401);
      expect(taken).toBeGreaterThan(0);
      socket.destroy();
    });
  });

  it('counts for the limits of its tenant, and says what is left of them', async () => {
    for (const limits of [
      { eventsPerSecond: 10 },
      { requestsPerSecond: 2 },
      { requestsPerSecond: 3, eventsPerSecond: 5 },
    ]) {
      const answers: ReturnType<typeof comparable>[][] = [];
      for (const server of [servers.short, servers.long]) {
        const limited = await t.tenant();
        await t.call('PATCH', `/v1/tenants/${limited.id}`, { body: limits });
        await post(servers.long, limited.key, [JSON_TYPE], anEvent());
        await post(servers.long, limited.key, [JSON_TYPE], anEvent());
        await sleep(1_100); // until all is refilled
        const five = () => Array.from({ length: 5 }, () => anEvent());
        const all = Array.from({ length: 6 }, () => requestOf(limited.key, [JSON_TYPE], five()));
        answers.push((await exchange(server, [Buffer.concat(all)], 6)).map((answer) => comparable(answer)));
      }
      const [short, long] = answers;
      expect(short).toEqual(long);
      const statuses = short!.map(({ status }) => status);
      expect(statuses).toContain(200);
      expect(statuses).toContain(429);
      for (const { headers } of short!) expect(headers).toHaveProperty('ratelimit-policy');
    }
    expect(taken).toBe(18);
  });

  it('whose client has gone is stored, and harms nobody', async () => {
    const before = await stored();
    for (let i = 0; i < 20; i++) {
      const socket = await open(servers.short.address);
      await new Promise((sent) => socket.write(requestOf(tenant.key, [JSON_TYPE], anEvent()), sent));
      socket.resetAndDestroy();
    }
    await until(async () => (await metrics()).active === 0);
    expect(await stored()).toBeLessThanOrEqual(before + 20);
    expect((await post(servers.short, tenant.key, [JSON_TYPE], anEvent())).status).toBe(200);
  });

  const stored = async () => Number((await t.sql.query('select count(*) as n from event')).rows[0].n);

  /** Sums that both ways have to move alike. */
  async function metrics() {
    const { body } = await t.call('GET', '/metrics', { key: null });
    const sum = (pattern: RegExp) =>
      [...(body as string).matchAll(pattern)].reduce((total, [, value]) => total + Number(value), 0);
    return {
      answered: sum(/^http_server_request_duration_seconds_count\{.*http_route="\/v1\/events".*\} (\d+)/gm),
      active: sum(/^http_server_active_requests (\d+)/gm) - 1, // the one that asks
      problems: sum(/^tidemark_http_problems_total\{.*\} (\d+)/gm),
      rejected: sum(/^tidemark_events_rejected_total\{way="http".*\} (\d+)/gm),
    };
  }
});

describeEngine('where requests are traced, or come from pages', () => {
  it.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }],
    [{ CORS_ORIGINS: 'https://console.example.com' }],
  ])('all of them go through the app: %j', async (env) => {
    const t = await startTestService(env);
    try {
      expect(t.service.app.plainPosts).toBeNull();
    } finally {
      await t.stop();
    }
  });
});

it('a service that stops says so on the short way too', async () => {
  const t = await startTestService();
  const server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
  try {
    const { key } = await t.tenant();
    const event = () =>
      fetch(`${server.address}/v1/events`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify(anEvent({ eventId: randomUUID() })),
      });
    await event();
    expect((await event()).headers.get('connection')).toBe('keep-alive');
    t.service.beginDrain();
    expect((await event()).headers.get('connection')).toBe('close');
  } finally {
    await server.close(1_000);
    await t.stop();
  }
});

/** Asks on one connection, one request after the other. */
function answersOn(socket: Awaited<ReturnType<typeof open>>) {
  return async (request: Buffer): Promise<RawAnswer> => {
    let text = '';
    const listen = (data: Buffer) => {
      text += data.toString('latin1');
    };
    socket.on('data', listen);
    socket.write(request);
    await until(() => {
      const [answer] = readAnswers(text);
      return answer !== undefined && answer.body.length === Number(answer.headers['content-length']);
    });
    socket.off('data', listen);
    return readAnswers(text)[0]!;
  };
}

/** What the log says, but for what differs from request to request. */
function linesOf(lines: string[]): Record<string, unknown>[] {
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ msg }) => msg === 'request' || msg === 'request failed')
    .map(({ time, requestId, durationMs, ...line }) => line);
}
