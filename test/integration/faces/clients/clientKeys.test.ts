import { afterAll, beforeAll, expect, it } from 'vitest';
import { createKey } from '../../../../src/access/tenancy/keys.ts';
import { isClientPath } from '../../../../src/faces/http/clients/clientRoutes.ts';
import { describeEngine } from '../../../support/database.ts';
import { startTestService, type TestService } from '../../../support/service.ts';

/*
 * The routes that clients of others call are in no description that a walk could go by: here they are walked as they
 * are. What each dialect answers is told by its own tests.
 */

interface Route {
  method: string;
  path: string;
}

/** The member of each dialect's errors that says what went wrong; of OpenMeter's it is in a problem. */
const TEXT = (body: Record<string, unknown>): unknown =>
  body.detail ?? (body.error as { message?: unknown })?.message ?? body.message;

/** Routes that say that there is nothing at them yet. */
const isMissing = ({ path }: Route) => /entitlements|access$/.test(path);
/** Those that a portal token opens, and no key. */
const isPortal = ({ path }: Route) => path.includes('/portal/meters/');

describeEngine('routes of clients', () => {
  let t: TestService;
  let routes: Route[];
  let own: { id: string; key: string };
  let other: { id: string; key: string };
  beforeAll(async () => {
    t = await startTestService();
    const all = t.service.app.routes.filter(({ method, path }) => method !== 'ALL' && isClientPath(path));
    routes = [...new Map(all.map(({ method, path }) => [`${method} ${path}`, { method, path }])).values()];
    [own, other] = [await t.tenant(), await t.tenant()];
  });
  afterAll(() => t.stop());

  /** @param id what stands for each part of the path that is one. */
  const call = ({ method, path }: Route, key: string | null, id = 'x', body = '{}') =>
    t.call(method, path.replaceAll(/:\w+/g, id), {
      key,
      ...(method !== 'GET' && method !== 'DELETE' && { body }),
    });

  it('are there', () => {
    expect(routes.length).toBeGreaterThanOrEqual(40);
    for (const part of [
      '/api/v1/meters',
      '/v1/billing/meters',
      '/api/v1/billable_metrics',
      '/ingest',
      '/v1/ingest',
      '/otlp/v1/traces',
    ]) {
      expect(routes.map(({ path }) => path)).toContain(part);
    }
  });

  it('answer nobody without a key, in a shape that says so', async () => {
    for (const route of routes) {
      for (const key of [null, 'tm_nobody']) {
        const { status, body, headers } = await call(route, key);
        expect([route, status, headers.get('www-authenticate')]).toEqual([route, 401, 'Bearer']);
        expect([route, typeof TEXT(body)]).toEqual([route, 'string']);
      }
    }
  });

  it('want the scope that the like of them wants here', async () => {
    const scoped = Object.fromEntries(
      await Promise.all(
        (['ingest', 'read', 'correct', 'admin'] as const).map(async (scope) => {
          const { key } = await createKey(t.sql, { tenantId: own.id, scopes: [scope] });
          return [scope, key] as const;
        }),
      ),
    );
    for (const route of routes.filter((each) => !isMissing(each) && !isPortal(each))) {
      const may = [];
      for (const [scope, key] of Object.entries(scoped)) {
        if ((await call(route, key!)).status !== 403) may.push(scope);
      }
      expect([route, may]).toEqual([route, [expect.any(String)]]);
      const isEvents = /event|ingest|otlp/.test(route.path) && route.method === 'POST';
      const isQuery = route.path.endsWith('/query') || route.path.includes('/portal/tokens');
      const isCorrection = route.path.endsWith('_adjustments');
      const scope = isCorrection
        ? 'correct'
        : isEvents
          ? 'ingest'
          : route.method === 'GET' || isQuery
            ? 'read'
            : 'admin';
      expect([route, may]).toEqual([route, [scope]]);
    }
  });

  it("show nothing of another tenant's", async () => {
    const slug = 'secret_meter';
    const meter = { slug, eventType: 'secret_type', aggregation: 'count' };
    const made = await t.call('POST', '/v1/meters', { key: other.key, body: meter });
    expect(made.status).toBe(201);
    await t.call('POST', '/api/v1/customers', { key: other.key, body: { key: slug, name: 'secret_name' } });
    const event = { specversion: '1.0', id: slug, source: 's', type: 'secret_type', subject: slug };
    await t.call('POST', '/api/v1/events', {
      key: other.key,
      body: event,
      headers: { 'content-type': 'application/cloudevents+json' },
    });
    for (const route of routes.filter(({ method }) => method !== 'POST')) {
      for (const id of [slug, made.body.id]) {
        const { status, body } = await call(route, own.key, id, '{"name":"x"}');
        const told = JSON.stringify(body).replaceAll(id, '');
        expect([route, told.includes('secret')]).toEqual([route, false]);
        if (route.path.includes(':'))
          expect([route, status]).toEqual([route, isMissing(route) ? 501 : isPortal(route) ? 401 : 404]);
      }
    }
    const { body } = await t.call('GET', '/v1/meters', { key: other.key });
    expect(body.data.map(({ name }: { name: string }) => name)).toEqual([slug]);
  });

  it('refuse a NUL in the address, and other methods', async () => {
    for (const route of routes) {
      const path = route.path.replaceAll(/:\w+/g, '%00');
      const { status } = await t.call(route.method, `${path}?a=%00`, { key: own.key });
      expect([route, status]).toEqual([route, 400]);
    }
    const { status, headers } = await t.call('PUT', '/v1/ingest', { key: own.key, body: '[]' });
    expect([status, headers.get('allow')]).toEqual([405, 'POST']);
    expect((await t.call('GET', '/api/v1/nothing', { key: own.key })).status).toBe(404);
  });
});
