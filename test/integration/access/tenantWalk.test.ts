import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { SCOPES } from '../../../src/access/tenancy/caller.ts';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { describeEngine } from '../../support/database.ts';
import { type Operation, readDescription } from '../../support/description.ts';
import { deadDelivery, subscribe } from '../../support/messages.ts';
import { isPortal, makePortalToken } from '../../support/portal.ts';
import { type Answer, startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

/*
 * Walks every route of the description with what belongs to another tenant, and with the like of it that belongs to
 * nobody. The two answers must be the same, and so must the statements that the database got for them: then neither
 * a row, nor a count, nor the existence of anything, nor the time an answer takes can tell the two apart.
 */

/** A thing of the other tenant beside one of the same kind that is nobody's. */
interface Pair {
  foreign: string;
  unknown: string;
}

/** Parameters that say nothing of what belongs to whom. One that is added must be entered here or in `pairs`. */
const HARMLESS = [
  ...['from', 'to', 'limit', 'granularity', 'timezone', 'groupBy', 'percentiles', 'format', 'state'],
  ...['type', 'closedAfter', 'onInvalid', 'prefer', 'content-encoding', 'accept'],
  ...['windowStart', 'revision', 'timestamp'],
  ...['meters', 'archived', 'without', 'cost', 'at', 'superseded', 'currency', 'priceVersion'],
  ...['digest', 'asOf', 'since', 'until', 'last-event-id', 'measure', 'action'],
];

const MARKER = 'marker-of-another-tenant';

let t: TestService;
let operations: Operation[];
let own: { id: string; key: string };
let other: { id: string; key: string };
let otherKeyId: string;
let otherSubscriptionId: string;
let otherRuleId: string;
let otherMeterId: string;
let otherPriceId: string;
let otherPortal: { id: string; token: string };
/** Of the customer that the events of this tenant are of. */
let ownPortal: { id: string; token: string };
let otherBackfillId: string;
let ownSubscription: string;
let otherDelivery: string;
const statements: string[] = [];

/** What a parameter can be given, by its name and the path it stands in. */
function pairs({ name, path }: { name: string; path: string }): Pair[] {
  const tenant = [{ foreign: other.id, unknown: 'nobody' }];
  const text = [{ foreign: MARKER, unknown: MARKER.replace('another', 'no other') }];
  if (name === 'id' && path.startsWith('/v1/keys')) return [{ foreign: otherKeyId, unknown: randomUUID() }];
  if (name === 'id' && path.startsWith('/v1/subscriptions')) {
    return [{ foreign: otherSubscriptionId, unknown: randomUUID() }];
  }
  if (name === 'id' && path.startsWith('/v1/alert-rules')) {
    return [{ foreign: otherRuleId, unknown: randomUUID() }];
  }
  if (name === 'id' && path.startsWith('/v1/prices'))
    return [{ foreign: otherPriceId, unknown: randomUUID() }];
  if (name === 'id' && path.startsWith('/v1/portal-tokens'))
    return [{ foreign: otherPortal.id, unknown: randomUUID() }];
  if ((name === 'id' && path.startsWith('/v1/backfills')) || name === 'backfill') {
    return [{ foreign: otherBackfillId, unknown: randomUUID() }];
  }
  if (name === 'id' && path.startsWith('/v1/tenants')) return tenant;
  if (name === 'slug') {
    return [
      { foreign: 'others_meter', unknown: 'nobodys_meter' },
      { foreign: otherMeterId, unknown: randomUUID() },
    ];
  }
  if (name === 'filter') return [{ foreign: MARKER, unknown: MARKER.replace('another', 'no other') }];
  if (name === 'dimension') return [{ foreign: 'others_dimension', unknown: 'nobodys_dimension' }];
  if (name === 'deliveryId') return [{ foreign: otherDelivery, unknown: randomUUID() }];
  const known: Record<string, Pair[]> = {
    'x-tenant-id': tenant,
    tenantId: tenant,
    id: text,
    eventId: [...text, { foreign: otherEventId, unknown: randomUUID() }],
    customerId: text,
    destinationId: text,
    endpoint: text,
    meter: [{ foreign: 'others_meter', unknown: 'nobodys_meter' }],
    model: text,
    provider: text,
    eventType: text,
    type: text,
    reference: text,
    key: text,
    prefix: text,
    'idempotency-key': [{ foreign: 'key-of-another-tenant', unknown: 'key-of-nobody' }],
  };
  return known[name] ?? [];
}

/** Bodies that name something, by operation. A route with a body that is added must be entered here. */
const BODIES: Record<string, { body(id: string): unknown; pair(): Pair }[]> = {
  postEvents: [
    { body: (id) => ({ ...anEvent(), tenantId: id }), pair: () => pairs({ name: 'tenantId', path: '' })[0]! },
    { body: (id) => anEvent({ customerId: id }), pair: () => pairs({ name: 'customerId', path: '' })[0]! },
    { body: (id) => anEvent({ reference: id }), pair: () => pairs({ name: 'reference', path: '' })[0]! },
    {
      body: (id) => ({ ...anEvent(), eventId: id }),
      pair: () => ({ foreign: otherEventId, unknown: randomUUID() }),
    },
    {
      body: (id) => ({ ...anEvent(), eventId: id }),
      pair: () => ({ foreign: MARKER, unknown: 'an id of nobody' }),
    },
  ],
  ...Object.fromEntries(
    ['voidEvents', 'restoreEvents'].map((operation) => [
      operation,
      [
        {
          body: (id: string) => ({ reason: 'x', ids: [id] }),
          pair: () => ({ foreign: otherCorrectableId, unknown: randomUUID() }),
        },
        {
          body: (id: string) => ({ reason: 'x', events: [{ eventId: id, timestamp: otherTimestamp }] }),
          pair: () => ({ foreign: OTHER_TEXT_ID, unknown: OTHER_TEXT_ID.replace('another', 'no other') }),
        },
      ],
    ]),
  ),
  amendEvents: [
    {
      body: (id) => ({ reason: 'x', events: [{ ...anEvent(), eventId: id }] }),
      pair: () => ({ foreign: otherCorrectableId, unknown: randomUUID() }),
    },
    {
      body: (id) => ({ reason: 'x', events: [{ ...anEvent(), tenantId: id }] }),
      pair: () => pairs({ name: 'tenantId', path: '' })[0]!,
    },
  ],
  createBackfill: [
    {
      body: (id) => ({ ...OTHER_RANGE, to: OTHER_RANGE.from, customers: [id], reason: 'x' }),
      pair: () => pairs({ name: 'customerId', path: '' })[0]!,
    },
  ],
  revertBackfill: [
    { body: (id) => ({ reason: id }), pair: () => pairs({ name: 'customerId', path: '' })[0]! },
  ],
  postRecords: [
    {
      body: (id) => aRecord({ recordId: id }),
      pair: () => ({ foreign: otherRecordId, unknown: randomUUID() }),
    },
    { body: (id) => aRecord({ destinationId: id }), pair: () => pairs({ name: 'customerId', path: '' })[0]! },
    { body: (id) => aRecord({ reference: id }), pair: () => pairs({ name: 'reference', path: '' })[0]! },
  ],
  incrementCounter: [
    { body: (id) => ({ key: id, value: 1 }), pair: () => pairs({ name: 'key', path: '' })[0]! },
  ],
  createKey: [
    {
      body: (id) => ({ tenantId: id, scopes: ['read'] }),
      pair: () => pairs({ name: 'tenantId', path: '' })[0]!,
    },
  ],
  rotateKey: [
    { body: () => ({ overlapSeconds: 60 }), pair: () => pairs({ name: 'id', path: '/v1/keys' })[0]! },
  ],
  createTenant: [
    { body: (id) => ({ id, name: 'x' }), pair: () => pairs({ name: 'tenantId', path: '' })[0]! },
  ],
  updateTenant: [{ body: () => ({ active: false }), pair: () => pairs({ name: 'tenantId', path: '' })[0]! }],
  createSubscription: [
    {
      body: (id) => ({ stream: 'messages', messageTypes: ['window.closed'], customers: [id] }),
      pair: () => pairs({ name: 'customerId', path: '' })[0]!,
    },
  ],
  updateSubscription: [
    {
      body: () => ({ active: false, customers: null }),
      pair: () => pairs({ name: 'id', path: '/v1/subscriptions' })[0]!,
    },
  ],
  createAlertRule: [
    {
      body: (id) => ({ kind: 'event', field: 'value', threshold: 1, customers: [id] }),
      pair: () => pairs({ name: 'customerId', path: '' })[0]!,
    },
  ],
  updateAlertRule: [
    { body: () => ({ threshold: 1 }), pair: () => pairs({ name: 'id', path: '/v1/alert-rules' })[0]! },
  ],
  createMeter: [
    {
      body: (id) => ({
        slug: `made_${randomUUID().replaceAll('-', '')}`,
        name: id,
        eventType: id,
        aggregation: 'count',
      }),
      pair: () => pairs({ name: 'eventType', path: '' })[0]!,
    },
  ],
  updateMeter: [
    { body: () => ({ name: 'x' }), pair: () => pairs({ name: 'slug', path: '/v1/meters' })[0]! },
    { body: () => ({ name: 'x' }), pair: () => pairs({ name: 'slug', path: '/v1/meters' })[1]! },
  ],
  previewMeter: [
    {
      body: (id) => ({ definition: { eventType: id, aggregation: 'count' } }),
      pair: () => pairs({ name: 'eventType', path: '' })[0]!,
    },
  ],
  createPrices: [
    {
      body: (id) => ({ model: 'm', currency: 'USD', unitPrices: { call: 1 }, supersedes: id }),
      pair: () => pairs({ name: 'id', path: '/v1/prices' })[0]!,
    },
  ],
  endPrice: [
    {
      body: () => ({ effectiveTo: '2027-01-01T00:00:00Z' }),
      pair: () => pairs({ name: 'id', path: '/v1/prices' })[0]!,
    },
  ],
  createPortalToken: [
    { body: (id) => ({ customerId: id }), pair: () => pairs({ name: 'customerId', path: '' })[0]! },
    {
      body: (id) => ({ customerId: 'somebody', meters: [id] }),
      pair: () => pairs({ name: 'slug', path: '' })[0]!,
    },
  ],
  updateCustomer: [{ body: () => ({ name: 'x' }), pair: () => pairs({ name: 'customerId', path: '' })[0]! }],
};
const otherEventId = randomUUID();
/** Of events that this tenant does not post as its own. */
const otherCorrectableId = randomUUID();
/** That of a backfill of the other tenant. */
const OTHER_RANGE = { from: '2020-01-01T00:00:00Z', to: '2020-01-02T00:00:00Z' };
const OTHER_TEXT_ID = 'event-of-another-tenant';
const otherTimestamp = new Date().toISOString();
const otherRecordId = randomUUID();
const aRecord = (fields: Record<string, unknown>) => ({
  recordId: randomUUID(),
  time: new Date().toISOString(),
  destinationId: 'acme',
  type: 'positive',
  value: '1',
  ...fields,
});

describeEngine('a tenant on a walk', () => {
  beforeAll(async () => {
    t = await startTestService();
    [own, other] = [await t.tenant(), await t.tenant()];
    const events = [
      anEvent({ eventId: otherEventId }),
      anEvent({ eventId: otherCorrectableId }),
      anEvent({ eventId: OTHER_TEXT_ID, timestamp: otherTimestamp }),
      {
        ...anEvent({
          customerId: MARKER,
          apiEndpoint: MARKER,
          reference: MARKER,
          eventId: MARKER,
        }),
        eventType: MARKER,
        metadata: { model: MARKER },
      },
    ];
    expect((await t.call('POST', '/v1/events', { key: other.key, body: events })).status).toBe(200);
    const headers = { 'idempotency-key': 'key-of-another-tenant' };
    const record = aRecord({ recordId: otherRecordId, destinationId: MARKER });
    expect((await t.call('POST', '/v1/records', { key: other.key, body: record })).status).toBe(200);
    const increment = { key: MARKER, value: 1 };
    expect((await t.call('POST', '/increment', { key: other.key, body: increment, headers })).status).toBe(
      200,
    );
    await t.call('PATCH', `/v1/customers/${MARKER}`, { key: other.key, body: { name: MARKER } });
    expect((await t.call('POST', '/v1/events', { key: own.key, body: anEvent() })).status).toBe(200);
    ({ id: otherKeyId } = await createKey(t.sql, { tenantId: other.id, scopes: [...SCOPES] }));
    const subscription = {
      url: 'https://example.test',
      messageTypes: ['window.closed'],
      description: MARKER,
    };
    const made = await t.call('POST', '/v1/subscriptions', { key: other.key, body: subscription });
    otherSubscriptionId = made.body.id;
    const rule = { kind: 'event', field: 'value', threshold: 1, name: MARKER };
    otherRuleId = (await t.call('POST', '/v1/alert-rules', { key: other.key, body: rule })).body.id;
    const meter = {
      slug: 'others_meter',
      eventType: MARKER,
      aggregation: 'count',
      name: MARKER,
      dimensions: { others_dimension: '$.model' },
    };
    otherMeterId = (await t.call('POST', '/v1/meters', { key: other.key, body: meter })).body.id;
    const price = { model: MARKER, provider: MARKER, currency: 'USD', unitPrices: { call: 1 } };
    otherPriceId = (await t.call('POST', '/v1/prices', { key: other.key, body: price })).body.data[0].id;
    const backfill = { ...OTHER_RANGE, customers: [MARKER], reason: MARKER };
    otherBackfillId = (await t.call('POST', '/v1/backfills', { key: other.key, body: backfill })).body.id;
    await t.call('POST', '/v1/prices', { key: own.key, body: { ...price, model: 'own', provider: 'own' } });
    // What a version of prices has is read once, and how ids are told apart.
    expect((await t.call('GET', '/v1/costs', { key: own.key })).status).toBe(200);
    expect((await t.call('GET', '/v1/events/unknown', { key: own.key })).status).toBe(404);
    const ownMeter = {
      slug: 'own_meter',
      eventType: 'api.request',
      aggregation: 'count',
      dimensions: { model: '$.model' },
    };
    await t.call('POST', '/v1/meters', { key: own.key, body: ownMeter });
    otherPortal = await makePortalToken(t, other.key, { customerId: MARKER, costs: true });
    ownPortal = await makePortalToken(t, own.key, { customerId: 'customer-1', costs: true });
    ownSubscription = await subscribe(t.sql, own.id, { url: 'http://127.0.0.1:9/own' });
    for (let i = 0; i < 2; i++) {
      const message = { type: MARKER, customerId: MARKER };
      otherDelivery = await deadDelivery(t.sql, other.id, otherSubscriptionId, message);
    }
    operations = (await readDescription(t)).operations.filter(({ path }) => path.startsWith('/v1/'));

    const query = pg.Client.prototype.query as (...args: unknown[]) => unknown;
    vi.spyOn(pg.Client.prototype, 'query').mockImplementation(function (this: pg.Client, ...args: unknown[]) {
      const name = (this as unknown as { connectionParameters: { application_name: string } })
        .connectionParameters.application_name;
      const text = typeof args[0] === 'string' ? args[0] : (args[0] as { text?: string } | null)?.text;
      // A connection is prepared whenever one is opened; whose key it is, is asked anew every few seconds.
      const isOwnPace =
        text && /^\s*set |^\s*select set_config\('jit'|last_used_at|[kp]\.secret_hash/.test(text);
      if (/read|admin|corrections/.test(name) && text && !isOwnPace)
        statements.push(text.replaceAll(/'\d{4}-[^']*Z'/g, '<time>'));
      return query.apply(this, args) as never;
    } as never);
  });
  afterAll(async () => {
    vi.restoreAllMocks();
    await t.stop();
  });

  /** An answer without what differs between any two requests, and the statements that it took. */
  const ask = async (
    method: string,
    path: string,
    options: { body?: unknown; headers?: Record<string, string> },
    id: string,
  ) => {
    statements.length = 0;
    const key = isPortal({ path }) ? ownPortal.token : own.key;
    const answer: Answer = await t.call(method, path, { key, ...options });
    const text = JSON.stringify(answer.body)
      .replaceAll(id, '<id>')
      .replaceAll(/"requestId":"[^"]*"/g, '')
      .replaceAll(/"(as[oO]f|now|closedThrough)":"[^"]*"/g, '')
      .replaceAll(
        answer.status === 201 ? /"(id|token|createdAt|expiresAt|updatedAt|slug)":"[^"]*"/g : /^$/g,
        '',
      ) // of what was made
      .replaceAll(/"fill":\{[^}]*\}/g, '');
    return {
      status: answer.status,
      text,
      headers: [...answer.headers.keys()].filter((name) => name !== 'x-request-id').sort(),
      statements: [...statements],
    };
  };

  /** Both of a pair, twice, so that what is remembered of each is remembered. */
  const compare = async (
    operation: Operation,
    pair: Pair,
    request: (id: string) => { path: string; body?: unknown; headers?: Record<string, string> },
  ) => {
    const answers = [];
    for (const id of [pair.unknown, pair.foreign, pair.unknown, pair.foreign]) {
      const { path, ...options } = request(id);
      answers.push(await ask(operation.method, path, options, id));
    }
    const where = `${operation.method} ${operation.path} with ${pair.foreign}`;
    expect(answers[3], where).toEqual(answers[2]);
    expect(answers[1], where).toEqual(answers[0]);
    expect(answers[3]!.text, where).not.toContain(MARKER);
    expect(answers[3]!.text, where).not.toContain(other.id);
  };

  /** With `id` for the parameter of that name, and something for the others. */
  const pathOf = ({ path, hasBody }: Operation, id = 'somebody', name = 'id') => {
    const others: Record<string, string> = { id: ownSubscription, deliveryId: otherDelivery };
    return path.replaceAll(/\{(\w+)\}/g, (_, parameter: string) => {
      if (parameter === name && id !== 'somebody') return encodeURIComponent(id);
      if (parameter === 'slug') return hasBody ? 'nobodys_meter' : 'own_meter';
      if (parameter === 'dimension') return 'model';
      if (parameter === 'windowStart') return '2026-01-01T00:00:00Z';
      if (parameter === 'revision') return '1';
      if (path.startsWith('/v1/subscriptions') && !hasBody) return others[parameter]!;
      return /^\/v1\/(keys|subscriptions|alert-rules|prices|portal-tokens|backfills)/.test(path)
        ? randomUUID()
        : id;
    });
  };
  const bodyOf = (operation: Operation) =>
    operation.hasBody ? BODIES[operation.id]![0]!.body(own.id) : undefined;
  const withBody = (body: unknown) => (body === undefined ? {} : { body });

  it('finds no difference between what is of another tenant and what is not, in any parameter of any route', async () => {
    let compared = 0;
    for (const operation of operations) {
      for (const { name, in: place } of operation.parameters) {
        if (HARMLESS.includes(name) || name === 'cursor') continue;
        const found = pairs({ name, path: operation.path });
        expect(found.length, `${operation.id} ${name}: enter it in this test`).toBeGreaterThan(0);
        for (const pair of found) {
          await compare(operation, pair, (id) => ({
            path:
              place === 'path'
                ? pathOf(operation, id, name)
                : `${pathOf(operation)}${place === 'query' ? `?${name}=${encodeURIComponent(id)}` : ''}`,
            ...(place === 'header' && { headers: { [name]: id } }),
            ...withBody(bodyOf(operation)),
          }));
          compared++;
        }
      }
    }
    expect(compared).toBeGreaterThan(operations.length);
  });

  it('sees its own with the cursors of another tenant', async () => {
    for (const operation of operations) {
      if (!operation.parameters.some(({ name }) => name === 'cursor')) continue;
      for (const extra of operation.id === 'usageSeries' ? ['&granularity=30s&groupBy=endpoint'] : ['']) {
        const path = `${pathOf(operation)}?limit=1${extra}`;
        const theirs = path.replace(ownSubscription, otherSubscriptionId);
        const [theirKey, ownKey] = isPortal(operation)
          ? [otherPortal.token, ownPortal.token]
          : [other.key, own.key];
        const { body } = await t.call('GET', theirs, { key: theirKey });
        if (!body.nextCursor) continue;
        const answer = await t.call('GET', `${path}&cursor=${encodeURIComponent(body.nextCursor)}`, {
          key: ownKey,
        });
        expect(JSON.stringify(answer.body), path).not.toContain(MARKER);
        expect(JSON.stringify(answer.body), path).not.toContain(other.id);
      }
    }
  });

  it('finds no difference in any body', async () => {
    for (const operation of operations.filter(({ hasBody }) => hasBody)) {
      expect(BODIES[operation.id], `${operation.id}: enter it in this test`).toBeDefined();
      for (const { body, pair } of BODIES[operation.id]!) {
        await compare(operation, pair(), (id) => ({ path: pathOf(operation), body: body(id) }));
      }
    }
  });

  it('is refused on every route of keys with a portal token, whosever it is and whether or not there is one', async () => {
    const made = operations.filter((operation) => !isPortal(operation));
    expect(made.length).toBeGreaterThan(50);
    const tokens = [ownPortal.token, otherPortal.token, `tmp_${'x'.repeat(43)}`];
    for (const operation of made) {
      const answers: object[] = [];
      for (const token of tokens) {
        statements.length = 0;
        const answer = await t.call(operation.method, pathOf(operation), {
          key: token,
          ...withBody(bodyOf(operation)),
        });
        expect(statements).toEqual([]);
        expect([operation.id, answer.status]).toEqual([operation.id, 401]);
        const { requestId: _, ...told } = answer.body;
        answers.push(told);
      }
      expect(answers).toEqual(answers.map(() => answers[0]));
    }
  });

  it('reads with the portal token of another what is of that one, and nothing of its own', async () => {
    const portal = operations.filter(isPortal);
    expect(portal.map(({ id }) => id).sort()).toEqual([
      'listPortalMeters',
      'portalUsage',
      'queryPortalMeter',
    ]);
    for (const operation of portal) {
      for (const headers of [{}, { 'x-tenant-id': own.id }]) {
        const path = pathOf(operation);
        const answer = await t.call('GET', path, { key: otherPortal.token, headers });
        const mismatch = 'x-tenant-id' in headers;
        const expected = mismatch ? 403 : operation.id === 'queryPortalMeter' ? 404 : 200;
        expect([operation.id, headers, answer.status]).toEqual([operation.id, headers, expected]);
        expect(JSON.stringify(answer.body)).not.toMatch(/own_meter|customer-1/);
      }
    }
  });

  it('leaves no trace on the other', async () => {
    const { rows } = await t.sql.query(
      `select (select count(*)::int from event where tenant_id = $1) as events,
              (select count(*)::int from customer where tenant_id = $1) as customers,
              (select count(*)::int from api_key where tenant_id = $1 and revoked_at is null) as keys,
              (select count(*)::int from subscription where tenant_id = $1 and active
                 and previous_secret is null) as subscriptions,
              (select threshold::int from alert_rule where tenant_id = $1) as threshold,
              (select name from customer where tenant_id = $1 and external_id = $2) as name,
              (select active from tenant where id = $1) as active,
              (select count(*)::int from delivery where tenant_id = $1 and state = 'dead') as dead`,
      [other.id, MARKER],
    );
    expect(rows).toEqual([
      {
        events: 6,
        customers: 2,
        keys: 2,
        subscriptions: 1,
        threshold: 1,
        name: MARKER,
        active: true,
        dead: 2,
      },
    ]);
  });
});
