import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { startServiceOn, startTestService, type TestService, until } from '../support/service.ts';
import { anEvent } from '../support/traffic.ts';

describeEngine('limits of tenants', () => {
  let t: TestService;
  let other: TestService;
  beforeAll(async () => {
    t = await startTestService({ RATE_LIMIT_REQUESTS_PER_SECOND: '1000' });
    other = await startServiceOn(t.database, { RATE_LIMIT_REQUESTS_PER_SECOND: '1000' });
  });
  afterAll(async () => {
    await other.service.close();
    await other.sql.end();
    await t.stop();
  });

  const limited = async (limits: object) => {
    const tenant = await t.tenant();
    expect((await t.call('PATCH', `/v1/tenants/${tenant.id}`, { body: limits })).status).toBe(200);
    return tenant;
  };
  const events = (count: number, tenantId?: string) =>
    Array.from({ length: count }, () => ({ ...anEvent(), ...(tenantId && { tenantId }) }));
  const post = (body: unknown, options: object = {}) => t.call('POST', '/v1/events', { body, ...options });
  const storedFor = async (tenantId: string) => {
    const { rows } = await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [tenantId]);
    return rows[0].n;
  };

  it('are set with the tenant, changed, taken back and shown', async () => {
    const body = { id: 'limited', name: 'x', requestsPerSecond: 5, eventsPerSecond: 0 };
    expect((await t.call('POST', '/v1/tenants', { body })).body).toMatchObject(body);
    const patch = async (changes: object) =>
      (await t.call('PATCH', '/v1/tenants/limited', { body: changes })).body;
    expect(await patch({ name: 'y' })).toMatchObject({ name: 'y', requestsPerSecond: 5, eventsPerSecond: 0 });
    expect(await patch({ requestsPerSecond: null, eventsPerSecond: 7 })).toMatchObject({
      requestsPerSecond: null,
      eventsPerSecond: 7,
    });
    for (const bad of [-1, 1.5, '5', 1_000_000_001]) {
      expect(await patch({ eventsPerSecond: bad })).toMatchObject({ status: 400, code: 'invalid_request' });
    }
  });

  it('of requests hold for every route, and each answer says what is left', async () => {
    const { key } = await limited({ requestsPerSecond: 3 });
    const paths = ['/v1/events', '/v1/usage', '/v1/keys', '/v1/live', '/v1/there-is-no-such-thing'];
    const answers = [];
    for (const path of paths) answers.push(await t.call('GET', path, { key }));
    expect(answers.slice(0, 3).map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(answers[0]!.headers.get('ratelimit-policy')).toBe('"requests";q=3;w=1');
    expect(answers[0]!.headers.get('ratelimit')).toBe('"requests";r=2;t=1');
    const refused = answers.find(({ status }) => status === 429)!;
    expect(refused.body).toMatchObject({ code: 'too_many_requests', status: 429 });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.headers.get('ratelimit')).toMatch(/^"requests";r=0;t=1$/);
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    await until(async () => (await t.call('GET', '/v1/live', { key })).status === 200);
  });

  it('of events refuse a request as a whole, and nothing of it is stored', async () => {
    const { id, key } = await limited({ eventsPerSecond: 10 });
    const first = await post(events(8), { key });
    expect([first.status, first.headers.get('ratelimit-policy')]).toEqual([
      200,
      '"requests";q=1000;w=1, "events";q=10;w=1',
    ]);
    const refused = await post(events(10), { key });
    expect(refused.body).toMatchObject({ status: 429, code: 'too_many_requests' });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.headers.get('ratelimit')).toMatch(/, "events";r=\d;t=1$/);
    const skipping = await t.call('POST', '/v1/events?onInvalid=skip', { key, body: [...events(10), 5] });
    expect(skipping.status).toBe(429);
    const async = await post(events(10), { key, headers: { prefer: 'respond-async' } });
    expect(async.status).toBe(429);
    expect(await storedFor(id)).toBe(8);
    await until(async () => (await post(events(1), { key })).status === 200);
  });

  it('of events take a request larger than a second of them, which is paid back', async () => {
    const { id, key } = await limited({ eventsPerSecond: 10 });
    expect((await post(events(40), { key })).body).toMatchObject({ accepted: 40 });
    const refused = await post(events(1), { key });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(2);
    expect(await storedFor(id)).toBe(40);
  });

  it('of each tenant are its own, and none where there is none', async () => {
    const [one, two] = [await limited({ requestsPerSecond: 1 }), await limited({ requestsPerSecond: 0 })];
    await t.call('GET', '/v1/live', { key: one.key });
    expect((await t.call('GET', '/v1/live', { key: one.key })).status).toBe(429);
    const answer = await t.call('GET', '/v1/live', { key: two.key });
    expect([answer.status, answer.headers.get('ratelimit'), answer.headers.get('ratelimit-policy')]).toEqual([
      200,
      null,
      null,
    ]);
    const usual = await t.call('GET', '/v1/live', { key: (await t.tenant()).key });
    expect(usual.headers.get('ratelimit-policy')).toBe('"requests";q=1000;w=1');
  });

  it('count for the tenant that a platform key acts for', async () => {
    const { id } = await limited({ requestsPerSecond: 1, eventsPerSecond: 5 });
    const headers = { 'x-tenant-id': id };
    expect((await t.call('GET', '/v1/live', { headers })).status).toBe(200);
    const refused = await t.call('GET', '/v1/live', { headers });
    expect([refused.status, refused.headers.get('ratelimit-policy')]).toEqual([
      429,
      '"requests";q=1;w=1, "events";q=5;w=1',
    ]);
    expect((await post(events(1), { headers })).status).toBe(429);
    for (let i = 0; i < 5; i++) expect((await t.call('GET', '/v1/tenants')).status).toBe(200);
  });

  it('count for each tenant in a request of a platform key, all or none', async () => {
    const [one, two] = [await limited({ eventsPerSecond: 4 }), await limited({ eventsPerSecond: 100 })];
    const mixed = (count: number) => post([...events(count, one.id), ...events(count, two.id)]);
    expect((await mixed(4)).body).toMatchObject({ accepted: 8 });
    expect((await mixed(4)).status).toBe(429);
    expect((await post(events(90, two.id))).body).toMatchObject({ accepted: 90 });
    expect([await storedFor(one.id), await storedFor(two.id)]).toEqual([4, 94]);
  });

  it('do not hold for who looks after the service, and unknown keys do not count', async () => {
    const { key } = await limited({ requestsPerSecond: 1 });
    for (let i = 0; i < 5; i++) {
      for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json']) {
        expect((await t.call('GET', path, { key })).status).toBe(200);
      }
      expect((await t.call('GET', '/v1/live', { key: `${key}x` })).status).toBe(401);
    }
    expect((await t.call('GET', '/v1/live', { key })).status).toBe(200);
    await t.call('GET', '/v1/live', { key });
    const { body } = await t.call('GET', '/metrics', { key: null });
    expect(body).toMatch(/tidemark_requests_limited_total\{limit="requests"\} [1-9]/);
  });

  it('hold in another instance within ten seconds', async () => {
    const { id, key } = await t.tenant();
    const policy = async () =>
      (await other.call('GET', '/v1/live', { key })).headers.get('ratelimit-policy');
    const platform = async () =>
      (await other.call('GET', '/v1/live', { headers: { 'x-tenant-id': id } })).headers.get('ratelimit-policy');
    expect(await policy()).toBe('"requests";q=1000;w=1');
    expect(await platform()).toBe('"requests";q=1000;w=1');
    await t.call('PATCH', `/v1/tenants/${id}`, { body: { requestsPerSecond: 500 } });
    for (const ask of [policy, platform]) {
      await until(async () => (await ask()) === '"requests";q=500;w=1', 10_000);
    }
    await sleep(0);
  });
});
