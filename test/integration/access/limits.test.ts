import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import {
  type Answer,
  type CallOptions,
  startServiceOn,
  startTestService,
  type TestService,
  until,
} from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

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
    const { rows } = await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [
      tenantId,
    ]);
    return rows[0].n;
  };

  /** Asks until it is refused, however slow the machine is. */
  const untilRefused = async (path: string, options: CallOptions): Promise<Answer> => {
    for (let i = 0; i < 100; i++) {
      const answer = await t.call('GET', path, options);
      if (answer.status === 429) return answer;
    }
    throw new Error('it was never refused');
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
    const { key } = await limited({ requestsPerSecond: 2 });
    const first = await t.call('GET', '/v1/events', { key });
    expect([first.status, first.headers.get('ratelimit-policy'), first.headers.get('ratelimit')]).toEqual([
      200,
      '"requests";q=2;w=1',
      '"requests";r=1;t=1',
    ]);
    for (const path of ['/v1/usage', '/v1/keys', '/v1/there-is-no-such-thing']) {
      await untilRefused(path, { key });
    }
    const refused = await untilRefused('/v1/live', { key });
    expect(refused.body).toMatchObject({ code: 'too_many_requests', status: 429 });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(refused.headers.get('ratelimit')).toMatch(/^"requests";r=0;t=1$/);
    expect(refused.headers.get('content-type')).toBe('application/problem+json');
    await until(async () => (await t.call('GET', '/v1/live', { key })).status === 200);
  });

  it('of events refuse a request as a whole, and nothing of it is stored', async () => {
    const { id, key } = await limited({ eventsPerSecond: 10 });
    const first = await post(events(100), { key });
    expect([first.status, first.headers.get('ratelimit-policy')]).toEqual([
      200,
      '"requests";q=1000;w=1, "events";q=10;w=1',
    ]);
    const refused = await post(events(10), { key });
    expect(refused.body).toMatchObject({ status: 429, code: 'too_many_requests' });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(2);
    expect(refused.headers.get('ratelimit')).toMatch(/, "events";r=0;t=\d+$/);
    const skipping = await t.call('POST', '/v1/events?onInvalid=skip', { key, body: [...events(10), 5] });
    expect(skipping.status).toBe(429);
    const async = await post(events(10), { key, headers: { prefer: 'respond-async' } });
    expect(async.status).toBe(429);
    expect(await storedFor(id)).toBe(100);
  });

  it('of events take a request larger than a second of them, which is paid back', async () => {
    const { id, key } = await limited({ eventsPerSecond: 100 });
    expect((await post(events(150), { key })).body).toMatchObject({ accepted: 150 });
    await until(async () => (await post(events(1), { key })).status === 200);
    expect(await storedFor(id)).toBe(151);
  });

  it('of each tenant are its own, and none where there is none', async () => {
    const [one, two] = [await limited({ requestsPerSecond: 1 }), await limited({ requestsPerSecond: 0 })];
    await untilRefused('/v1/live', { key: one.key });
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
    const refused = await untilRefused('/v1/live', { headers });
    expect(refused.headers.get('ratelimit-policy')).toBe('"requests";q=1;w=1, "events";q=5;w=1');
    await until(async () => (await post(events(100), { headers })).status === 200);
    const more = await post(events(1), { headers });
    expect([more.status, await storedFor(id)]).toEqual([429, 100]);
    for (let i = 0; i < 5; i++) expect((await t.call('GET', '/v1/tenants')).status).toBe(200);
  });

  it('count for each tenant in a request of a platform key, all or none', async () => {
    const [one, two] = [await limited({ eventsPerSecond: 4 }), await limited({ eventsPerSecond: 100 })];
    const mixed = (count: number) => post([...events(count, one.id), ...events(count, two.id)]);
    expect((await mixed(40)).body).toMatchObject({ accepted: 80 });
    expect((await mixed(4)).status).toBe(429);
    expect((await post(events(50, two.id))).body).toMatchObject({ accepted: 50 });
    expect([await storedFor(one.id), await storedFor(two.id)]).toEqual([40, 90]);
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
    await untilRefused('/v1/live', { key });
    const { body } = await t.call('GET', '/metrics', { key: null });
    expect(body).toMatch(/tidemark_requests_limited_total\{limit="requests"\} [1-9]/);
  });

  it('hold in another instance within ten seconds', async () => {
    const { id, key } = await t.tenant();
    const policy = async () => (await other.call('GET', '/v1/live', { key })).headers.get('ratelimit-policy');
    const platform = async () =>
      (await other.call('GET', '/v1/live', { headers: { 'x-tenant-id': id } })).headers.get(
        'ratelimit-policy',
      );
    expect(await policy()).toBe('"requests";q=1000;w=1');
    expect(await platform()).toBe('"requests";q=1000;w=1');
    await t.call('PATCH', `/v1/tenants/${id}`, { body: { requestsPerSecond: 500 } });
    for (const ask of [policy, platform]) {
      await until(async () => (await ask()) === '"requests";q=500;w=1', 10_000);
    }
  });
});
