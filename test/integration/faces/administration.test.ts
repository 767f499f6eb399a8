import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const time = expect.stringMatching(TIME);

interface Key {
  id: string;
  lastUsedAt: string | null;
}

describeEngine('administration', () => {
  let t: TestService;
  let other: TestService;
  beforeAll(async () => {
    t = await startTestService();
    other = await startServiceOn(t.database);
  });
  afterAll(async () => {
    await other.service.close();
    await other.sql.end();
    await t.stop();
  });

  /** All pages of a list; `between` runs before each page but the first. */
  const walk = async (
    path: string,
    limit: number,
    key?: string,
    between: (page: number) => Promise<unknown> = async () => undefined,
  ) => {
    const rows = [];
    let cursor: string | null = '';
    for (let page = 0; cursor !== null; page++) {
      if (page > 0) await between(page);
      const separator = path.includes('?') ? '&' : '?';
      const next: string = cursor === '' ? '' : `&cursor=${cursor}`;
      const { status, body } = await t.call('GET', `${path}${separator}limit=${limit}${next}`, {
        ...(key && { key }),
      });
      expect([path, status]).toEqual([path, 200]);
      expect(body.data.length).toBeLessThanOrEqual(limit);
      if (body.nextCursor !== null) expect(body.data).toHaveLength(limit);
      rows.push(...body.data);
      cursor = body.nextCursor;
    }
    return rows;
  };

  describe('tenants', () => {
    it('are made, listed, renamed, and made inactive and active', async () => {
      const body = { id: 'shop/ä "1"', name: 'Shop' };
      const made = await t.call('POST', '/v1/tenants', { body });
      expect([made.status, made.body]).toEqual([
        201,
        {
          ...body,
          active: true,
          requestsPerSecond: null,
          eventsPerSecond: null,
          otlpCustomerAttributes: null,
          otlpDefaultCustomerId: null,
          createdAt: time,
          updatedAt: time,
        },
      ]);
      const path = `/v1/tenants/${encodeURIComponent(body.id)}`;
      const renamed = await t.call('PATCH', path, { body: { name: 'Market' } });
      expect(renamed.body).toMatchObject({ id: body.id, name: 'Market', active: true });
      expect(renamed.body.updatedAt > made.body.updatedAt).toBe(true);
      expect(renamed.body.createdAt).toBe(made.body.createdAt);
      const off = await t.call('PATCH', path, { body: { active: false } });
      expect(off.body).toMatchObject({ name: 'Market', active: false });
      expect((await t.call('PATCH', path, { body: {} })).body).toMatchObject({
        name: 'Market',
        active: false,
      });
      const { body: list } = await t.call('GET', '/v1/tenants');
      expect(list.data).toContainEqual(expect.objectContaining({ id: body.id, active: false }));
    });

    it('have an id once', async () => {
      const { id } = await t.tenant();
      const again = await t.call('POST', '/v1/tenants', { body: { id, name: 'Other' } });
      expect(again.body).toMatchObject({ status: 409, code: 'already_exists' });
      const { body } = await t.call('GET', '/v1/tenants?limit=1000');
      expect(body.data.filter((tenant: { id: string }) => tenant.id === id)).toMatchObject([{ name: id }]);
      const race = await Promise.all(
        [1, 2, 3, 4, 5].map(() => t.call('POST', '/v1/tenants', { body: { id: 'race', name: 'Race' } })),
      );
      expect(race.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409]);
    });

    it('that are not there cannot be changed', async () => {
      const answer = await t.call('PATCH', '/v1/tenants/nobody', { body: { active: false } });
      expect(answer.body).toMatchObject({ status: 404, code: 'not_found' });
    });

    it.each([1, 2, 1_000])('are listed by id in pages of %i, while others are added', async (limit) => {
      const prefix = `paging-${limit}`;
      const add = (id: string) => t.call('POST', '/v1/tenants', { body: { id, name: 'x' } });
      for (const letter of ['b', 'D', 'ä', 'f', '客', 'h']) await add(`${prefix}-${letter}`);
      const before = (await walk('/v1/tenants', 1_000)).map(({ id }) => id);
      const rows = await walk('/v1/tenants', limit, undefined, async (page) => {
        await add(`${prefix}-${'aceg'[page % 4]}${page}`);
        await add(`0-${prefix}-${page}`);
      });
      const ids = rows.map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids).toEqual(expect.arrayContaining(before));
      expect(ids).toEqual([...ids].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    });
  });

  describe('keys', () => {
    it('are made, listed and revoked, once and for good', async () => {
      const { id, key } = await t.tenant();
      const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
      const body = { tenantId: id, scopes: ['read', 'ingest', 'read'], expiresAt };
      const made = await t.call('POST', '/v1/keys', { body });
      const shown = {
        id: expect.any(String),
        tenantId: id,
        scopes: ['read', 'ingest'],
        expiresAt,
        lastUsedAt: null,
        revokedAt: null,
        replaces: null,
        replacedBy: null,
        createdAt: time,
      };
      expect([made.status, made.body]).toEqual([201, { ...shown, key: expect.stringMatching(/^tm_/) }]);
      expect((await t.call('GET', `/v1/keys?tenantId=${id}`)).body.data).toContainEqual(shown);
      expect((await t.call('GET', '/v1/keys', { key })).body.data).toHaveLength(2);
      expect((await t.call('GET', '/v1/events', { key: made.body.key })).status).toBe(200);

      const revoke = () => t.call('DELETE', `/v1/keys/${made.body.id}`, { key });
      const first = await revoke();
      expect([first.status, first.body]).toEqual([204, '']);
      const listed = async () =>
        (await t.call('GET', '/v1/keys', { key })).body.data.find((k: Key) => k.id === made.body.id);
      const { revokedAt } = await listed();
      expect(revokedAt).toMatch(TIME);
      expect((await revoke()).status).toBe(204);
      expect((await listed()).revokedAt).toBe(revokedAt);
      expect((await t.call('GET', '/v1/events', { key: made.body.key })).body.code).toBe('key_revoked');
    });

    it('note when they were used', async () => {
      const { key } = await t.tenant();
      await t.call('GET', '/v1/events', { key });
      await until(async () => (await t.call('GET', '/v1/keys', { key })).body.data[0].lastUsedAt !== null);
    });

    it('of the platform are made by asking for one', async () => {
      const body = { tenantId: null, scopes: ['admin'] };
      const made = await t.call('POST', '/v1/keys', { body });
      expect(made.body).toMatchObject({ tenantId: null, scopes: ['admin'] });
      expect((await t.call('GET', '/v1/tenants', { key: made.body.key })).status).toBe(200);
      const unnamed = await t.call('POST', '/v1/keys', { body: { scopes: ['admin'] } });
      expect(unnamed.body).toMatchObject({ status: 400, code: 'tenant_required' });
    });

    it('need a tenant, and to be there', async () => {
      const body = { tenantId: 'nobody', scopes: ['read'] };
      expect((await t.call('POST', '/v1/keys', { body })).body).toMatchObject({
        status: 404,
        code: 'tenant_unknown',
      });
      const absent = '00000000-0000-4000-8000-000000000000';
      expect((await t.call('DELETE', `/v1/keys/${absent}`)).body).toMatchObject({
        status: 404,
        code: 'not_found',
      });
    });

    it.each([1, 3, 1_000])('are listed by age in pages of %i, while others are added', async (limit) => {
      const { id, key } = await t.tenant();
      const add = () => t.call('POST', '/v1/keys', { key, body: { scopes: ['read'] } });
      for (let i = 0; i < 6; i++) await add();
      // Made in one moment: only their id sets them apart.
      await t.sql.query(
        `update api_key set created_at = now()
         where id in (select id from api_key where tenant_id = $1 order by created_at desc limit 4)`,
        [id],
      );
      const before = (await walk('/v1/keys', 1_000, key)).map((k) => k.id);
      expect(before).toHaveLength(7);
      const ids = (await walk('/v1/keys', limit, key, async (page) => page < 5 && add())).map((k) => k.id);
      expect(ids.slice(0, 7)).toEqual(before);
      expect(new Set(ids).size).toBe(ids.length);
    });
  });

  describe('customers', () => {
    it('register themselves, and are named', async () => {
      const { id, key } = await t.tenant();
      await t.call('POST', '/v1/events', { key, body: [anEvent({ customerId: 'a b/ü' }), anEvent()] });
      const list = () => t.call('GET', '/v1/customers', { key });
      const customer = { tenantId: id, name: null, createdAt: time, updatedAt: time };
      expect((await list()).body.data).toEqual([
        { ...customer, customerId: 'a b/ü' },
        { ...customer, customerId: 'customer-1' },
      ]);
      const path = `/v1/customers/${encodeURIComponent('a b/ü')}`;
      const named = await t.call('PATCH', path, { key, body: { name: 'Åke' } });
      expect(named.body).toMatchObject({ customerId: 'a b/ü', name: 'Åke' });
      expect((await t.call('GET', path, { key })).body).toEqual(named.body);
      await t.call('POST', '/v1/events', { key, body: anEvent({ customerId: 'a b/ü' }) });
      expect((await list()).body.data[0]).toMatchObject({ name: 'Åke' });
      expect((await t.call('PATCH', path, { key, body: { name: null } })).body.name).toBeNull();
      const headers = { 'x-tenant-id': id };
      expect((await t.call('PATCH', path, { headers, body: { name: 'By platform' } })).status).toBe(200);
    });

    it('that are not there cannot be named, nor read', async () => {
      const { key } = await t.tenant();
      expect((await t.call('GET', '/v1/customers/nobody', { key })).body.code).toBe('not_found');
      const answer = await t.call('PATCH', '/v1/customers/nobody', { key, body: { name: 'x' } });
      expect(answer.body).toMatchObject({ status: 404, code: 'not_found' });
    });

    it.each([1, 4, 1_000])('are listed by id in pages of %i, while others are added', async (limit) => {
      const { key } = await t.tenant();
      const add = (...ids: string[]) =>
        t.call('POST', '/v1/events', { key, body: ids.map((customerId) => anEvent({ customerId })) });
      await add('b', 'D', 'd', 'ä', '客', '\u{1f600}', '\uffff', 'f');
      const before = (await walk('/v1/customers', 1_000, key)).map((c) => c.customerId);
      expect(before).toHaveLength(8);
      const rows = await walk(
        '/v1/customers',
        limit,
        key,
        async (page) => page < 5 && add(`a${page}`, `e${page}`, `z${page}`),
      );
      const ids = rows.map((c) => c.customerId);
      expect(new Set(ids).size).toBe(ids.length);
      expect(ids.filter((id) => before.includes(id))).toEqual(before);
    });
  });

  describe.concurrent('another instance on the same database', () => {
    const WITHIN_MS = 6_000;

    it('refuses an inactive tenant within 6 seconds, by its keys and by its name', async () => {
      const { id, key } = await t.tenant();
      const headers = { 'x-tenant-id': id };
      const asTenant = (service: TestService) => service.call('GET', '/v1/events', { key });
      const asPlatform = (service: TestService) => service.call('GET', '/v1/events', { headers });
      const writes = (service: TestService) =>
        service.call('POST', '/v1/events', { body: { ...anEvent(), tenantId: id } });
      for (const ask of [asTenant, asPlatform, writes]) {
        expect((await ask(t)).status).toBe(200);
        expect((await ask(other)).status).toBe(200);
      }
      await t.call('PATCH', `/v1/tenants/${id}`, { body: { active: false } });
      for (const ask of [asTenant, asPlatform, writes]) {
        expect((await ask(t)).body).toMatchObject({ status: 403, code: 'tenant_inactive' });
      }
      for (const ask of [asTenant, asPlatform, writes]) {
        await until(async () => (await ask(other)).body.code === 'tenant_inactive', WITHIN_MS);
      }
      await t.call('PATCH', `/v1/tenants/${id}`, { body: { active: true } });
      for (const ask of [asTenant, asPlatform, writes]) {
        expect((await ask(t)).status).toBe(200);
        await until(async () => (await ask(other)).status === 200, WITHIN_MS);
      }
    });

    it('refuses a revoked key within 6 seconds', async () => {
      const { id, key } = await t.tenant();
      const made = (await t.call('POST', '/v1/keys', { body: { tenantId: id, scopes: ['read'] } })).body;
      expect((await other.call('GET', '/v1/events', { key: made.key })).status).toBe(200);
      await t.call('DELETE', `/v1/keys/${made.id}`, { key });
      const refused = async () =>
        (await other.call('GET', '/v1/events', { key: made.key })).body.code === 'key_revoked';
      await until(refused, WITHIN_MS);
    });

    it('knows a new tenant and its key at once', async () => {
      const { id, key } = await t.tenant();
      expect((await other.call('POST', '/v1/events', { key, body: anEvent() })).status).toBe(200);
      const headers = { 'x-tenant-id': id };
      expect((await other.call('GET', '/v1/usage', { headers })).body.data).toMatchObject([{ calls: 1 }]);
    });
  });
});
