import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { hashKey } from '../../../src/access/tenancy/secrets.ts';
import { describeEngine } from '../../support/database.ts';
import { readDescription } from '../../support/description.ts';
import { isPortal, makePortalToken } from '../../support/portal.ts';
import {
  ADMIN_KEY,
  type Answer,
  type CallOptions,
  startServiceOn,
  startTestService,
  type TestService,
  until,
} from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const HOST = 'https://shop.example';

describeEngine('portal tokens', () => {
  let t: TestService;
  let own: { id: string; key: string };
  beforeAll(async () => {
    t = await startTestService({ CORS_ORIGINS: HOST });
    own = await t.tenant();
    const at = Date.now() - 3 * 3_600_000;
    const event = (customerId: string, i: number, model: string, gb: string) => ({
      ...anEvent({ customerId, timestamp: new Date(at + i * 900_000).toISOString() }),
      eventType: 'egress',
      value: gb,
      metadata: { model, gb, region: i % 2 ? 'eu' : 'us', inputTokens: 3, outputTokens: 4 },
    });
    const body = [
      ...Array.from({ length: 9 }, (_, i) =>
        event('alice', i, i % 3 ? 'small' : 'large', `0.${i + 1}0000000000000001`),
      ),
      ...Array.from({ length: 5 }, (_, i) => event('bob', i, 'bob-model', '7.5')),
    ];
    expect((await t.call('POST', '/v1/events', { key: own.key, body })).body).toMatchObject({ accepted: 14 });
    for (const slug of ['egress_gb', 'egress_peak', 'egress_hidden']) {
      const aggregation = slug === 'egress_peak' ? 'max' : 'sum';
      const dimensions = { region: '$.region' };
      const meter = {
        slug,
        eventType: 'egress',
        aggregation,
        value: '$.gb',
        dimensions,
        name: `Name of ${slug}`,
      };
      expect((await t.call('POST', '/v1/meters', { key: own.key, body: meter })).status).toBe(201);
    }
    const prices = [
      { model: 'large', currency: 'USD', unitPrices: { input: '0.5' } },
      { model: 'small', currency: 'USD', unitPrices: { input: '0.25' } },
    ];
    expect((await t.call('POST', '/v1/prices', { key: own.key, body: prices })).status).toBe(201);
  });
  afterAll(() => t.stop());

  const make = (body: Parameters<typeof makePortalToken>[2], key = own.key) => makePortalToken(t, key, body);
  const read = (token: string, path: string, headers: Record<string, string> = {}) =>
    t.call('GET', `/v1/portal${path}`, { key: token, headers });
  const verdict = async (token: string, path = '/meters', on = t) => {
    const answer = await on.call('GET', `/v1/portal${path}`, { key: token });
    return answer.status === 200 ? 'good' : `${answer.status} ${answer.body.code}`;
  };

  it('read the numbers that the routes of the tenant tell of their customer, in JSON and CSV', async () => {
    const { token } = await make({ customerId: 'alice', costs: true });
    const pairs = [
      ['/usage?', '/v1/usage?customerId=alice&'],
      [
        '/usage?granularity=15m&groupBy=model,eventType&',
        '/v1/usage?customerId=alice&granularity=15m&groupBy=model,eventType&',
      ],
      [
        '/usage?granularity=1d&model=large&cost=true&',
        '/v1/usage?customerId=alice&granularity=1d&model=large&cost=true&',
      ],
      ['/meters/egress_gb?', '/v1/meters/egress_gb/query?customerId=alice&'],
      [
        '/meters/egress_gb?granularity=15m&groupBy=region&filter[region]=eu&timezone=Asia/Kathmandu&',
        '/v1/meters/egress_gb/query?customerId=alice&granularity=15m&groupBy=region&filter[region]=eu&timezone=Asia/Kathmandu&',
      ],
      [
        '/meters/egress_peak?granularity=1h&limit=2&',
        '/v1/meters/egress_peak/query?customerId=alice&granularity=1h&limit=2&',
      ],
    ] as const;
    const to = new Date(Date.now() + 60_000).toISOString();
    const from = new Date(Date.now() - 6 * 3_600_000).toISOString();
    for (const [mine, theirs] of pairs) {
      for (const accept of ['application/json', 'text/csv']) {
        const range = `from=${from}&to=${to}`;
        const told = await read(token, mine + range, { accept });
        const expected = await t.call('GET', theirs + range, { key: own.key, headers: { accept } });
        expect([mine, told.status, expected.status]).toEqual([mine, 200, 200]);
        expect(told.body).toEqual(expected.body);
        expect(told.headers.get('x-next-cursor')).toBe(expected.headers.get('x-next-cursor'));
        expect(JSON.stringify(told.body)).not.toContain('bob');
      }
    }
    const { rows } = await t.sql.query(
      `select trim_scale(sum(value))::text as value, count(*)::int as calls from event
       where tenant_id = $1 and customer_id = 'alice'`,
      [own.id],
    );
    const [total] = (await read(token, `/meters/egress_gb?from=${from}`)).body.data;
    expect([total.value, total.events]).toEqual([rows[0].value, rows[0].calls]);
    expect(rows[0].value).toBe('4.50000000000000009');
    const days = (await read(token, `/usage?granularity=1d&from=${from}`)).body.data;
    expect(days.reduce((sum: number, { calls }: { calls: number }) => sum + calls, 0)).toBe(9);
    const bob = await make({ customerId: 'bob' });
    expect((await read(bob.token, `/meters/egress_gb?from=${from}`)).body.data).toMatchObject([
      { value: '37.5' },
    ]);
    const nobody = await make({ customerId: 'has no events yet' });
    expect((await read(nobody.token, '/usage')).body).toEqual({ data: [], nextCursor: null });
  });

  it('see of meters what a chart needs, and nothing of the inside', async () => {
    const { token } = await make({ customerId: 'alice' });
    const { body } = await read(token, '/meters');
    expect(body).toEqual({
      data: ['egress_gb', 'egress_peak', 'egress_hidden'].map((slug) => ({
        slug,
        name: `Name of ${slug}`,
        description: null,
        aggregation: slug === 'egress_peak' ? 'max' : 'sum',
        dimensions: ['region'],
      })),
      nextCursor: null,
    });
    const first = (await read(token, '/meters?limit=2')).body;
    expect(first.data).toEqual(body.data.slice(0, 2));
    const rest = (await read(token, `/meters?limit=2&cursor=${first.nextCursor}`)).body;
    expect(rest).toEqual({ data: body.data.slice(2), nextCursor: null });
  });

  it('go by nobody else: neither as a filter nor as a group', async () => {
    const { token } = await make({ customerId: 'alice' });
    for (const path of ['/usage', '/meters/egress_gb']) {
      for (const query of ['customerId=bob', 'customerId=alice', 'groupBy=customer']) {
        const { status, body } = await read(token, `${path}?${query}`);
        expect([path, query, status, body.code]).toEqual([path, query, 400, 'invalid_request']);
        expect(body.detail).not.toContain('customer,');
      }
    }
    expect(await read(token, '/meters?customerId=bob')).toMatchObject({ status: 400 });
  });

  it('that name meters read those, and of all others the same as of one that never was', async () => {
    await t.call('POST', '/v1/meters', {
      key: own.key,
      body: { slug: 'gone', eventType: 'egress', aggregation: 'count' },
    });
    const { token } = await make({ customerId: 'alice', meters: ['egress_peak', 'gone', 'egress_peak'] });
    expect((await read(token, '/meters')).body.data.map(({ slug }: { slug: string }) => slug)).toEqual([
      'egress_peak',
      'gone',
    ]);
    expect(await verdict(token, '/meters/gone')).toBe('good');
    const { body: hidden } = await t.call('GET', '/v1/meters/egress_hidden', { key: own.key });
    const { body: allowed } = await t.call('GET', '/v1/meters/egress_peak', { key: own.key });
    await t.call('DELETE', '/v1/meters/gone', { key: own.key });
    const refused: object[] = [];
    const all = await make({ customerId: 'alice' });
    const foreign = await t.tenant();
    const body = { slug: 'of_others', eventType: 'egress', aggregation: 'count' };
    await t.call('POST', '/v1/meters', { key: foreign.key, body });
    for (const slug of [
      'egress_gb',
      'egress_hidden',
      'gone',
      'never_was',
      'of_others',
      hidden.id,
      allowed.id,
    ]) {
      const answer = await read(token, `/meters/${slug}`);
      expect([slug, answer.status]).toEqual([slug, 404]);
      const { requestId: _, ...told } = answer.body;
      refused.push(told);
    }
    for (const slug of ['gone', 'never_was', 'of_others', hidden.id]) {
      const { requestId: _, ...told } = (await read(all.token, `/meters/${slug}`)).body;
      refused.push(told);
    }
    expect(refused).toEqual(refused.map(() => refused[0]));
  });

  it('read usage and costs only where they were made for them', async () => {
    const of = async (body: object) => {
      const { token } = await make({ customerId: 'alice', ...body });
      return [await verdict(token, '/usage'), await verdict(token, '/usage?cost=true')];
    };
    const no = '403 portal_not_allowed';
    expect(await of({})).toEqual(['good', no]);
    expect(await of({ costs: true })).toEqual(['good', 'good']);
    expect(await of({ meters: ['egress_gb'] })).toEqual([no, no]);
    expect(await of({ meters: ['egress_gb'], usage: true })).toEqual(['good', no]);
    expect(await of({ meters: ['egress_gb'], usage: true, costs: true })).toEqual(['good', 'good']);
    expect(await of({ usage: false })).toEqual([no, no]);
  });

  it('are refused that make no sense, each with a code and a pointer', async () => {
    const faults: [object, string, string][] = [
      [{}, '/customerId', 'invalid_type'],
      [{ customerId: '' }, '/customerId', 'too_small'],
      [{ customerId: 'x'.repeat(257) }, '/customerId', 'too_big'],
      [{ customerId: 'a\u0000' }, '/customerId', 'text_invalid'],
      [{ customerId: 'a', meters: [] }, '/meters', 'too_small'],
      [{ customerId: 'a', meters: ['egress_gb', 'never_was'] }, '/meters/1', 'unknown_meter'],
      [{ customerId: 'a', meters: ['NO SLUG'] }, '/meters/0', 'invalid_format'],
      [{ customerId: 'a', meters: Array.from({ length: 101 }, (_, i) => `m${i}`) }, '/meters', 'too_big'],
      [{ customerId: 'a', expiresIn: 59 }, '/expiresIn', 'too_small'],
      [{ customerId: 'a', expiresIn: 2_592_001 }, '/expiresIn', 'too_big'],
      [{ customerId: 'a', expiresIn: 60.5 }, '/expiresIn', 'invalid_type'],
      [{ customerId: 'a', expiresIn: '3600' }, '/expiresIn', 'invalid_type'],
      [{ customerId: 'a', usage: false, costs: true }, '/costs', 'not_allowed'],
      [{ customerId: 'a', meters: ['egress_gb'], costs: true }, '/costs', 'not_allowed'],
      [{ customerId: 'a', tenantId: 'b' }, '', 'unrecognized_keys'],
    ];
    for (const [body, pointer, code] of faults) {
      const answer = await t.call('POST', '/v1/portal-tokens', { key: own.key, body });
      expect([body, answer.status, answer.body.code]).toEqual([body, 400, 'invalid_request']);
      expect(answer.body.errors).toMatchObject([{ pointer, code }]);
    }
  });

  it('are shown once, and listed with their state', async () => {
    const tenant = await t.tenant();
    const of = async (customerId: string, body = {}) =>
      (await t.call('POST', '/v1/portal-tokens', { key: tenant.key, body: { customerId, ...body } })).body;
    const [active, revoked, expired] = [await of('a', { expiresIn: 60 }), await of('b'), await of('a')];
    const { rows: keys } = await t.sql.query('select id from api_key where tenant_id = $1', [tenant.id]);
    expect(active).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      token: expect.stringMatching(/^tmp_[\w-]{43}$/),
      customerId: 'a',
      meters: null,
      usage: true,
      costs: false,
      state: 'active',
      keyId: keys[0].id,
      expiresAt: expect.any(String),
      lastUsedAt: null,
      revokedAt: null,
      createdAt: expect.any(String),
    });
    expect(Date.parse(active.expiresAt) - Date.parse(active.createdAt)).toBe(60_000);
    expect(Date.parse(revoked.expiresAt) - Date.parse(revoked.createdAt)).toBe(3_600_000);
    await t.call('DELETE', `/v1/portal-tokens/${revoked.id}`, { key: tenant.key });
    await t.sql.query(`update portal_token set expires_at = now() where id = $1`, [expired.id]);
    const list = async (query = '') =>
      (await t.call('GET', `/v1/portal-tokens${query}`, { key: tenant.key })).body;
    const { data, nextCursor } = await list();
    expect(data.map(({ id, state }: typeof active) => [id, state])).toEqual([
      [active.id, 'active'],
      [revoked.id, 'revoked'],
      [expired.id, 'expired'],
    ]);
    expect(nextCursor).toBe(null);
    const ids = (page: { data: { id: string }[] }) => page.data.map(({ id }) => id);
    expect(ids(await list('?customerId=a'))).toEqual([active.id, expired.id]);
    expect(ids(await list('?customerId=a&state=expired'))).toEqual([expired.id]);
    expect(ids(await list('?state=revoked'))).toEqual([revoked.id]);
    const first = await list('?limit=2');
    expect([...ids(first), ...ids(await list(`?cursor=${first.nextCursor}`))]).toEqual(ids({ data }));
    expect(await verdict(active.token)).toBe('good');
    await until(async () => (await list('?state=active')).data[0].lastUsedAt !== null);

    const { rows } = await t.sql.query(
      'select p::text as text, secret_hash from portal_token p where id = $1',
      [active.id],
    );
    expect(rows[0].secret_hash).toEqual(hashKey(active.token));
    const kept = JSON.stringify([data, rows[0].text]);
    expect(kept).not.toContain(active.token.slice(4));
    expect(kept).not.toContain(Buffer.from(active.token.slice(4), 'base64url').toString('hex'));
  });

  it('and keys open nothing for each other, whatever they are', async () => {
    const portal = (await readDescription(t)).operations.filter(isPortal);
    expect(portal.map(({ id }) => id).sort()).toEqual([
      'listPortalMeters',
      'portalUsage',
      'queryPortalMeter',
    ]);
    const revoked = await createKey(t.sql, { tenantId: own.id, scopes: ['read'], expiresAt: new Date() });
    const wrong: [CallOptions, string][] = [
      [{ key: null }, 'unauthenticated'],
      ...[ADMIN_KEY, own.key, revoked.key, 'tm_unknown', 'whatever'].map((key): [CallOptions, string] => [
        { key },
        'unauthenticated',
      ]),
      [{ key: null, headers: { authorization: 'Basic dG1wXzp0bXBf' } }, 'unauthenticated'],
      [{ key: `tmp_${'x'.repeat(43)}` }, 'token_unknown'],
      [{ key: 'tmp_' }, 'token_unknown'],
    ];
    const paths = [
      ...portal.map(({ path }) => path.replace('{slug}', 'egress_gb')),
      '/v1/portal',
      '/v1/portal/nothing',
    ];
    for (const path of paths) {
      for (const [options, code] of wrong) {
        const answer = await t.call('GET', path, options);
        expect([path, options, answer.status, answer.body.code]).toEqual([path, options, 401, code]);
        expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      }
    }
    const { token } = await make({ customerId: 'alice' });
    expect(await verdict(token, '/nothing')).toBe('404 not_found');
    const posted = await t.call('POST', '/v1/portal/usage', { key: token, body: {} });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET']);
    for (const [method, path] of [
      ['POST', '/v1/events'],
      ['POST', '/increment'],
      ['POST', '/otlp/v1/traces'],
      ['GET', '/v1/there-is-no-such-thing'],
    ] as const) {
      const answer = await t.call(method, path, {
        key: token,
        ...(method === 'POST' && { body: anEvent() }),
      });
      expect([path, answer.status]).toEqual([path, 401]);
    }
    const { rows } = await t.sql.query(
      `select count(*)::int as n from event where customer_id = 'customer-1'`,
    );
    expect(rows[0].n).toBe(0);
  });

  it('belong to their tenant', async () => {
    const { id, token } = await make({ customerId: 'alice' });
    const other = await t.tenant();
    const mismatch = await read(token, '/usage', { 'x-tenant-id': other.id });
    expect(mismatch.body).toMatchObject({ status: 403, code: 'tenant_mismatch' });
    expect((await read(token, '/usage', { 'x-tenant-id': own.id })).status).toBe(200);
    expect((await t.call('GET', '/v1/portal-tokens', { key: other.key })).body.data).toEqual([]);
    const foreign = await t.call('DELETE', `/v1/portal-tokens/${id}`, { key: other.key });
    const unknown = await t.call('DELETE', `/v1/portal-tokens/${randomUUID()}`, { key: other.key });
    expect(foreign.body).toEqual({ ...unknown.body, requestId: foreign.body.requestId });
    expect(foreign.body.code).toBe('not_found');
    expect(await verdict(token)).toBe('good');
    const byPlatform = await t.call('POST', '/v1/portal-tokens', {
      headers: { 'x-tenant-id': own.id },
      body: { customerId: 'alice' },
    });
    expect(byPlatform.body).toMatchObject({ state: 'active', keyId: null });
    expect((await read(byPlatform.body.token, '/usage?granularity=1d')).body.data).not.toEqual([]);
  });

  it('end by themselves, also while they are in use', async () => {
    const { id, token } = await make({ customerId: 'alice' });
    await t.sql.query(`update portal_token set expires_at = now() + interval '1 second' where id = $1`, [id]);
    expect(await verdict(token)).toBe('good');
    await sleep(1_010);
    expect(await verdict(token)).toBe('401 token_expired');
  });

  it('end no later than the key that made them', async () => {
    const expiresAt = new Date(Date.now() + 120_000);
    const { key, id } = await createKey(t.sql, { tenantId: own.id, scopes: ['read'], expiresAt });
    const made = (await t.call('POST', '/v1/portal-tokens', { key, body: { customerId: 'alice' } })).body;
    expect(made).toMatchObject({ keyId: id, expiresAt: expiresAt.toISOString() });
    expect(await verdict(made.token)).toBe('good');
    await t.call('POST', `/v1/keys/${id}/rotate`, { key: own.key, body: { overlapSeconds: 0 } });
    expect(await verdict(made.token)).toBe('401 token_expired');
    const second = await createKey(t.sql, { tenantId: own.id, scopes: ['read'] });
    const { token } = await makePortalToken(t, second.key, { customerId: 'alice' });
    expect(await verdict(token)).toBe('good');
    await t.call('DELETE', `/v1/keys/${second.id}`, { key: own.key });
    expect(await verdict(token)).toBe('401 token_revoked');
    const listed = (await t.call('GET', '/v1/portal-tokens?state=revoked', { key: own.key })).body.data;
    expect(listed.at(-1)).toMatchObject({
      keyId: second.id,
      state: 'revoked',
      revokedAt: expect.any(String),
    });
  });

  it('of an inactive tenant are refused, and go on when it is active again', async () => {
    const tenant = await t.tenant();
    const { token } = await make({ customerId: 'alice' }, tenant.key);
    expect(await verdict(token)).toBe('good');
    await t.call('PATCH', `/v1/tenants/${tenant.id}`, { body: { active: false } });
    expect(await verdict(token)).toBe('403 tenant_inactive');
    await t.call('PATCH', `/v1/tenants/${tenant.id}`, { body: { active: true } });
    expect(await verdict(token)).toBe('good');
  });

  it('are in the audit log when they are made and revoked', async () => {
    const tenant = await t.tenant();
    const { id, token } = await make({ customerId: 'alice' }, tenant.key);
    for (let i = 0; i < 2; i++) {
      expect((await t.call('DELETE', `/v1/portal-tokens/${id}`, { key: tenant.key })).status).toBe(204);
    }
    const { body } = await t.call('GET', '/v1/audit-log', { key: tenant.key });
    const actor = { kind: 'key', keyId: expect.any(String), tenantId: tenant.id };
    expect(body.data.slice(0, 2)).toMatchObject([
      { action: 'portal_token.revoked', target: id, actor, changes: { before: { revokedAt: null } } },
      {
        action: 'portal_token.created',
        target: id,
        actor,
        changes: {
          before: null,
          after: {
            customerId: 'alice',
            meters: null,
            usage: true,
            costs: false,
            expiresAt: expect.any(String),
          },
        },
      },
    ]);
    expect(body.data.filter(({ target }: { target: string }) => target === id)).toHaveLength(2);
    expect(JSON.stringify(body)).not.toContain(token.slice(4));
  });

  it('are counted among the requests of the tenant', async () => {
    const tenant = await t.tenant();
    await t.call('PATCH', `/v1/tenants/${tenant.id}`, { body: { requestsPerSecond: 3 } });
    const { token } = await make({ customerId: 'alice' }, tenant.key);
    let refused: Answer | undefined;
    for (let i = 0; i < 100 && !refused; i++) {
      const answer = await t.call('GET', '/v1/portal/meters', { key: token, headers: { origin: HOST } });
      expect(answer.headers.get('ratelimit-policy')).toBe('"requests";q=3;w=1');
      if (answer.status === 429) refused = answer;
    }
    expect(refused!.headers.get('access-control-allow-origin')).toBe(HOST);
    expect(refused!.headers.get('retry-after')).toBe('1');
  });

  it('can be used by pages of the origins that CORS_ORIGINS names, errors included', async () => {
    const { token } = await make({ customerId: 'alice' });
    const preflight = (origin: string, path: string) =>
      t.call('OPTIONS', path, {
        key: null,
        headers: {
          origin,
          'access-control-request-method': 'GET',
          'access-control-request-headers': 'authorization',
        },
      });
    for (const path of ['/v1/portal/usage', '/v1/portal/meters', '/v1/portal/meters/egress_gb']) {
      const allowed = await preflight(HOST, path);
      expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([204, HOST]);
      expect(allowed.headers.get('access-control-allow-headers')).toContain('Authorization');
      expect(allowed.headers.get('access-control-allow-methods')).toContain('GET');
      const denied = await preflight('https://elsewhere.example', path);
      expect(denied.headers.get('access-control-allow-origin')).toBe(null);
      for (const [key, origin, expected] of [
        [token, HOST, HOST],
        ['tmp_unknown', HOST, HOST],
        [token, 'https://elsewhere.example', null],
      ] as const) {
        const { headers } = await t.call('GET', path, { key, headers: { origin } });
        expect(headers.get('access-control-allow-origin')).toBe(expected);
        expect(headers.get('vary')).toContain('Origin');
      }
    }
  });
});

