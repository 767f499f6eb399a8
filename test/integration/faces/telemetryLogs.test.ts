import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, inject, it } from 'vitest';
import { listen } from '../../../src/faces/http/server.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { describeEngine } from '../../support/database.ts';
import { unsettled } from '../../support/queue.ts';
import { ADMIN_KEY, startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

/** In everything that is sent, and in no line. */
const MARK = 'said-by-a-client';

describeEngine('the log', () => {
  const stream = `logs:${inject('engine')}:${process.pid}:${randomUUID().slice(0, 8)}`;
  const lines: string[] = [];
  let t: TestService;
  let tenant: { id: string; key: string };
  let redis: Redis;

  beforeAll(async () => {
    redis = new Redis(inject('redisUrl'));
    t = await startTestService(
      {
        LOG_LEVEL: 'trace',
        INGEST_DEADLINE_MS: '1000',
        REDIS_URL: inject('redisUrl'),
        SOURCE_REDIS_URL: inject('redisUrl'),
        SOURCE_STREAM: stream,
      },
      { log: createLogger({ logLevel: 'trace' }, { write: (line) => void lines.push(line) }) },
    );
    tenant = await t.tenant();
  });
  beforeEach(() => {
    lines.length = 0;
  });
  afterAll(async () => {
    await t.stop();
    await redis.del(stream, `${stream}:dead`);
    redis.disconnect();
  });

  const marked = (overrides = {}) =>
    anEvent({
      customerId: `${MARK}-customer`,
      apiEndpoint: `/${MARK}`,
      metadata: { tokens: 1, model: MARK, ...{ note: MARK } },
      ...overrides,
    });
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    t.call('POST', '/v1/events', { key: tenant.key, body, headers });
  const parsed = () => lines.map((line) => JSON.parse(line));
  const expectNoMark = () => {
    expect(lines.length).toBeGreaterThan(0);
    const told = lines.join('');
    for (const secret of [MARK, tenant.key, ADMIN_KEY]) expect(told).not.toContain(secret);
  };

  it('has a line for each request: who asked, for what, how it ended, how long it took', async () => {
    const requestId = randomUUID();
    await post(marked(), { 'x-request-id': requestId });
    const [line] = parsed().filter((one) => one.requestId === requestId);
    expect(line).toEqual({
      level: 20,
      time: expect.stringMatching(/Z$/),
      msg: 'request',
      requestId,
      method: 'POST',
      route: '/v1/events',
      tenantId: tenant.id,
      keyId: expect.any(String),
      status: 200,
      durationMs: expect.any(Number),
    });
    expect(line.durationMs).toBeGreaterThan(0);
  });

  it('names the tenant that a platform key has named, and the template of a path', async () => {
    await t.call('GET', '/v1/windows', { headers: { 'x-tenant-id': tenant.id } });
    await t.call('POST', '/v1/events', { body: marked(), headers: { 'x-tenant-id': tenant.id } });
    await t.call('PUT', `/v1/customers/${MARK}`, { key: tenant.key, body: { name: MARK } });
    await t.call('GET', `/v1/sessions/${MARK}`, { key: tenant.key });
    const requests = parsed().filter(({ msg }) => msg === 'request');
    expect(requests.map(({ route, tenantId }) => [route, tenantId])).toEqual([
      ['/v1/windows', tenant.id],
      ['/v1/events', tenant.id],
      [expect.stringMatching(/^(\/v1\/customers\/\{\w+\}|unmatched)$/), tenant.id],
      ['/v1/sessions/{id}', tenant.id],
    ]);
    expectNoMark();
  });

  it('tells nothing of what good and bad requests hold', async () => {
    const event = marked();
    await post(event);
    await post({ ...event, metadata: { model: MARK, tokens: 2 } }); // a duplicate
    await post([marked({ timestamp: MARK }), { ...marked(), [MARK]: MARK }]);
    await post(`{"customerId": "${MARK}`);
    await post(`${MARK}\n${MARK}`, { 'content-type': 'application/x-ndjson' });
    await post(marked(), { 'content-type': `text/${MARK}` });
    await post(marked(), { prefer: 'respond-async' });
    await t.call('POST', '/v1/events', { key: `tm_${MARK}`, body: marked() });
    await t.call('POST', '/v1/keys', { body: { tenantId: tenant.id, scopes: [MARK] } });
    await t.call('GET', `/v1/${MARK}?${MARK}=${MARK}`, { key: tenant.key });
    await t.call('GET', `/v1/events?customerId=${MARK}&cursor=${MARK}`, { key: tenant.key });
    await t.call('POST', `/v1/counters/increment?${MARK}`, {
      key: tenant.key,
      body: { key: MARK, value: 1 },
    });
    await t.call('POST', '/v1/subscriptions', {
      key: tenant.key,
      body: { url: `http://127.0.0.1:9/${MARK}`, messageTypes: ['alert.triggered'] },
    });
    const created = await t.call('POST', '/v1/keys', { body: { tenantId: tenant.id, scopes: ['read'] } });
    const statuses = parsed()
      .filter(({ msg }) => msg === 'request')
      .map(({ status }) => status);
    expect(statuses.filter((status) => status >= 400).length).toBeGreaterThan(5);
    expectNoMark();
    expect(lines.join('')).not.toContain(created.body.key);
  });

  it('tells nothing of what a request held that the database refuses, or cannot take', async () => {
    await t.sql.query(
      `alter table event add constraint no_marks check (source_id is distinct from 'refused')`,
    );
    expect((await post(marked({ sourceId: 'refused' }))).status).toBe(422);
    await t.sql.query(`
      create function fail_with_the_row() returns trigger language plpgsql as
      $$ begin raise exception using errcode = '22000', message = new.model, detail = new.metadata::text; end $$;
      create trigger fail before insert on event for each row execute function fail_with_the_row()`);
    expect((await post(marked())).status).toBe(422);
    await t.sql.query(`drop trigger fail on event; alter table event rename to elsewhere`);
    try {
      expect((await post(marked(), { 'x-request-id': 'failing' })).status).toBeGreaterThanOrEqual(500);
      await post(marked(), { prefer: 'respond-async' });
      await until(() => lines.some((line) => line.includes('answered with 202')));
    } finally {
      await t.sql.query('alter table elsewhere rename to event');
    }
    await t.sql.query('alter view tenant_data.customer rename to elsewhere');
    try {
      expect((await t.call('GET', '/v1/customers', { key: tenant.key })).status).toBe(500);
    } finally {
      await t.sql.query('alter view tenant_data.elsewhere rename to customer');
    }
    const failed = parsed().find(({ msg, requestId }) => msg === 'request failed' && requestId === 'failing');
    expect(failed).toMatchObject({ route: '/v1/events', tenantId: tenant.id, err: { code: '42P01' } });
    expectNoMark();
  });

  it('tells nothing of the entries of a queue', async () => {
    await redis.xadd(stream, '*', 'tenant', tenant.id, 'data', JSON.stringify(marked()));
    await redis.xadd(stream, '*', 'tenant', tenant.id, 'data', `{"${MARK}`);
    await redis.xadd(stream, '*', 'tenant', MARK, 'data', JSON.stringify(marked()));
    await until(async () => {
      const { pending, lag } = await unsettled(redis, stream);
      return pending === 0 && lag === 0;
    });
    await until(() => lines.length > 0);
    expectNoMark();
  });

  it('tells nothing of what is not even a request', async () => {
    const { metrics, server } = await serve();
    try {
      await send(server, `/v1/windows?${MARK}=${'x'.repeat(40_000)}`);
      const before = await metrics();
      await send(server, `/v1/${MARK}`, { 'transfer-encoding': 'gzip, chunked', 'x-mark': MARK });
      expect(await metrics()).toBeGreaterThan(before);
      expectNoMark();
    } finally {
      await server.close(1_000);
    }
  });

  async function serve() {
    const server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits, t.service.onRefused);
    const metrics = async () => {
      const { body } = await t.call('GET', '/metrics', { key: null });
      const counts = [...body.matchAll(/^tidemark_http_problems_total\{code="\w+"\} (\d+)/gm)];
      return counts.reduce((sum, [, count]) => sum + Number(count), 0);
    };
    return { server, metrics };
  }
});

/** A request that may be answered or cut off. */
function send(
  server: { address: string },
  path: string,
  headers: Record<string, string> = {},
): Promise<void> {
  return new Promise((resolve) => {
    const sent = request(server.address + path, { method: 'POST', headers }, (answer) => {
      answer.resume();
      answer.once('close', () => resolve());
    });
    sent.once('error', () => resolve());
    sent.end();
  });
}
