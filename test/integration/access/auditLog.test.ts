import { createHash, randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HttpServer, listen } from '../../../src/faces/http/server.ts';
import { describeEngine } from '../../support/database.ts';
import { ADMIN_KEY, startTestService, type TestService, whileLocked } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const UUID = expect.stringMatching(/^[0-9a-f-]{36}$/);

interface Entry {
  id: string;
  at: string;
  action: string;
  target: string;
  tenantId: string | null;
  requestId: string | null;
}

describeEngine('the audit log', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const entries = async (tenantId: string): Promise<Entry[]> =>
    (await t.call('GET', `/v1/audit-log?limit=1000&tenantId=${encodeURIComponent(tenantId)}`)).body.data;
  const actions = async (tenantId: string) => (await entries(tenantId)).map(({ action }) => action).reverse();
  const adminOf = async (tenantId: string) =>
    (await t.call('POST', '/v1/keys', { body: { tenantId, scopes: ['ingest', 'read', 'admin'] } })).body;

  it('says who changed what, from where and by which request', async () => {
    const limits = { requestsPerSecond: null, eventsPerSecond: null };
    const otlp = { otlpCustomerAttributes: null, otlpDefaultCustomerId: null };
    const shop = { name: 'Shop', active: true, ...limits, ...otlp };
    const id = randomUUID();
    const byPlatform = { kind: 'admin_key', keyId: null, tenantId: null };
    const headers = { 'x-request-id': `request-${id}` };
    const entry = {
      id: UUID,
      at: TIME,
      tenantId: id,
      requestId: headers['x-request-id'],
      clientAddress: null,
    };
    const last = async () => (await entries(id))[0];

    await t.call('POST', '/v1/tenants', { headers, body: { id, name: 'Shop' } });
    expect(await last()).toEqual({
      ...entry,
      actor: byPlatform,
      action: 'tenant.created',
      target: id,
      changes: { before: null, after: shop },
    });
    await t.call('PATCH', `/v1/tenants/${id}`, { headers, body: { name: 'Market' } });
    expect(await last()).toEqual({
      ...entry,
      actor: byPlatform,
      action: 'tenant.updated',
      target: id,
      changes: { before: shop, after: { ...shop, name: 'Market' } },
    });
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    const body = { tenantId: id, scopes: ['ingest', 'admin', 'read'], expiresAt };
    const made = (await t.call('POST', '/v1/keys', { headers, body })).body;
    expect(await last()).toEqual({
      ...entry,
      actor: byPlatform,
      action: 'key.created',
      target: made.id,
      changes: { before: null, after: { scopes: body.scopes, expiresAt, replaces: null } },
    });

    const { key } = made;
    const byTenant = { kind: 'key', keyId: made.id, tenantId: id };
    await t.call('POST', '/v1/events', { key, body: anEvent({ customerId: 'ä/b' }) });
    await t.call('PATCH', '/v1/customers/%C3%A4%2Fb', { key, headers, body: { name: 'Åke' } });
    expect(await last()).toEqual({
      ...entry,
      actor: byTenant,
      action: 'customer.updated',
      target: 'ä/b',
      changes: { before: { name: null }, after: { name: 'Åke' } },
    });
    const old = (await t.call('POST', '/v1/keys', { key, body: { scopes: ['read'] } })).body;
    const options = { key, headers, body: { overlapSeconds: 60 } };
    const rotated = (await t.call('POST', `/v1/keys/${old.id}/rotate`, options)).body;
    const two = (await entries(id)).slice(0, 2);
    expect(two).toContainEqual({
      ...entry,
      actor: byTenant,
      action: 'key.rotated',
      target: old.id,
      changes: {
        before: { expiresAt: null, replacedBy: null },
        after: { expiresAt: TIME, replacedBy: rotated.id },
      },
    });
    expect(two).toContainEqual({
      ...entry,
      actor: byTenant,
      action: 'key.created',
      target: rotated.id,
      changes: { before: null, after: { scopes: ['read'], expiresAt: null, replaces: old.id } },
    });
    await t.call('DELETE', `/v1/keys/${old.id}`, { key, headers });
    expect(await last()).toEqual({
      ...entry,
      actor: byTenant,
      action: 'key.revoked',
      target: old.id,
      changes: { before: { revokedAt: null }, after: { revokedAt: TIME } },
    });
  });

  it('has nothing of what changed nothing', async () => {
    const { id, key } = await t.tenant();
    const made = (await t.call('POST', '/v1/keys', { key, body: { scopes: ['read'] } })).body;
    await t.call('POST', '/v1/events', { key, body: anEvent() });
    const before = ['tenant.created', 'key.created', 'key.created'];
    expect(await actions(id)).toEqual(before);
    await t.call('POST', '/v1/tenants', { body: { id, name: 'again' } });
    await t.call('PATCH', `/v1/tenants/${id}`, { body: { active: true } });
    await t.call('PATCH', '/v1/customers/customer-1', { key, body: { name: null } });
    await t.call('PATCH', '/v1/customers/nobody', { key, body: { name: 'x' } });
    await t.call('POST', '/v1/keys', { key, body: { scopes: [] } });
    expect(await actions(id)).toEqual(before);
    for (let i = 0; i < 2; i++) await t.call('DELETE', `/v1/keys/${made.id}`, { key });
    await t.call('POST', `/v1/keys/${made.id}/rotate`, { key });
    expect(await actions(id)).toEqual([...before, 'key.revoked']);
  });

  it('tells the states of a tenant apart that two change at once', async () => {
    const { id } = await t.tenant();
    const names = Array.from({ length: 10 }, (_, i) => `name-${i}`);
    const lock = { text: 'select from tenant where id = $1 for update', values: [id] };
    await whileLocked(t.sql, lock, 2, () =>
      Promise.all(names.map((name) => t.call('PATCH', `/v1/tenants/${id}`, { body: { name } }))),
    );
    const { rows } = await t.sql.query<{ before: string; after: string }>(
      `select changes->'before'->>'name' as before, changes->'after'->>'name' as after
       from audit_log where tenant_id = $1 and action = 'tenant.updated'`,
      [id],
    );
    expect(rows.map(({ after }) => after).sort()).toEqual([...names].sort());
    // Each state was left once: the changes follow one on the other.
    expect(new Set(rows.map(({ before }) => before)).size).toBe(names.length);
  });

  it('cannot lack an entry: without it the change is not made', async () => {
    const { id, key } = await t.tenant();
    const made = (await t.call('POST', '/v1/keys', { key, body: { scopes: ['read'] } })).body;
    await t.call('POST', '/v1/events', { key, body: anEvent() });
    const state = async () => {
      const queries = ['tenant', 'customer', 'api_key', 'audit_log'].map((name) =>
        t.sql.query(`select to_jsonb(it) - 'last_used_at' as row from ${name} as it order by 1`),
      );
      return (await Promise.all(queries)).map(({ rows }) => rows);
    };
    const before = await state();
    const attempts: [string, string, object?][] = [
      ['POST', '/v1/tenants', { id: 'never', name: 'Never' }],
      ['PATCH', '/v1/customers/customer-1', { name: 'Never' }],
      ['POST', '/v1/keys', { tenantId: id, scopes: ['read'] }],
      ['POST', `/v1/keys/${made.id}/rotate`, {}],
      ['DELETE', `/v1/keys/${made.id}`],
      ['PATCH', `/v1/tenants/${id}`, { active: false }],
    ];
    const headers = { 'x-tenant-id': id };
    await t.sql.query('alter table audit_log add constraint never check (false) not valid');
    try {
      for (const [method, path, body] of attempts) {
        const answer = await t.call(method, path, { body, headers });
        expect([path, answer.status, answer.body.code]).toEqual([path, 500, 'internal']);
      }
    } finally {
      await t.sql.query('alter table audit_log drop constraint never');
    }
    expect(await state()).toEqual(before);
    for (const [method, path, body] of attempts) {
      expect([path, (await t.call(method, path, { body, headers })).status]).toEqual([
        path,
        expect.toSatisfy((status: number) => status < 300),
      ]);
    }
  });

  it('is only added to, also by its owner, and by nobody who reads or ingests', async () => {
    for (const statement of [
      `update audit_log set action = 'x'`,
      'delete from audit_log',
      'truncate audit_log',
      'truncate audit_log cascade',
    ]) {
      await expect(t.sql.query(statement), statement).rejects.toMatchObject({ code: 'TM003' });
    }
    const client = new pg.Client(t.database.url);
    await client.connect();
    for (const role of ['tidemark_read', 'tidemark_ingest']) {
      await client.query(`reset role; set role ${role}`);
      for (const statement of [
        'select from audit_log',
        `insert into audit_log (actor_kind, action, target, changes) values ('command', 'x', 'x', '{}')`,
        `insert into tenant_data.audit_log (actor_kind, action, target, changes) values ('command', 'x', 'x', '{}')`,
        'delete from tenant_data.audit_log',
        'truncate audit_log',
        'alter table audit_log disable trigger all',
      ]) {
        await expect(client.query(statement), `${role}: ${statement}`).rejects.toMatchObject({
          code: '42501',
        });
      }
    }
    await client.end();
  });

  it('holds no secret and no hash of one', async () => {
    const { id, key } = await t.tenant();
    const made = await adminOf(id);
    const rotated = (await t.call('POST', `/v1/keys/${made.id}/rotate`, { key: made.key })).body;
    const { rows } = await t.sql.query('select it::text as text from audit_log as it');
    const text = rows.map((row) => row.text).join('\n');
    for (const secret of [key, made.key, rotated.key, ADMIN_KEY]) {
      expect(text).not.toContain(secret.slice(3));
      expect(text).not.toContain(createHash('sha256').update(secret).digest('hex'));
    }
  });

  describe('over HTTP', () => {
    let server: HttpServer;
    beforeAll(async () => {
      server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
    });
    afterAll(() => server.close(1_000));

    it('shows a tenant what is about it, and not from where the platform came', async () => {
      const [own, other] = [await t.tenant(), await t.tenant()];
      const asOwn = await adminOf(own.id);
      const send = (method: string, path: string, key: string, body: object) =>
        fetch(server.address + path, {
          method,
          headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
          body: JSON.stringify(body),
        });
      await send('PATCH', `/v1/tenants/${own.id}`, ADMIN_KEY, { name: 'Ours' });
      await send('PATCH', `/v1/tenants/${other.id}`, ADMIN_KEY, { name: 'Theirs' });
      await send('POST', '/v1/keys', ADMIN_KEY, { tenantId: null, scopes: ['read'] });
      await send('POST', '/v1/keys', asOwn.key, { scopes: ['read'] });

      const seen = (await t.call('GET', '/v1/audit-log', { key: asOwn.key })).body.data;
      expect(seen.map((entry: Entry) => [entry.tenantId, entry.action])).toEqual(
        ['key.created', 'tenant.updated', 'key.created', 'key.created', 'tenant.created'].map((action) => [
          own.id,
          action,
        ]),
      );
      expect(seen[0]).toMatchObject({ actor: { keyId: asOwn.id }, clientAddress: '127.0.0.1' });
      expect(seen[1]).toMatchObject({ actor: { kind: 'admin_key' }, clientAddress: null });
      const named = await t.call('GET', `/v1/audit-log?tenantId=${own.id}`, { key: asOwn.key });
      expect(named.body.data).toEqual(seen);
      const byPlatform = await entries(own.id);
      expect(byPlatform[1]).toMatchObject({ ...seen[1], clientAddress: '127.0.0.1' });
      expect(byPlatform.map(({ id }) => id)).toEqual(seen.map(({ id }: Entry) => id));
      const all = (await t.call('GET', '/v1/audit-log?limit=1000')).body.data;
      for (const tenantId of [null, own.id, other.id]) {
        expect(all).toContainEqual(expect.objectContaining({ tenantId }));
      }
    });
  });

  it.each([1, 3, 1_000])('is read in pages of %i, newest first, while entries are added', async (limit) => {
    const { id, key } = await t.tenant();
    const rename = (name: string) => t.call('PATCH', `/v1/tenants/${id}`, { body: { name } });
    for (let i = 0; i < 4; i++) await rename(`before-${i}`);
    const old = (await t.call('POST', '/v1/keys', { key, body: { scopes: ['read'] } })).body;
    await t.call('POST', `/v1/keys/${old.id}/rotate`, { key }); // two entries of one moment
    const expected = (await entries(id)).map((entry) => entry.id);
    expect(expected).toHaveLength(9);
    for (const path of [`/v1/audit-log?tenantId=${id}&`, '/v1/audit-log?']) {
      const ids = [];
      const asked = path.includes('tenantId') ? {} : { key };
      let cursor: string | null = '';
      for (let page = 0; cursor !== null; page++) {
        if (page > 0) await rename(`between-${path.length}-${page}`);
        const query: string = cursor === '' ? '' : `&cursor=${cursor}`;
        const { body } = await t.call('GET', `${path}limit=${limit}${query}`, asked);
        ids.push(...body.data.map((entry: Entry) => entry.id));
        cursor = body.nextCursor;
      }
      expect(ids.filter((each) => expected.includes(each))).toEqual(expected);
      expect(new Set(ids).size).toBe(ids.length);
    }
  });

  it('is read by time', async () => {
    const { id } = await t.tenant();
    await new Promise((resolve) => setTimeout(resolve, 5));
    await t.call('PATCH', `/v1/tenants/${id}`, { body: { name: 'later' } });
    const [later] = await entries(id);
    const read = async (query: string) =>
      (await t.call('GET', `/v1/audit-log?tenantId=${id}&${query}`)).body.data.map(
        ({ action }: Entry) => action,
      );
    expect(await read(`from=${later!.at}`)).toEqual(['tenant.updated']);
    expect(await read(`to=${later!.at}`)).toEqual(['key.created', 'tenant.created']);
    expect(await read('to=2020-01-01T00:00:00Z')).toEqual([]);
  });

  it('is read by action, by the platform and by a tenant', async () => {
    const { id, key } = await t.tenant();
    const { id: keyId } = (await adminOf(id)) as { id: string };
    for (const name of ['one', 'two']) await t.call('PATCH', `/v1/tenants/${id}`, { body: { name } });
    const read = async (query: string, asked = {}) =>
      (await t.call('GET', `/v1/audit-log?${query}`, asked)).body.data.map(({ action, target }: Entry) => [
        action,
        target,
      ]);
    const renamed = ['tenant.updated', id];
    for (const [tenant, asked] of [
      [`&tenantId=${id}`, {}],
      ['', { key }],
    ] as const) {
      expect(await read(`action=tenant.updated${tenant}`, asked)).toEqual([renamed, renamed]);
      expect(await read(`action=tenant.updated&limit=1${tenant}`, asked)).toEqual([renamed]);
      expect((await read(`action=key.created${tenant}`, asked))[0]).toEqual(['key.created', keyId]);
      expect(await read(`action=key.revoked${tenant}`, asked)).toEqual([]);
      expect(await read(`action=key${tenant}`, asked)).toEqual([]);
    }
  });
});
