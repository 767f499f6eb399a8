import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { isClientPath } from '../../../src/faces/http/clients/clientRoutes.ts';
import { describeEngine } from '../../support/database.ts';
import { type Description, type Operation, readDescription } from '../../support/description.ts';
import { deadDelivery, subscribe } from '../../support/messages.ts';
import { isPortal, makePortalToken } from '../../support/portal.ts';
import { type Answer, startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

/** Of the description itself, and the console with what it loads; what clients of others call is described by these, and in docs/clients.md. */
const UNDESCRIBED = ['/openapi.json', '/docs', '/docs/init.js', '/docs/assets/{asset}'];

// biome-ignore lint/suspicious/noExplicitAny: JSON Schema
type Schema = any;

describeEngine('the description', () => {
  let t: TestService;
  let key: string;
  let description: Description;
  let subscriptionId: string;
  let deliveryId: string;
  let meters = 0;
  let backfills = 0;
  beforeAll(async () => {
    t = await startTestService();
    const tenant = await t.tenant();
    ({ key } = tenant);
    subscriptionId = await subscribe(t.sql, tenant.id, { url: 'http://127.0.0.1:9/' });
    deliveryId = await deadDelivery(t.sql, tenant.id, subscriptionId);
    description = await readDescription(t);
  });
  afterAll(() => t.stop());

  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator();
    expect(await validator.validate(structuredClone(description.document))).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
    const ids = description.operations.map((operation) => operation.id);
    expect(new Set(ids).size).toBe(ids.length);
    const { schemas } = description.document.components;
    for (const [, name] of JSON.stringify(description.document).matchAll(
      /"#\/components\/schemas\/(\w+)"/g,
    )) {
      expect(schemas).toHaveProperty(name!);
    }
  });

  it('describes every route, and nothing else', () => {
    const described = description.operations.map(({ method, path }) => `${method} ${path}`);
    const routes = t.service.app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, '{$1}')}`)
      .filter((route) => {
        const path = route.split(' ')[1]!;
        return !UNDESCRIBED.includes(path) && !path.startsWith('/console') && !isClientPath(path);
      });
    expect([...new Set(routes)].sort()).toEqual(described.sort());
  });

  let revisedWindow = '2026-01-01T00:00:00Z';

  /** Sends one body, or none, to a route as its description has it. */
  const send = async (operation: Operation, example?: Operation['examples'][number]): Promise<Answer> => {
    const ids: Record<string, () => Promise<string>> = {
      updateTenant: async () => (await t.tenant()).id,
      getEvent: async () => {
        const event = anEvent();
        await t.call('POST', '/v1/events', { key, body: event });
        return event.eventId;
      },
      listRevisionEvents: async () => {
        const event = anEvent({ customerId: 'revised' });
        await t.call('POST', '/v1/events', { key, body: event });
        await t.call('POST', '/v1/events/void', { key, body: { reason: 'x', ids: [event.eventId] } });
        const at = Date.parse(event.timestamp);
        revisedWindow = new Date(at - (at % 30_000)).toISOString();
        return 'revised';
      },
      ...Object.fromEntries(
        ['getCustomer', 'updateCustomer'].map((id) => [
          id,
          async () => {
            await t.call('POST', '/v1/events', { key, body: anEvent({ customerId: 'somebody' }) });
            return 'somebody';
          },
        ]),
      ),
      readCounter: async () => {
        await t.call('POST', '/increment', { key, body: { key: 'somebody', value: '1.5' } });
        return 'somebody';
      },
      readSession: async () => {
        await t.call('POST', '/v1/events', { key, body: anEvent({ reference: 'session-1' }) });
        return 'session-1';
      },
      listRuleCustomers: async () => {
        const body = { kind: 'usage', measure: 'tokens', period: 'day', threshold: 5 };
        return (await t.call('POST', '/v1/alert-rules', { key, body })).body.id;
      },
      rotateKey: async () => (await t.call('POST', '/v1/keys', { key, body: { scopes: ['read'] } })).body.id,
      ...Object.fromEntries(
        ['getSubscription', 'updateSubscription', 'deleteSubscription', 'rotateSecret'].map((id) => [
          id,
          async () => {
            const body = { url: 'https://example.test/in', messageTypes: ['window.closed'] };
            return (await t.call('POST', '/v1/subscriptions', { key, body })).body.id;
          },
        ]),
      ),
      ...Object.fromEntries(
        ['getAlertRule', 'updateAlertRule', 'deleteAlertRule'].map((id) => [
          id,
          async () => {
            const body = { kind: 'event', field: 'tokens', threshold: 5 };
            return (await t.call('POST', '/v1/alert-rules', { key, body })).body.id;
          },
        ]),
      ),
      ...Object.fromEntries(
        ['getMeter', 'updateMeter', 'archiveMeter', 'queryMeter', 'dimensionValues', 'queryPortalMeter'].map(
          (id) => [
            id,
            async () => {
              const slug = `meter_${++meters}`;
              const body = {
                slug,
                eventType: 'api.request',
                aggregation: 'sum',
                value: '$.tokens',
                dimensions: { model: '$.model' },
              };
              await t.call('POST', '/v1/meters', { key, body });
              return slug;
            },
          ],
        ),
      ),
      ...Object.fromEntries(
        ['getPrice', 'endPrice'].map((id) => [
          id,
          async () => {
            const body = { model: `model-${++meters}`, currency: 'USD', unitPrices: { call: 1 } };
            return (await t.call('POST', '/v1/prices', { key, body })).body.data[0].id;
          },
        ]),
      ),
      revokePortalToken: async () => (await makePortalToken(t, key, { customerId: 'somebody' })).id,
      ...Object.fromEntries(
        ['getBackfill', 'closeBackfill', 'revertBackfill', 'dropBackfill'].map((id) => [
          id,
          async () => {
            const range = { from: '2026-01-01T00:00:00Z', to: '2026-01-02T00:00:00Z' };
            const body = { ...range, customers: [`customer-${++backfills}`], reason: 'x' };
            const made = (await t.call('POST', '/v1/backfills', { key, body })).body.id;
            const event = anEvent({ timestamp: range.from, customerId: body.customers[0]! });
            await t.call('POST', `/v1/events?backfill=${made}`, { key, body: event });
            if (id === 'revertBackfill') await t.call('POST', `/v1/backfills/${made}/close`, { key });
            return made;
          },
        ]),
      ),
      revokeKey: async () => (await t.call('POST', '/v1/keys', { key, body: { scopes: ['read'] } })).body.id,
    };
    const idOf = ids[operation.id] ?? (async () => subscriptionId);
    const path = operation.path
      .replace(/\{(id|key|slug|eventId|customerId)\}/, operation.path.includes('{') ? await idOf() : '')
      .replace('{deliveryId}', deliveryId)
      .replace('{windowStart}', revisedWindow)
      .replace('{revision}', '1')
      .replace('{dimension}', 'model');
    const ofTenant = operation.parameters.some(({ name }) => name === 'x-tenant-id');
    const usedKey = isPortal(operation)
      ? { key: (await makePortalToken(t, key, { customerId: 'customer-1', costs: true })).token }
      : ofTenant && { key };
    return t.call(operation.method, path, {
      ...(operation.secured ? usedKey : { key: null }),
      ...(example && { body: example.value, headers: { 'content-type': example.contentType } }),
    });
  };

  it('has an example for every body that a route takes, and each is accepted as it is', async () => {
    let sent = 0;
    for (const operation of description.operations.filter(({ hasBody }) => hasBody)) {
      expect([operation.id, operation.examples]).not.toEqual([operation.id, []]);
      for (const example of operation.examples) {
        const answer = await send(operation, example);
        expect([operation.id, answer.status, answer.body]).toEqual([
          operation.id,
          expect.toSatisfy((status: number) => status >= 200 && status < 300),
          answer.body,
        ]);
        expectDescribed(operation, answer);
        sent++;
      }
    }
    expect(sent).toBeGreaterThanOrEqual(7);
  });

  it('has examples that never grow too old', async () => {
    const timestampOf = ({ operations }: Description) =>
      operations.find((o) => o.id === 'postEvents')!.examples[0]!.value as string | { timestamp: string } as {
        timestamp: string;
      };
    const first = timestampOf(description).timestamp;
    expect(Math.abs(Date.now() - Date.parse(first))).toBeLessThan(60_000);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 60 * 86_400_000 });
    try {
      const later = timestampOf(await readDescription(t)).timestamp;
      expect(Math.abs(Date.now() - Date.parse(later))).toBeLessThan(60_000);
    } finally {
      vi.useRealTimers();
    }
  });

  it('tells the truth about what every route answers', async () => {
    const event = { ...anEvent({ reference: 'r', value: '1.5' }), sourceId: 's', unit: 'u' };
    const metadata = { model: 'gpt-4', inputTokens: 1, outputTokens: 2, latencyMs: 3, region: 'eu' };
    const body = [
      { ...event, metadata },
      { ...anEvent(), apiEndpoint: undefined, eventType: 'click' },
      { ...event, eventId: 'record-1', eventType: 'positive' },
    ];
    await t.call('POST', '/v1/events', { key, body });
    const voided = anEvent();
    await t.call('POST', '/v1/events', { key, body: voided });
    const correction = await t.call('POST', '/v1/events/void', {
      key,
      body: { reason: 'x', ids: [voided.eventId] },
    });
    expect(correction.body.events).toBe(1);
    for (const operation of description.operations.filter(({ hasBody }) => !hasBody)) {
      const answer = await send(operation);
      expect([operation.id, answer.status]).toEqual([
        operation.id,
        expect.toSatisfy((status: number) => status >= 200 && status < 300),
      ]);
      expectDescribed(operation, answer);
    }
    const of = (operationId: string) => description.operations.find((o) => o.id === operationId)!;
    const groups = await t.call('GET', '/v1/usage?groupBy=customer,endpoint,model,eventType', { key });
    expect(groups.body.data.length).toBeGreaterThan(2);
    expectDescribed(of('usageSeries'), groups);
    const csv = await t.call('GET', '/v1/usage', { key, headers: { accept: 'text/csv' } });
    expectDescribed(of('usageSeries'), csv);
    const meter = {
      slug: 'described',
      eventType: 'api.request',
      aggregation: 'avg',
      value: '$.latencyMs',
      dimensions: { model: '$.model' },
    };
    await t.call('POST', '/v1/meters', { key, body: meter });
    const rows = await t.call('GET', '/v1/meters/described/query?groupBy=model,customer&granularity=1m', {
      key,
    });
    expect(rows.body.data.length).toBeGreaterThan(0);
    expectDescribed(of('queryMeter'), rows);
    const meterCsv = await t.call('GET', '/v1/meters/described/query', {
      key,
      headers: { accept: 'text/csv' },
    });
    expectDescribed(of('queryMeter'), meterCsv);
    expectDescribed(of('listEvents'), await t.call('GET', '/v1/events?meters=true', { key }));
    const price = { model: 'gpt-4', currency: 'USD', unitPrices: { input: '0.5' } };
    expectDescribed(of('createPrices'), await t.call('POST', '/v1/prices', { key, body: [price] }));
    for (const [id, path] of [
      ['listCosts', '/v1/costs?groupBy=customer,model,provider,endpoint,eventType'],
      ['usageSeries', '/v1/usage?cost=true&groupBy=model'],
    ] as const) {
      const answer = await t.call('GET', path, { key });
      expect([id, answer.body.data.length]).toEqual([id, expect.toSatisfy((rows: number) => rows > 1)]);
      expectDescribed(of(id), answer);
      expectDescribed(of(id), await t.call('GET', path, { key, headers: { accept: 'text/csv' } }));
    }
    const { token } = await makePortalToken(t, key, { customerId: 'customer-1', costs: true });
    for (const [id, path] of [
      ['portalUsage', '/v1/portal/usage?cost=true&groupBy=model'],
      ['portalUsage', '/v1/portal/usage?groupBy=endpoint,eventType'],
      ['listPortalMeters', '/v1/portal/meters'],
      ['queryPortalMeter', '/v1/portal/meters/described?groupBy=model&granularity=1m'],
    ] as const) {
      const answer = await t.call('GET', path, { key: token });
      expect([id, answer.body.data.length]).toEqual([id, expect.toSatisfy((rows: number) => rows > 0)]);
      expectDescribed(of(id), answer);
      expectDescribed(of(id), await t.call('GET', path, { key: token, headers: { accept: 'text/csv' } }));
    }
    const skipped = await t.call('POST', '/v1/events?onInvalid=skip', { key, body: [anEvent(), 5] });
    expectDescribed(of('postEvents'), skipped);
    const headers = { prefer: 'respond-async' };
    expectDescribed(of('postEvents'), await t.call('POST', '/v1/events', { key, body: anEvent(), headers }));
  });

  it('tells the truth about how every route refuses', async () => {
    const { token } = await makePortalToken(t, key, { customerId: 'customer-1' });
    for (const operation of description.operations.filter(({ secured }) => secured)) {
      const { method } = operation;
      const ofTenant = isPortal(operation) ? token : key;
      const path = operation.path.replaceAll(/\{\w+\}/g, '00000000-0000-4000-8000-000000000000');
      const body = operation.examples[0]?.value;
      const answers = [
        await t.call(method, path, { key: null, body }),
        await t.call(method, path, { body, headers: { 'x-tenant-id': 'nobody' } }),
        await t.call(method, `${path}?onInvalid=x&limit=x`, { key: ofTenant, body }),
        await t.call(method, path, { key: ofTenant, body: operation.hasBody ? '{' : undefined }),
        ...(operation.hasBody
          ? [
              await t.call(method, path, { body: 'x', headers: { 'content-type': 'text/plain' } }),
              await t.call(method, path, { body: ' '.repeat(9_000_000) }),
            ]
          : []),
      ];
      for (const answer of answers) expectDescribed(operation, answer);
    }
  });

  /** The status is among those described, and the body is what the description says, without a field more. */
  function expectDescribed(operation: Operation, answer: Answer): void {
    const described = operation.responses[answer.status];
    expect([operation.id, answer.status, Object.keys(operation.responses)]).toEqual([
      operation.id,
      described ? answer.status : 'described',
      Object.keys(operation.responses),
    ]);
    if (answer.status === 204) return;
    const type = answer.headers.get('content-type')!.split(';')[0]!;
    expect(Object.keys(described!.content ?? {})).toContain(type);
    if (!/json$/.test(type)) return;
    const schema = z.fromJSONSchema(
      complete(described!.content![type]!.schema, description.document.components.schemas),
    );
    const parsed = schema.safeParse(answer.body);
    expect([operation.id, parsed.error?.issues ?? []]).toEqual([operation.id, []]);
  }

  it('is read on a page that loads nothing from elsewhere', async () => {
    const page = await t.call('GET', '/docs', { key: null });
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    expect(page.headers.get('content-security-policy')).toContain(`default-src 'none'; script-src 'self'`);
    const links = [...page.body.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, link]) => link);
    expect(links.length).toBeGreaterThanOrEqual(4);
    const types: Record<string, RegExp> = { js: /^text\/javascript/, css: /^text\/css/, png: /^image\/png/ };
    for (const link of links) {
      expect(link).toMatch(/^\/docs\//);
      const asset = await t.call('GET', link, { key: null });
      expect([link, asset.status]).toEqual([link, 200]);
      expect(asset.headers.get('content-type')).toMatch(types[link.split('.').at(-1)]!);
      expect(asset.body.length).toBeGreaterThan(100);
      if (link.endsWith('.css')) {
        expect(asset.body).not.toMatch(/url\((?!\s*["']?data:)|@import/);
      }
    }
    const start = (await t.call('GET', '/docs/init.js', { key: null })).body;
    expect(start).toContain('/openapi.json');
    expect(start).toContain('validatorUrl: null');
    expect(page.body + start).not.toMatch(/https?:|["'(]\/\//);
    expect((await t.call('GET', '/openapi.json', { key: null })).headers.get('content-type')).toMatch(/json/);
    expect(JSON.stringify(description.document.servers ?? [])).toBe('[]');
  });
});

/** A schema that stands alone, with its references resolved and every object closed. */
function complete(schema: Schema, components: Record<string, Schema>): Schema {
  const closed = (node: Schema): Schema => {
    if (Array.isArray(node)) return node.map(closed);
    if (typeof node !== 'object' || node === null) return node;
    const inner = Object.fromEntries(Object.entries(node).map(([name, value]) => [name, closed(value)]));
    const open = node.type === 'object' && node.properties && node.additionalProperties === undefined;
    return open ? { ...inner, additionalProperties: false } : inner;
  };
  const text = JSON.stringify({ ...closed(schema), $defs: closed(components) });
  return JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/'));
}
