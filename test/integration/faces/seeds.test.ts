import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type HttpServer, listen } from '../../../src/faces/http/server.ts';
import { postDemoTraffic } from '../../../src/faces/seeds/demoTraffic.ts';
import { makeFirstTenant } from '../../../src/faces/seeds/makeFirstTenant.ts';
import { readSeeds, type Seeds, type SeedTenant } from '../../../src/faces/seeds/readSeeds.ts';
import { describeEngine } from '../../support/database.ts';
import { ADMIN_KEY, startTestService, type TestService, until } from '../../support/service.ts';

// biome-ignore lint/suspicious/noExplicitAny: rows of the API
type Row = any;

describeEngine('seeds', () => {
  let t: TestService;
  let seeds: Seeds;
  beforeAll(async () => {
    t = await startTestService();
    seeds = await readSeeds();
  });
  afterAll(() => t.stop());

  const of = (tenant: string) => ({ headers: { 'x-tenant-id': tenant } });
  const list = async (path: string, tenant: string): Promise<Row[]> =>
    (await t.call('GET', `${path}?limit=1000`, of(tenant))).body.data;
  const auditLog = async (tenant: string): Promise<Row[]> =>
    (await t.call('GET', `/v1/audit-log?tenantId=${encodeURIComponent(tenant)}&limit=1000`)).body.data;
  /** Everything that seeds can give a tenant. */
  const stateOf = async (tenant: string) => ({
    tenants: (await t.call('GET', '/v1/tenants?limit=1000')).body.data.filter(({ id }: Row) => id === tenant),
    keys: (await t.call('GET', `/v1/keys?tenantId=${encodeURIComponent(tenant)}`)).body.data,
    customers: await list('/v1/customers', tenant),
    rules: await list('/v1/alert-rules', tenant),
    meters: (await list('/v1/meters', tenant)).map(({ fill: _, ...meter }) => meter),
    log: await auditLog(tenant),
  });

  describe('the first start', () => {
    let number = 0;
    let tenant: SeedTenant;
    let key: string;
    beforeEach(() => {
      number++;
      tenant = { ...seeds.firstStart, id: `first-${number}` };
      key = `tm_key_of_the_first_start_${number}`;
    });
    const start = async (own = key) => {
      const client = new pg.Client(t.database.url);
      await client.connect();
      try {
        await makeFirstTenant(client, tenant, own);
        expect(client.getTransactionStatus()).toBe('I');
      } finally {
        await client.end();
      }
    };

    it('makes the tenant with its customers, alert rules and key, as the work of a program', async () => {
      await start();
      const { tenants, keys, customers, rules, meters, log } = await stateOf(tenant.id);
      expect(tenants).toMatchObject([{ id: tenant.id, name: 'Demo', active: true }]);
      expect(keys).toMatchObject([{ scopes: tenant.keyScopes, revokedAt: null }]);
      expect(customers.map(({ customerId, name }) => ({ id: customerId, name }))).toEqual(
        tenant.customers.map(({ id, name }) => ({ id, name })),
      );
      // One transaction has one time, so their order is any.
      const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
      expect(rules.toSorted(byName)).toMatchObject(tenant.alertRules.toSorted(byName));
      expect(meters).toMatchObject(tenant.meters);
      expect(log.map(({ action }) => action).toSorted()).toEqual([
        ...tenant.alertRules.map(() => 'alert_rule.created'),
        ...tenant.customers.map(() => 'customer.updated'),
        'key.created',
        ...tenant.meters.map(() => 'meter.created'),
        'tenant.created',
      ]);
      for (const entry of log) {
        expect(entry).toMatchObject({ actor: { kind: 'command', keyId: null }, requestId: null });
      }
      expect((await t.call('GET', '/v1/customers', { key })).body.data).toEqual(customers);
    });

    it('again changes nothing, whatever has been changed or taken away meanwhile', async () => {
      await start();
      const made = await stateOf(tenant.id);
      await start();
      expect(await stateOf(tenant.id)).toEqual(made);

      const [rule, other] = made.rules;
      const asOwner = (method: string, path: string, body?: unknown) =>
        t.call(method, path, { ...of(tenant.id), body });
      await t.call('PATCH', `/v1/tenants/${tenant.id}`, { body: { name: 'Ours', eventsPerSecond: 5 } });
      await asOwner('PATCH', '/v1/customers/acme', { name: 'Acme Ltd.' });
      await asOwner('PATCH', '/v1/customers/birch', { name: null });
      await asOwner('PATCH', `/v1/alert-rules/${rule.id}`, { threshold: '1', active: false });
      await asOwner('DELETE', `/v1/alert-rules/${other.id}`);
      await t.call('DELETE', `/v1/keys/${made.keys[0].id}`);
      const changed = await stateOf(tenant.id);
      expect(changed.log.length).toBe(made.log.length + 6);
      await start();
      expect(await stateOf(tenant.id)).toEqual(changed);
    });

    it('of another machine adds its own key to the tenant, and nothing else', async () => {
      await start();
      const made = await stateOf(tenant.id);
      await start(`${key}_of_another`);
      const { keys, log, ...rest } = await stateOf(tenant.id);
      expect(keys).toHaveLength(2);
      expect(keys).toContainEqual(made.keys[0]);
      expect(log.slice(1)).toEqual(made.log);
      expect(rest).toMatchObject({ customers: made.customers, rules: made.rules, tenants: made.tenants });
    });

    it('of several instances at once makes each thing once', async () => {
      await Promise.all(Array.from({ length: 6 }, () => start()));
      const { keys, customers, rules, meters, log } = await stateOf(tenant.id);
      expect([keys.length, customers.length, rules.length, meters.length]).toEqual([
        1,
        tenant.customers.length,
        tenant.alertRules.length,
        tenant.meters.length,
      ]);
      expect(log).toHaveLength(2 + tenant.customers.length + tenant.alertRules.length + tenant.meters.length);
    });

    it('that fails half way leaves nothing of the tenant', async () => {
      tenant = {
        ...tenant,
        alertRules: [...tenant.alertRules, { ...tenant.alertRules[0]!, name: 'x', threshold: 'much' }],
      };
      await expect(start()).rejects.toThrow('numeric');
      const left = `select (select count(*) from tenant where id = $1) + (select count(*) from customer where tenant_id = $1)
        + (select count(*) from alert_rule where tenant_id = $1) + (select count(*) from api_key where tenant_id = $1)
        + (select count(*) from audit_log where tenant_id = $1) as n`;
      expect((await t.sql.query(left, [tenant.id])).rows).toEqual([{ n: '0' }]);
      tenant = { ...tenant, alertRules: [] };
      await start();
      expect((await stateOf(tenant.id)).customers).toHaveLength(tenant.customers.length);
    });

    it('waits for batches that take long, and then makes all of it', async () => {
      const batch = await t.sql.connect();
      try {
        await batch.query('begin');
        await batch.query('update window_state set interest_version = interest_version');
        const started = start();
        // Refused once at least, and rolled back each time.
        const refused = `select from pg_stat_activity where datname = current_database()
                         and query ilike 'rollback%' and state = 'idle'`;
        await until(async () => (await t.sql.query(refused)).rowCount === 1);
        expect((await t.sql.query('select from tenant where id = $1', [tenant.id])).rowCount).toBe(0);
        await batch.query('commit');
        await started;
      } finally {
        batch.release();
      }
      expect((await stateOf(tenant.id)).rules).toHaveLength(tenant.alertRules.length);
    });
  });

  describe('tidemark seed', () => {
    let server: HttpServer;
    beforeAll(async () => {
      server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
    });
    afterAll(() => server.close(1_000));

    const post = async (own: Seeds, tenants: number, backfillMs = 600_000) => {
      const said: string[] = [];
      const { table, wrong } = await postDemoTraffic({
        url: server.address,
        adminKey: ADMIN_KEY,
        durationMs: 0,
        rate: 2,
        tenants,
        seeds: own,
        backfillMs,
        seed: 3,
        signal: new AbortController().signal,
        say: (line) => said.push(line),
        onStart: () => undefined,
      });
      expect({ wrong, said: said.slice(1) }, table).toEqual({ wrong: 0, said: [] });
    };
    /** All but the keys of each run, which are revoked. */
    const kept = async (tenant: string) => {
      const { keys, log, ...rest } = await stateOf(tenant);
      expect(keys.every(({ revokedAt }: Row) => revokedAt !== null)).toBe(true);
      return { ...rest, log: log.filter(({ action }) => !action.startsWith('key.')) };
    };

    it('makes what the seeds say; again it adds traffic, and changes nothing else', async () => {
      await post(seeds, 2);
      const made = [];
      for (const { id, name, customers, alertRules } of seeds.traffic.slice(0, 2)) {
        const state = await kept(id);
        made.push(state);
        expect(state.tenants).toMatchObject([{ id, name }]);
        expect(state.rules).toMatchObject(alertRules);
        expect(state.customers.length).toBeGreaterThan(3);
        const names = new Map(customers.map((customer) => [customer.id, customer.name]));
        for (const { customerId, name: given } of state.customers) {
          expect([customerId, given]).toEqual([customerId, names.get(customerId)]);
        }
      }
      expect(
        (await t.call('GET', '/v1/tenants?limit=1000')).body.data.map(({ id }: Row) => id),
      ).not.toContain('initech');

      const [northwind] = made;
      const [first, second] = northwind!.customers;
      const [deleted, changed] = northwind!.rules;
      const asOwner = (method: string, path: string, body?: unknown) =>
        t.call(method, path, { ...of('northwind'), body });
      await t.call('PATCH', '/v1/tenants/northwind', { body: { name: 'Ours' } });
      await asOwner('PATCH', `/v1/customers/${first.customerId}`, { name: 'Our first' });
      await asOwner('PATCH', `/v1/customers/${second.customerId}`, { name: null });
      await asOwner('DELETE', `/v1/alert-rules/${deleted.id}`);
      await asOwner('PATCH', `/v1/alert-rules/${changed.id}`, { threshold: '1' });
      const before = await kept('northwind');

      await post(seeds, 2);
      const after = await kept('northwind');
      // Traffic may have brought further customers, who are named.
      const known = new Set(before.customers.map(({ customerId }) => customerId));
      expect(after.customers.filter(({ customerId }) => known.has(customerId))).toEqual(before.customers);
      const news = after.customers.filter(({ customerId }) => !known.has(customerId));
      expect(news.every(({ name }) => name !== null)).toBe(true);
      expect(after.log.slice(news.length)).toEqual(before.log);
      expect({ ...after, customers: [], log: [] }).toEqual({ ...before, customers: [], log: [] });
    });

    it('makes up for a run that was killed before its rules were made', async () => {
      const [tenant] = seeds.traffic;
      const half = { ...tenant!, id: 'half/ön', name: 'Half' };
      await t.call('POST', '/v1/tenants', { body: { id: half.id, name: half.name } });
      const [rule] = half.alertRules;
      const there = await t.call('POST', '/v1/alert-rules', {
        headers: { 'x-tenant-id': Buffer.from(half.id).toString('latin1') },
        body: { ...rule, threshold: '7' },
      });
      expect(there.status).toBe(201);
      const own = { ...seeds, traffic: [half] };
      await post(own, 1, 0);
      const header = Buffer.from(half.id).toString('latin1');
      const rules = await list('/v1/alert-rules', header);
      expect(rules).toMatchObject([
        { name: rule!.name, threshold: '7' },
        { name: half.alertRules[1]!.name, threshold: half.alertRules[1]!.threshold },
      ]);
      expect(await list('/v1/customers', header)).toEqual([]);
    });
  });
});