describeEngine('portal tokens on another instance', () => {
  let t: TestService;
  let other: TestService;
  beforeAll(async () => {
    t = await startTestService(
      {},
      { configure: ({ retention }) => Object.assign(retention, { intervalMs: 50 }) },
    );
    other = await startServiceOn(t.database);
  });
  afterAll(async () => {
    await other.service.close();
    await other.sql.end();
    await t.stop();
  });

  const verdict = async (token: string, on: TestService) => {
    const answer = await on.call('GET', '/v1/portal/meters', { key: token });
    return answer.status === 200 ? 'good' : answer.body.code;
  };

  describe('are refused within ten seconds, however much they are used there', () => {
    const refusedBy = async (token: string, change: () => Promise<unknown>) => {
      expect(await verdict(token, other)).toBe('good');
      await change();
      const changed = Date.now();
      let code = 'good';
      await until(async () => {
        code = await verdict(token, other);
        return code !== 'good';
      }, 10_000);
      expect(Date.now() - changed).toBeLessThan(10_000);
      return code;
    };

    it('when they are revoked', async () => {
      const { key } = await t.tenant();
      const { id, token } = await makePortalToken(t, key, { customerId: 'alice' });
      const revoke = () => t.call('DELETE', `/v1/portal-tokens/${id}`, { key });
      expect(await refusedBy(token, revoke)).toBe('token_revoked');
      expect(await verdict(token, t)).toBe('token_revoked');
    });

    it('when the key that made them is revoked', async () => {
      const { id, key } = await t.tenant();
      const reader = await createKey(t.sql, { tenantId: id, scopes: ['read'] });
      const { token } = await makePortalToken(t, reader.key, { customerId: 'alice' });
      const revoke = () => t.call('DELETE', `/v1/keys/${reader.id}`, { key });
      expect(await refusedBy(token, revoke)).toBe('token_revoked');
    });
  });

  it('are forgotten 30 days after they end, by whichever looks for what is old', async () => {
    const { key } = await t.tenant();
    const made: string[] = [];
    for (const age of ['31 days', '29 days', '-1 hour']) {
      const { id } = await makePortalToken(t, key, { customerId: 'alice' });
      await t.sql.query('update portal_token set expires_at = now() - $2::interval where id = $1', [id, age]);
      made.push(id);
    }
    await until(async () => {
      const { rows } = await t.sql.query('select id from portal_token where id = any($1)', [made]);
      return rows.length === 2;
    });
    const { body } = await t.call('GET', '/v1/portal-tokens', { key });
    expect(body.data.map(({ id, state }: { id: string; state: string }) => [id, state])).toEqual([
      [made[1], 'expired'],
      [made[2], 'active'],
    ]);
  });
});

describeEngine('wrong portal tokens', () => {
  it('slow an address down as wrong keys do, and those that are good go on', async () => {
    const t = await startTestService({ AUTH_FAILURES_PER_MINUTE: '3' });
    try {
      const { key } = await t.tenant();
      const { token } = await makePortalToken(t, key, { customerId: 'alice' });
      const ask = async (shown: string) => {
        const { status, body } = await t.call('GET', '/v1/portal/meters', { key: shown });
        return status === 200 ? 'good' : body.code;
      };
      expect(await ask(token)).toBe('good');
      let code = '';
      for (let i = 0; i < 10 && code !== 'too_many_requests'; i++) code = await ask(`tmp_wrong_${i}`);
      expect(code).toBe('too_many_requests');
      expect(await ask(token)).toBe('good');
      const { status } = await t.call('GET', '/v1/meters', { key });
      expect(status).toBe(200);
    } finally {
      await t.stop();
    }
  });
});
