import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SCOPES, type Scope } from '../../../src/access/tenancy/caller.ts';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { createService } from '../../../src/faces/service/service.ts';
import { loadConfig } from '../../../src/ground/config/loadConfig.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { createTestDatabase, describeEngine } from '../../support/database.ts';
import { type Operation, readDescription } from '../../support/description.ts';
import { isPortal } from '../../support/portal.ts';
import { ADMIN_KEY, type CallOptions, startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

/** Routes that answer for all tenants together, where a platform key with the scope `admin` names none. */
const PLATFORM_WIDE = ['liveOverview', 'liveStream'];

/** What each route asks of a key. A route that is added must be entered here. */
const NEEDS: Record<string, { scope: Scope | 'any'; platform?: true }> = {
  postEvents: { scope: 'ingest' },
  postRecords: { scope: 'ingest' },
  incrementCounter: { scope: 'ingest' },
  voidEvents: { scope: 'correct' },
  restoreEvents: { scope: 'correct' },
  amendEvents: { scope: 'correct' },
  createBackfill: { scope: 'correct' },
  listBackfills: { scope: 'read' },
  getBackfill: { scope: 'read' },
  closeBackfill: { scope: 'correct' },
  revertBackfill: { scope: 'correct' },
  dropBackfill: { scope: 'correct' },
  getEvent: { scope: 'read' },
  listWindowRevisions: { scope: 'read' },
  listRevisionEvents: { scope: 'read' },
  countWindowRevisions: { scope: 'read' },
  listEvents: { scope: 'read' },
  listWindows: { scope: 'read' },
  hourlySummaries: { scope: 'read' },
  dailySummaries: { scope: 'read' },
  usageSeries: { scope: 'read' },
  usageChanges: { scope: 'read' },
  topCustomers: { scope: 'read' },
  listRecords: { scope: 'read' },
  readSession: { scope: 'read' },
  liveSums: { scope: 'read' },
  liveOverview: { scope: 'read' },
  liveStream: { scope: 'read' },
  listCounters: { scope: 'read' },
  readCounter: { scope: 'read' },
  listCustomers: { scope: 'read' },
  getCustomer: { scope: 'read' },
  updateCustomer: { scope: 'admin' },
  createTenant: { scope: 'admin', platform: true },
  listTenants: { scope: 'admin', platform: true },
  updateTenant: { scope: 'admin', platform: true },
  createKey: { scope: 'admin' },
  listKeys: { scope: 'admin' },
  describeKey: { scope: 'any' },
  revokeKey: { scope: 'admin' },
  rotateKey: { scope: 'admin' },
  listAuditLog: { scope: 'admin' },
  createSubscription: { scope: 'admin' },
  listSubscriptions: { scope: 'admin' },
  getSubscription: { scope: 'admin' },
  updateSubscription: { scope: 'admin' },
  deleteSubscription: { scope: 'admin' },
  rotateSecret: { scope: 'admin' },
  createAlertRule: { scope: 'admin' },
  listAlertRules: { scope: 'admin' },
  getAlertRule: { scope: 'admin' },
  listRuleCustomers: { scope: 'admin' },
  updateAlertRule: { scope: 'admin' },
  deleteAlertRule: { scope: 'admin' },
  createMeter: { scope: 'admin' },
  updateMeter: { scope: 'admin' },
  archiveMeter: { scope: 'admin' },
  listMeters: { scope: 'read' },
  getMeter: { scope: 'read' },
  queryMeter: { scope: 'read' },
  dimensionValues: { scope: 'read' },
  previewMeter: { scope: 'read' },
  listDeliveries: { scope: 'admin' },
  getDelivery: { scope: 'admin' },
  redeliver: { scope: 'admin' },
  redeliverDead: { scope: 'admin' },
  testSubscription: { scope: 'admin' },
  createPrices: { scope: 'admin' },
  listPrices: { scope: 'read' },
  getPrice: { scope: 'read' },
  endPrice: { scope: 'admin' },
  listCosts: { scope: 'read' },
  createPortalToken: { scope: 'read' },
  listPortalTokens: { scope: 'read' },
  revokePortalToken: { scope: 'read' },
};

let t: TestService;
let operations: Operation[];

/** A request that the route's validation lets through. */
function valid(operation: Operation, tenantId: string): { path: string; options: CallOptions } {
  const path = operation.path
    .replace(
      /\{(id|key|slug|eventId|customerId)\}/,
      /^\/v1\/(keys|subscriptions|alert-rules|prices|portal-tokens|backfills)/.test(operation.path)
        ? randomUUID()
        : 'somebody',
    )
    .replace('{windowStart}', '2026-01-01T00:00:00Z')
    .replace('{revision}', '1')
    .replace('{deliveryId}', randomUUID())
    .replace('{dimension}', 'customer');
  const bodies: Record<string, unknown> = {
    postEvents: anEvent(),
    postRecords: {
      recordId: randomUUID(),
      time: new Date().toISOString(),
      destinationId: 'acme',
      type: 'positive',
      value: 1,
    },
    incrementCounter: { key: 'k', value: 1 },
    voidEvents: { reason: 'x', ids: ['x'] },
    restoreEvents: { reason: 'x', ids: ['x'] },
    amendEvents: { reason: 'x', events: [anEvent()] },
    createBackfill: {
      from: '2026-01-01T00:00:00Z',
      to: '2026-01-02T00:00:00Z',
      customers: [randomUUID()],
      reason: 'x',
    },
    revertBackfill: { reason: 'x' },
    createTenant: { id: randomUUID(), name: 'x' },
    createKey: { tenantId, scopes: ['read'] },
    rotateKey: { overlapSeconds: 60 },
    createSubscription: { stream: 'messages', messageTypes: ['window.closed'] },
    updateSubscription: { description: 'x' },
    createAlertRule: { kind: 'event', field: 'value', threshold: 1 },
    createMeter: { slug: `m${randomUUID().replaceAll('-', '')}`, eventType: 'x', aggregation: 'count' },
    createPortalToken: { customerId: 'somebody' },
    createPrices: { model: randomUUID(), currency: 'USD', unitPrices: { call: 1 } },
    endPrice: { effectiveTo: '2027-01-01T00:00:00Z' },
    previewMeter: { definition: { eventType: 'x', aggregation: 'count' } },
  };
  const body = operation.hasBody ? (bodies[operation.id] ?? { name: 'x' }) : undefined;
  return { path, options: { body } };
}

const takesTenant = ({ parameters }: Operation) => parameters.some(({ name }) => name === 'x-tenant-id');
const keyOf = async (tenantId: string | null, scopes: Scope[], expiresAt?: Date) =>
  (await createKey(t.sql, { tenantId, scopes, expiresAt })).key;

describeEngine('who may', () => {
  beforeAll(async () => {
    t = await startTestService();
    operations = (await readDescription(t)).operations.filter(
      (operation) => operation.path.startsWith('/v1/') && !isPortal(operation), // portal.test.ts has those
    );
  });
  afterAll(() => t.stop());

  /** Calls every route under /v1 and says what each answered. */
  const callAll = async (
    options: CallOptions,
    chosen = operations,
    tenantId = 'nobody',
  ): Promise<Record<string, string>> => {
    const answers: Record<string, string> = {};
    for (const operation of chosen) {
      const request = valid(operation, tenantId);
      const answer = await t.call(operation.method, request.path, { ...request.options, ...options });
      answers[operation.id] = answer.status < 300 ? 'done' : `${answer.status} ${answer.body.code}`;
    }
    return answers;
  };
  const all = (verdict: string, chosen = operations) =>
    Object.fromEntries(chosen.map(({ id }) => [id, verdict]));

  it('every route under /v1 says that it needs a key, and this test knows which', () => {
    expect(operations.every(({ secured }) => secured)).toBe(true);
    expect(operations.map(({ id }) => id).sort()).toEqual(Object.keys(NEEDS).sort());
  });

  it('nobody without a key', async () => {
    expect(await callAll({ key: null })).toEqual(all('401 unauthenticated'));
    const answer = await t.call('GET', '/v1/events', { key: null });
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expect((await t.call('GET', '/v1/there-is-no-such-thing', { key: null })).status).toBe(401);
  });

  it.each([
    '',
    'Bearer',
    'Bearer ',
    'Basic dG06dG0=',
    `Basic ${ADMIN_KEY}`,
    ADMIN_KEY,
    `Bearer ${ADMIN_KEY} x`,
    `Bearer "${ADMIN_KEY}", x`,
    `Token ${ADMIN_KEY}`,
    `Bearer\t${ADMIN_KEY}`,
  ])('nobody with the header "%s"', async (authorization) => {
    const answer = await t.call('GET', '/v1/tenants', { key: null, headers: { authorization } });
    expect(answer.body).toMatchObject({ status: 401, code: 'unauthenticated' });
  });

  it('reads the scheme in any case', async () => {
    const headers = { authorization: `bEARER  ${ADMIN_KEY} ` };
    expect((await t.call('GET', '/v1/tenants', { key: null, headers })).status).toBe(200);
  });

  it('nobody with an unknown key, be it nearly a known one', async () => {
    const { key } = await t.tenant();
    for (const unknown of [`tm_${'x'.repeat(43)}`, `${key}x`, key.slice(0, -1), key.toUpperCase()]) {
      expect(await callAll({ key: unknown })).toEqual(all('401 key_unknown'));
    }
  });

  it('nobody with a revoked key, at once', async () => {
    const { id, key } = await t.tenant();
    const made = await t.call('POST', '/v1/keys', { body: { tenantId: id, scopes: [...SCOPES] } });
    expect((await t.call('GET', '/v1/events', { key: made.body.key })).status).toBe(200);
    expect((await t.call('DELETE', `/v1/keys/${made.body.id}`, { key })).status).toBe(204);
    expect(await callAll({ key: made.body.key })).toEqual(all('401 key_revoked'));
    expect((await t.call('GET', '/v1/events', { key })).status).toBe(200);
  });

  it('nobody with an expired key, also when it expires while it is in use', async () => {
    const { id } = await t.tenant();
    const expired = await keyOf(id, [...SCOPES], new Date(Date.now() - 1_000));
    expect(await callAll({ key: expired })).toEqual(all('401 key_expired'));
    const expiresAt = new Date(Date.now() + 1_000);
    const body = { tenantId: id, scopes: ['read'], expiresAt: expiresAt.toISOString() };
    const { key } = (await t.call('POST', '/v1/keys', { body })).body;
    expect((await t.call('GET', '/v1/events', { key })).status).toBe(200);
    await sleep(expiresAt.getTime() - Date.now() + 5);
    expect((await t.call('GET', '/v1/events', { key })).body).toMatchObject({ code: 'key_expired' });
  });

  it('nobody of an inactive tenant, at once; all again when it is active', async () => {
    const { id, key } = await t.tenant();
    expect((await t.call('GET', '/v1/events', { key })).status).toBe(200);
    await t.call('PATCH', `/v1/tenants/${id}`, { body: { active: false } });
    expect(await callAll({ key })).toEqual(all('403 tenant_inactive'));
    await t.call('PATCH', `/v1/tenants/${id}`, { body: { active: true } });
    expect((await t.call('GET', '/v1/events', { key })).status).toBe(200);
  });

  it('nobody whose key lacks the scope of the route, be it of a tenant or of the platform', async () => {
    const { id } = await t.tenant();
    for (const owner of [id, null]) {
      const allowed: Record<string, Scope[]> = {};
      for (const scope of SCOPES) {
        const key = await keyOf(owner, [scope]);
        const headers = { 'x-tenant-id': id };
        for (const [route, answer] of Object.entries(await callAll({ key, headers }, operations, id))) {
          if (answer !== '403 scope_missing') allowed[route] = [...(allowed[route] ?? []), scope];
          expect([route, answer]).toEqual([
            route,
            expect.stringMatching(/^(done|403 scope_missing|404 not_found)$/),
          ]);
        }
      }
      const expected = Object.entries(NEEDS)
        .filter(([, { platform }]) => owner === null || !platform)
        .map(([route, { scope }]) => [route, scope === 'any' ? [...SCOPES] : [scope]]);
      expect(allowed).toEqual(Object.fromEntries(expected));
    }
  });

  it('a tenant key never for another tenant', async () => {
    const [own, other] = [await t.tenant(), await t.tenant()];
    const headers = { 'x-tenant-id': other.id };
    const chosen = operations.filter(takesTenant);
    expect(chosen.length).toBeGreaterThan(7);
    expect(await callAll({ key: own.key, headers }, chosen)).toEqual(all('403 tenant_mismatch', chosen));
    const nowhere = { 'x-tenant-id': 'there-is-no-such-tenant' };
    expect(await callAll({ key: own.key, headers: nowhere }, chosen)).toEqual(
      all('403 tenant_mismatch', chosen),
    );
    const same = await callAll({ key: own.key, headers: { 'x-tenant-id': own.id } }, chosen);
    expect(Object.values(same)).not.toContain('403 tenant_mismatch');
  });

  it('a platform key only with the tenant it means', async () => {
    const chosen = operations.filter(takesTenant);
    const ofOne = chosen.filter(({ id }) => !PLATFORM_WIDE.includes(id));
    const ofAll = chosen.filter(({ id }) => PLATFORM_WIDE.includes(id));
    expect(await callAll({}, ofOne)).toEqual(all('400 tenant_required', ofOne));
    expect(await callAll({}, ofAll)).toEqual(all('done', ofAll));
    const reading = await keyOf(null, ['read']);
    expect(await callAll({ key: reading }, ofAll)).toEqual(all('400 tenant_required', ofAll));
    const writing = await keyOf(null, ['ingest', 'correct']);
    expect(await callAll({ key: writing }, ofAll)).toEqual(all('403 scope_missing', ofAll));
    const nowhere = { 'x-tenant-id': 'there-is-no-such-tenant' };
    expect(await callAll({ headers: nowhere }, chosen)).toEqual(all('404 tenant_unknown', chosen));
    const { id } = await t.tenant();
    await t.call('PATCH', `/v1/tenants/${id}`, { body: { active: false } });
    expect(await callAll({ headers: { 'x-tenant-id': id } }, chosen)).toEqual(
      all('403 tenant_inactive', chosen),
    );
  });

  describe('events of a tenant that the key is not for', () => {
    const storedFor = async (tenantId: string) => {
      const { rows } = await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [
        tenantId,
      ]);
      return rows[0].n;
    };
    const post = (body: unknown, options: CallOptions = {}, query = '') =>
      t.call('POST', `/v1/events${query}`, { body, ...options });

    it('refuse the whole request', async () => {
      const [own, other] = [await t.tenant(), await t.tenant()];
      const foreign = { ...anEvent(), tenantId: other.id };
      expect((await post(foreign, { key: own.key })).body).toMatchObject({
        status: 403,
        code: 'tenant_mismatch',
        errors: [{ index: 0, pointer: '/tenantId', code: 'tenant_mismatch' }],
      });
      const mixed = [anEvent(), { ...anEvent(), tenantId: own.id }, foreign, { timestamp: 1 }];
      const answer = await post(mixed, { key: own.key });
      expect(answer.body).toMatchObject({ status: 403, code: 'tenant_mismatch' });
      expect(answer.body.errors).toContainEqual(
        expect.objectContaining({ index: 2, code: 'tenant_mismatch' }),
      );
      expect([await storedFor(own.id), await storedFor(other.id)]).toEqual([0, 0]);
    });

    it('are left out with onInvalid=skip', async () => {
      const [own, other] = [await t.tenant(), await t.tenant()];
      const body = [anEvent(), { ...anEvent(), tenantId: other.id }];
      const answer = await post(body, { key: own.key }, '?onInvalid=skip');
      expect(answer.body).toMatchObject({ accepted: 1, rejected: 1 });
      expect(answer.body.results[1].errors[0].code).toBe('tenant_mismatch');
      expect([await storedFor(own.id), await storedFor(other.id)]).toEqual([1, 0]);
    });

    it('of a platform key must each name an active tenant', async () => {
      const [active, inactive] = [await t.tenant(), await t.tenant()];
      await t.call('PATCH', `/v1/tenants/${inactive.id}`, { body: { active: false } });
      const of = (tenantId?: string) => ({ ...anEvent(), ...(tenantId && { tenantId }) });
      const cases: [(string | undefined)[], number, string][] = [
        [[undefined], 400, 'tenant_required'],
        [[active.id, undefined], 400, 'tenant_required'],
        [['nobody'], 404, 'tenant_unknown'],
        [[active.id, 'nobody'], 404, 'tenant_unknown'],
        [[active.id, inactive.id], 403, 'tenant_inactive'],
      ];
      for (const [tenants, status, code] of cases) {
        const answer = await post(tenants.map(of));
        expect(answer.body).toMatchObject({ status, code });
        expect(answer.body.errors).toMatchObject([{ index: tenants.length - 1, pointer: '/tenantId', code }]);
      }
      const headers = { 'x-tenant-id': active.id };
      expect((await post(of(inactive.id), { headers })).body).toMatchObject({ code: 'tenant_mismatch' });
      expect([await storedFor(active.id), await storedFor(inactive.id)]).toEqual([0, 0]);
      expect((await post([of(), of(active.id)], { headers })).body).toMatchObject({ accepted: 2 });
    });
  });

  it('no tenant sees anything of another', async () => {
    const [own, other] = [await t.tenant(), await t.tenant()];
    const marker = `marker-${randomUUID()}`;
    const event = (text: string) => ({
      ...anEvent({ customerId: text, apiEndpoint: text, reference: text }),
      eventType: text,
      sourceId: text,
      unit: text,
      metadata: { model: text, [text]: text, tokens: 7 },
    });
    await t.call('POST', '/v1/events', { key: other.key, body: [event(marker), event('shared')] });
    await t.call('POST', '/v1/events', { key: own.key, body: event('shared') });
    await t.call('PATCH', '/v1/customers/shared', { key: other.key, body: { name: marker } });
    await t.call('POST', '/increment', { key: other.key, body: { key: marker, value: 1 } });
    const gets = operations.filter(
      ({ id, method, path }) =>
        method === 'GET' &&
        !NEEDS[id]?.platform &&
        !/(subscriptions|alert-rules|prices|backfills)\/\{/.test(path),
    );
    for (const { path: template, parameters } of gets) {
      const path = template
        .replace('{windowStart}', '2026-01-01T00:00:00Z')
        .replace('{revision}', '1')
        .replace(/\{\w+\}/, 'shared');
      const filters = parameters.filter(
        ({ name, in: place }) =>
          place === 'query' &&
          ['customerId', 'destinationId', 'endpoint', 'model', 'eventType', 'reference'].includes(name),
      );
      for (const query of ['', ...filters.map(({ name }) => `?${name}=${marker}`)]) {
        const answer = await t.call('GET', path + query, { key: own.key });
        const missing = path !== template && answer.body.code === 'not_found';
        expect([path, query, missing ? 200 : answer.status]).toEqual([path, query, 200]);
        const text = JSON.stringify(answer.body).replaceAll(`"customerId":"${marker}"`, '');
        expect([path, query, text]).toEqual([path, query, expect.not.stringContaining('marker')]);
        expect(text).not.toContain(other.id);
      }
    }
    expect((await t.call('GET', `/v1/counters/${marker}`, { key: own.key })).body.code).toBe('not_found');
    const usage = await t.call('GET', '/v1/usage?granularity=1d', { key: own.key });
    expect(usage.body.data).toMatchObject([{ calls: 1, tokens: 7 }]);
    const live = (await t.call('GET', '/v1/live?customerId=shared', { key: own.key })).body;
    expect(live.current.totalCalls + live.previous.totalCalls).toBe(1);
    const session = await t.call('GET', '/v1/sessions/shared', { key: own.key });
    expect(session.body).toMatchObject({ events: 1, tokens: 7 });
    const named = await t.call('PATCH', `/v1/customers/${marker}`, { key: own.key, body: { name: 'x' } });
    expect(named.body).toMatchObject({ code: 'not_found' });
  });

  it('no tenant administers tenants, or the keys of others', async () => {
    const [own, other] = [await t.tenant(), await t.tenant()];
    const { key } = own;
    const refused = async (method: string, path: string, code: string, body?: unknown) => {
      expect((await t.call(method, path, { key, body })).body).toMatchObject({ code });
    };
    await refused('POST', '/v1/tenants', 'scope_missing', { id: 'mine', name: 'Mine' });
    await refused('GET', '/v1/tenants', 'scope_missing');
    for (const { id } of [own, other]) {
      await refused('PATCH', `/v1/tenants/${id}`, 'scope_missing', { active: false });
    }
    await refused('POST', '/v1/keys', 'tenant_mismatch', { tenantId: other.id, scopes: ['read'] });
    await refused('POST', '/v1/keys', 'tenant_mismatch', { tenantId: null, scopes: ['admin'] });
    await refused('GET', `/v1/keys?tenantId=${other.id}`, 'tenant_mismatch');
    const theirs = (await t.call('GET', `/v1/keys?tenantId=${other.id}`)).body.data[0];
    await refused('DELETE', `/v1/keys/${theirs.id}`, 'not_found');
    await refused('POST', `/v1/keys/${theirs.id}/rotate`, 'not_found');
    await refused('GET', `/v1/audit-log?tenantId=${other.id}`, 'tenant_mismatch');
    expect((await t.call('GET', '/v1/events', { key: other.key })).status).toBe(200);

    const made = await t.call('POST', '/v1/keys', { key, body: { scopes: ['read'] } });
    expect(made.body).toMatchObject({ tenantId: own.id, scopes: ['read'] });
    const listed = (await t.call('GET', '/v1/keys', { key })).body.data;
    expect(listed.map((k: { tenantId: string }) => k.tenantId)).toEqual([own.id, own.id]);
  });

  it('a secret is shown once, and nothing in the database contains it', async () => {
    const { id, key } = await t.tenant();
    const made = await t.call('POST', '/v1/keys', { key, body: { scopes: [...SCOPES] } });
    expect(made.body.key).toMatch(/^tm_[\w-]{43}$/);
    expect(made.headers.get('cache-control')).toBe('no-store');
    await t.call('POST', '/v1/events', { key: made.body.key, body: anEvent() });

    const { body: list } = await t.call('GET', `/v1/keys?tenantId=${id}`);
    expect(list.data.map((k: object) => Object.keys(k).sort())).toEqual(
      list.data.map(() => [
        ...['createdAt', 'expiresAt', 'id', 'lastUsedAt', 'replacedBy', 'replaces', 'revokedAt', 'scopes'],
        'tenantId',
      ]),
    );
    const secrets = [made.body.key, key, ADMIN_KEY].flatMap((secret: string) => [
      secret.slice(3),
      Buffer.from(secret).toString('hex'),
      Buffer.from(secret).toString('base64').replace(/=+$/, ''),
      Buffer.from(secret.slice(3), 'base64url').toString('hex'),
    ]);
    const { rows: tables } = await t.sql.query(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables
       where schemaname not in ('pg_catalog', 'information_schema')`,
    );
    expect(tables.map(({ name }) => name)).toContain('public.api_key');
    let content = JSON.stringify(list);
    for (const { name } of tables) {
      const { rows } = await t.sql.query(`select row::text as text from ${name} as row`);
      content += rows.map(({ text }) => text).join('\n');
    }
    for (const secret of secrets) expect(content).not.toContain(secret);
  });

  it('takes a request id that is a plain token, and makes one in place of anything else', async () => {
    const ask = async (given: string) => {
      const headers = { 'x-request-id': given };
      const answer = await t.call('GET', '/v1/nothing', { headers });
      expect(answer.body.requestId).toBe(answer.headers.get('x-request-id'));
      return answer.body.requestId;
    };
    expect(await ask('trace-1_2.3')).toBe('trace-1_2.3');
    for (const given of ['', 'a b', '<script>', 'x'.repeat(129), '{"level":60}', 'é']) {
      expect(await ask(given)).toMatch(/^[0-9a-f-]{36}$/);
    }
  });
});

describeEngine('an error of the database', () => {
  it('reaches the caller as a request id and nothing else, and the log whole', async () => {
    const database = await createTestDatabase();
    const lines: string[] = [];
    const log = createLogger({ logLevel: 'info' }, { write: (line) => void lines.push(line) });
    const config = loadConfig({
      TIDEMARK_PROFILE: 'test',
      DATABASE_URL: database.url,
      ADMIN_KEY,
      INGEST_DEADLINE_MS: '2000',
    });
    const service = await createService(config, database.url, log);
    const sql = new pg.Client(database.url);
    await sql.connect();
    try {
      const call = async (method: string, path: string, body?: unknown) => {
        const response = await service.app.request(path, {
          method,
          headers: {
            authorization: `Bearer ${ADMIN_KEY}`,
            'x-tenant-id': 'acme',
            'content-type': 'application/json',
          },
          ...(body !== undefined && { body: JSON.stringify(body) }),
        });
        return { response, problem: (await response.json()) as { requestId: string } };
      };
      await call('POST', '/v1/tenants', { id: 'acme', name: 'Acme' });
      expect((await call('POST', '/v1/events', anEvent())).response.status).toBe(200);
      await sql.query(`
        alter table event rename to renamed_event;
        alter table api_key rename to renamed_api_key;
        alter view tenant_data.event rename to renamed_event;
        alter view tenant_data.customer rename to renamed_customer;
        alter view tenant_data.late_window rename to renamed_late_window`);

      const failing: [string, string, unknown?][] = [
        ['GET', '/v1/events'],
        ['GET', '/v1/windows'],
        ['GET', '/v1/usage'],
        ['GET', '/v1/summaries/hourly'],
        ['GET', '/v1/customers'],
        ['GET', '/v1/keys'],
        ['POST', '/v1/keys', { tenantId: 'acme', scopes: ['read'] }],
      ];
      for (const [method, path, body] of failing) {
        const { response, problem } = await call(method, path, body);
        expect(problem).toEqual({
          type: 'about:blank',
          title: 'Internal Server Error',
          status: 500,
          code: 'internal',
          detail: 'something went wrong; the request id finds it in the log',
          requestId: response.headers.get('x-request-id'),
        });
        const logged = lines.find((line) => line.includes(problem.requestId));
        expect(JSON.parse(logged!)).toMatchObject({ level: 50, err: { code: '42P01' } });
      }
      const { response, problem } = await call('POST', '/v1/events', anEvent());
      expect(problem).toEqual({
        type: 'about:blank',
        title: 'Service Unavailable',
        status: 503,
        code: 'database_unavailable',
        detail: 'the event could not be stored; retry with the same event ids',
        requestId: expect.any(String),
      });
      expect(response.headers.get('retry-after')).toBe('1');
      expect(lines.join()).not.toContain(ADMIN_KEY);
    } finally {
      await service.close();
      await sql.end();
      await database.drop();
    }
  });
});
