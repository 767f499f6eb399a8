import { afterAll, beforeAll, expect, it } from 'vitest';
import { closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { isPortal, makePortalToken } from '../../support/portal.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const DAY = 86_400_000;
const iso = (ms: number) => new Date(ms).toISOString();

interface Parameter {
  name: string;
  in: string;
}

/** Every GET under /v1 and its query parameters, from the description: a new route is covered by what it declares. */
interface Route {
  path: string;
  parameters: Set<string>;
}

describeEngine('query parameters', () => {
  let t: TestService;
  let key: string;
  let token: string;
  let routes: Route[];
  beforeAll(async () => {
    t = await startTestService();
    ({ key } = await t.tenant());
    const { body } = await t.call('GET', '/openapi.json', { key: null });
    routes = Object.entries<{ get?: { parameters?: Parameter[] } }>(body.paths)
      .filter(([path, { get }]) => path.startsWith('/v1/') && !path.includes('{') && get)
      .map(([path, { get }]) => ({
        path,
        parameters: new Set(get!.parameters?.filter((p) => p.in === 'query').map(({ name }) => name)),
      }));
    for (let i = 0; i < 3; i++) {
      const event = anEvent({ customerId: `customer-${i}`, timestamp: iso(Date.now() - i * DAY) });
      const record = { ...anEvent({ customerId: 'r' }), eventType: 'positive', value: '1' };
      await t.call('POST', '/v1/events', { key, body: [event, record] });
      await t.call('POST', '/v1/counters/increment', { key, body: { key: `counter-${i}`, value: 1 } });
      const subscription = { stream: `stream-${i}`, messageTypes: ['window.closed'] };
      await t.call('POST', '/v1/subscriptions', { key, body: subscription });
      const rule = { kind: 'event', field: 'value', threshold: i };
      await t.call('POST', '/v1/alert-rules', { key, body: rule });
      const meter = { slug: `meter_${i}`, eventType: 'api.request', aggregation: 'count' };
      await t.call('POST', '/v1/meters', { key, body: meter });
      const price = { model: `model-${i}`, currency: 'USD', unitPrices: { call: 1 } };
      await t.call('POST', '/v1/prices', { key, body: price });
      const range = { from: iso(Date.now() - i * DAY), to: iso(Date.now() - i * DAY + 1) };
      await t.call('POST', '/v1/backfills', { key, body: { ...range, reason: 'why' } });
      await t.tenant();
      await t.call('POST', '/v1/keys', { key, body: { scopes: ['read'] } });
      const earlier = anEvent({ customerId: 'portal', timestamp: iso(Date.now() - i * DAY) });
      await t.call('POST', '/v1/events', { key, body: earlier });
      ({ token } = await makePortalToken(t, key, { customerId: 'portal', costs: true }));
    }
    // What has come in before a window closes is settled, and among the changes.
    const settled = (await closedUntil(t.sql)) + 30_000;
    await until(async () => {
      await closeUpTo(t.sql, settled);
      return (await closedUntil(t.sql)) >= settled;
    });
  });
  afterAll(() => t.stop());

  const keyFor = (path: string) => (isPortal({ path }) ? token : path === '/v1/tenants' ? undefined : key);
  const get = (path: string, query: Record<string, string>, headers: Record<string, string> = {}) => {
    const options = { headers, ...(keyFor(path) && { key: keyFor(path)! }) };
    return t.call('GET', `${path}?${new URLSearchParams(query)}`, options);
  };

  /** Asks every route that has the parameters. */
  const expectOfAll = async (query: Record<string, string>, code: string) => {
    const asked = routes.filter(({ parameters }) => Object.keys(query).every((name) => parameters.has(name)));
    expect(asked).not.toHaveLength(0);
    for (const { path } of asked) {
      const answer = await get(path, query);
      expect([path, query, answer.status, answer.body.code]).toEqual([path, query, 400, code]);
    }
  };

  it('finds the routes', () => {
    const paths = routes.map(({ path }) => path);
    for (const name of ['events', 'windows', 'usage', 'live', 'customers', 'keys', 'tenants']) {
      expect(paths).toContain(`/v1/${name}`);
    }
  });

  it('answers each without any', async () => {
    for (const { path } of routes) expect([path, (await get(path, {})).status]).toEqual([path, 200]);
  });

  it('unknown ones are refused, also misspelt, and everywhere', async () => {
    for (const { path } of routes) {
      for (const name of ['nonsense', 'Limit', 'customer_id', '__proto__']) {
        const answer = await get(path, { [name]: '1' });
        expect([path, name, answer.status, answer.body.code]).toEqual([path, name, 400, 'invalid_request']);
      }
    }
  });

  it.each([
    '',
    'yesterday',
    '2026-11-21',
    '2026-11-21T10:00:00',
    '2026-02-30T00:00:00Z',
    '2026-11-21T24:00:01Z',
    '17000000',
    '0001-01-01T00:00:00Z',
    '1969-12-31T23:59:59Z',
    '9999-12-31T00:00:00Z',
    '2026-11-21T10:00:00Z\0',
  ])('from and to cannot be "%s"', async (time) => {
    await expectOfAll({ from: time }, 'range_invalid');
    await expectOfAll({ to: time }, 'range_invalid');
  });

  it('from must be before to', async () => {
    const now = Date.now();
    await expectOfAll({ from: iso(now), to: iso(now) }, 'range_invalid');
    await expectOfAll({ from: iso(now + 1), to: iso(now) }, 'range_invalid');
    await expectOfAll({ from: iso(now + 20 * 60_000) }, 'range_invalid');
    await expectOfAll({ from: 'x'.repeat(65) }, 'invalid_request');
  });

  it('a range has its longest', async () => {
    const to = Date.UTC(2026, 0, 1);
    const longest: [string, number, Record<string, string>?][] = [
      ['/v1/events', 31 * DAY],
      ['/v1/windows', 31 * DAY],
      ['/v1/records', 366 * DAY],
      ['/v1/summaries/hourly', 366 * DAY],
      ['/v1/summaries/daily', 3_660 * DAY],
      ['/v1/usage', 10_000 * 3_600_000],
      ['/v1/usage', 10_000 * 30_000, { granularity: '30s' }],
      ['/v1/usage', 10_000 * 900_000, { granularity: '15m' }],
      ['/v1/usage', 3_660 * DAY, { granularity: '1d', timezone: 'Asia/Kathmandu' }],
      ['/v1/usage', 3_660 * DAY, { granularity: '1mo', timezone: 'America/St_Johns' }],
      ['/v1/usage/top', 3_660 * DAY],
    ];
    for (const [path, length, query] of longest) {
      const answer = await get(path, { ...query, from: iso(to - length), to: iso(to) });
      expect([path, answer.status]).toEqual([path, 200]);
      const tooLong = await get(path, { ...query, from: iso(to - length - 1), to: iso(to) });
      expect([path, tooLong.status, tooLong.body.code]).toEqual([path, 400, 'range_too_large']);
    }
    await expectOfAll({ from: '1970-01-01T00:00:00Z', to: '9998-12-31T00:00:00Z' }, 'range_too_large');
  });

  it.each(['', '0', '-1', '1.5', 'ten', 'NaN', 'Infinity', '1e9', '10001', '9007199254740993', '1\0'])(
    'limit cannot be "%s"',
    async (limit) => {
      await expectOfAll({ limit }, 'invalid_request');
    },
  );

  it('a parameter given twice is refused', async () => {
    for (const { path, parameters } of routes) {
      for (const name of parameters) {
        const answer = await t.call('GET', `${path}?${name}=1&${name}=1`, {
          ...(keyFor(path) && { key: keyFor(path)! }),
        });
        expect([path, name, answer.status]).toEqual([path, name, 400]);
      }
    }
  });

  it('texts have their bounds, and no NUL', async () => {
    const texts = {
      customerId: 256,
      eventType: 256,
      reference: 256,
      endpoint: 1_024,
      model: 256,
      tenantId: 256,
      action: 64,
    };
    for (const [name, max] of Object.entries(texts)) {
      for (const value of ['', 'x'.repeat(max + 1), '\0', 'a\0b']) {
        await expectOfAll({ [name]: value }, 'invalid_request');
      }
      for (const { path } of routes.filter(({ parameters }) => parameters.has(name) && name !== 'tenantId')) {
        for (const value of ['x'.repeat(max), '客'.repeat(max / 4), `' or 1=1 --`, '\\', '%', '\u0001']) {
          expect([path, name, (await get(path, { [name]: value })).status]).toEqual([path, name, 200]);
        }
      }
    }
  });

  it.each([
    ['granularity', ['', '2h', '1H', '30S', '1', '1month', '__proto__'], 'granularity_invalid'],
    [
      'timezone',
      [
        '',
        'Nowhere',
        'Europe/Atlantis',
        '+02:00',
        '-05',
        'IST',
        'CEST',
        `UTC'`,
        'Europe/Berlin\0',
        '..',
        '/',
      ],
      'timezone_invalid',
    ],
    ['timezone', ['x'.repeat(65)], 'invalid_request'],
    [
      'groupBy',
      [
        ',',
        'customer,',
        'customer,customer',
        'customerId',
        'customer;model',
        'constructor',
        'value',
        'x'.repeat(65),
      ],
      'invalid_request',
    ],
  ])('%s: none of %j', async (name, values, code) => {
    for (const value of values) await expectOfAll({ [name]: value }, code);
  });

  it('a timezone that the database does not know is refused like one that nobody knows', async () => {
    await expectOfAll({ timezone: 'US/Pacific-New', granularity: '1d' }, 'timezone_invalid');
  });

  it('takes every known timezone that starts with a region', async () => {
    const zones = Intl.supportedValuesOf('timeZone').filter((_, i) => i % 10 === 0);
    for (const timezone of ['UTC', 'GMT', 'utc', 'Etc/GMT+12', 'america/Argentina/ushuaia', ...zones]) {
      const answer = await get('/v1/usage', { timezone, granularity: '1d' });
      expect([timezone, answer.status]).toEqual([timezone, 200]);
    }
  });

  it('a cursor must be one that the list has returned', async () => {
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const garbage = ['', 'x', '????', '\0', encode(null), encode(1), encode('x'), encode({}), encode([])];
    for (const cursor of garbage) await expectOfAll({ cursor }, 'cursor_invalid');
    await expectOfAll({ cursor: 'x'.repeat(14_001) }, 'invalid_request');
  });

  it('a cursor of the right list with a changed position is refused or harmless', async () => {
    const replacements = [
      null,
      true,
      {},
      [],
      '',
      'abc',
      'a\0b',
      '\ud800',
      `') or true --`,
      0,
      -1,
      1.5,
      1e15,
      8.64e15,
      9.3e18,
      -8.64e18,
      1e300,
      '00000000-0000-0000-0000-000000000000',
    ];
    for (const { path, parameters } of routes.filter((route) => route.parameters.has('cursor'))) {
      const groupBy = isPortal({ path }) ? 'endpoint,model,eventType' : 'customer,endpoint,model,eventType';
      const query = {
        limit: '1',
        ...(parameters.has('from') && { from: iso(Date.now() - 5 * DAY) }),
        ...(parameters.has('groupBy') && { groupBy, granularity: '1d' }),
      };
      const { body } = await get(path, query);
      expect([path, body.nextCursor]).toEqual([path, expect.any(String)]);
      const at = body.nextCursor.lastIndexOf('.') + 1; // of changes, behind the moments that they are between
      const moments = body.nextCursor.slice(0, at);
      const parts = JSON.parse(Buffer.from(body.nextCursor.slice(at), 'base64url').toString());
      for (const [i] of parts.entries()) {
        for (const replacement of replacements) {
          const changed = Buffer.from(JSON.stringify(parts.with(i, replacement))).toString('base64url');
          const answer = await get(path, { ...query, cursor: moments + changed });
          const outcome = answer.status === 200 ? 'a page' : answer.body.code;
          expect([path, i, replacement, outcome]).toEqual([
            path,
            i,
            replacement,
            expect.stringMatching(/^(a page|cursor_invalid)$/),
          ]);
        }
      }
      for (const changed of [parts.slice(0, -1), [...parts, 'x'], [...parts, 1]]) {
        const cursor = Buffer.from(JSON.stringify(changed)).toString('base64url');
        expect((await get(path, { ...query, cursor: moments + cursor })).body.code).toBe('cursor_invalid');
      }
    }
  });

  it('a cursor of another list, or of the same list in another order, is refused', async () => {
    const lists: [string, Record<string, string>][] = [
      ...routes
        .filter(({ parameters }) => parameters.has('cursor') && !parameters.has('groupBy'))
        .map(({ path }): [string, Record<string, string>] => [path, {}]),
      ['/v1/usage', { granularity: '1d' }],
      ['/v1/usage', { granularity: '1h' }],
      ['/v1/usage', { granularity: '1d', groupBy: 'customer' }],
      ['/v1/usage', { granularity: '1d', groupBy: 'endpoint' }],
      ['/v1/usage', { granularity: '1d', groupBy: 'model,endpoint' }],
      ['/v1/usage', { granularity: '1d', groupBy: 'endpoint,model' }],
    ];
    const from = { from: iso(Date.now() - 5 * DAY) };
    const cursors = await Promise.all(
      lists.map(async ([path, query]) => {
        const range = routes.some((route) => route.path === path && route.parameters.has('from')) ? from : {};
        return (await get(path, { ...query, ...range, limit: '1' })).body.nextCursor as string;
      }),
    );
    for (const [i, cursor] of cursors.entries()) {
      expect([lists[i], cursor]).toEqual([lists[i], expect.any(String)]);
      for (const [j, [path, query]] of lists.entries()) {
        const answer = await get(path, { ...query, cursor });
        expect([lists[i], path, answer.status]).toEqual([lists[i], path, i === j ? 200 : 400]);
        if (i !== j) expect(answer.body.code).toBe('cursor_invalid');
      }
    }
  });

  it('the longest cursor that is handed out is taken back', async () => {
    const { key } = await t.tenant();
    const long = (length: number) => `${'\u0001'.repeat(length - 1)}`;
    const body = ['a', 'b'].map((last) => ({
      ...anEvent({ customerId: long(256) + last, apiEndpoint: long(1_024) + last }),
      eventType: long(128) + last,
      metadata: { model: long(256) + last },
    }));
    expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    for (const path of [
      '/v1/usage?groupBy=customer,endpoint,model,eventType',
      '/v1/windows?',
      '/v1/customers?',
    ]) {
      const first = await t.call('GET', `${path}&limit=1`, { key });
      const second = await t.call('GET', `${path}&limit=1&cursor=${first.body.nextCursor}`, { key });
      expect([path, second.status, second.body.data?.length]).toEqual([path, 200, 1]);
    }
  });

  it('CSV has the same refusals', async () => {
    const answer = await get('/v1/usage', { granularity: '2h' }, { accept: 'text/csv' });
    expect(answer.body).toMatchObject({ status: 400, code: 'granularity_invalid' });
  });
});

describeEngine('bodies and paths of the administration', () => {
  let t: TestService;
  let id: string;
  beforeAll(async () => {
    t = await startTestService();
    ({ id } = await t.tenant());
  });
  afterAll(() => t.stop());

  const bodies = (): [string, string, unknown][] => [
    ['POST', '/v1/tenants', { id: 'new', name: 'New' }],
    ['PATCH', `/v1/tenants/${id}`, { name: 'Other' }],
    ['POST', '/v1/keys', { tenantId: id, scopes: ['read'] }],
    ['PATCH', '/v1/customers/customer-1', { name: 'Other' }],
  ];

  it('what is not JSON, not an object, too large or of another type', async () => {
    const headers = { 'x-tenant-id': id };
    for (const [method, path, valid] of bodies()) {
      const send = (body: unknown, more = {}) =>
        t.call(method, path, { body, headers: { ...headers, ...more } });
      const codes = [
        await send('{'),
        await send(''),
        await send('null'),
        await send('[]'),
        await send({ ...(valid as object), unheardOf: 1 }),
        await send(JSON.stringify(valid).replace('{', '{"__proto__":{},')),
        await send(JSON.stringify(valid), { 'content-type': 'text/plain' }),
        await send(JSON.stringify(valid) + ' '.repeat(65_536)),
      ].map(({ status, body }) => `${status} ${body.code}`);
      expect([path, ...codes]).toEqual([
        path,
        '400 invalid_json',
        '400 invalid_json',
        '400 invalid_request',
        '400 invalid_request',
        '400 invalid_request',
        '400 invalid_request',
        '415 unsupported_media_type',
        '413 body_too_large',
      ]);
    }
    const { rows } = await t.sql.query(`select count(*)::int as n from tenant where id = 'new'`);
    expect(rows[0].n).toBe(0);
  });

  it.each([
    ['POST', '/v1/tenants', { id: '', name: 'x' }, '/id'],
    ['POST', '/v1/tenants', { id: 'x'.repeat(257), name: 'x' }, '/id'],
    ['POST', '/v1/tenants', { id: 'a\0', name: 'x' }, '/id'],
    ['POST', '/v1/tenants', { id: '\ud800', name: 'x' }, '/id'],
    ['POST', '/v1/tenants', { id: 5, name: 'x' }, '/id'],
    ['POST', '/v1/tenants', { id: 'x' }, '/name'],
    ['POST', '/v1/tenants', { id: 'x', name: '\0' }, '/name'],
    ['PATCH', '/v1/tenants/x', { active: 'no' }, '/active'],
    ['PATCH', '/v1/tenants/x', { name: null }, '/name'],
    ['PATCH', '/v1/tenants/%00', { name: 'x' }, '/id'],
    ['PATCH', `/v1/tenants/${'x'.repeat(257)}`, { name: 'x' }, '/id'],
    ['POST', '/v1/keys', { tenantId: 'x', scopes: [] }, '/scopes'],
    ['POST', '/v1/keys', { tenantId: 'x', scopes: ['root'] }, '/scopes/0'],
    ['POST', '/v1/keys', { tenantId: 'x', scopes: 'read' }, '/scopes'],
    ['POST', '/v1/keys', { tenantId: 'x', scopes: ['read', 'read', 'read', 'read', 'read'] }, '/scopes'],
    ['POST', '/v1/keys', { tenantId: '', scopes: ['read'] }, '/tenantId'],
    ['POST', '/v1/keys', { tenantId: 'x', scopes: ['read'], expiresAt: 'soon' }, '/expiresAt'],
    [
      'POST',
      '/v1/keys',
      { tenantId: 'x', scopes: ['read'], expiresAt: '2099-02-30T00:00:00Z' },
      '/expiresAt',
    ],
    ['POST', '/v1/keys', { tenantId: 'x', scopes: ['read'], expiresAt: 40_000_000 }, '/expiresAt'],
    ['DELETE', '/v1/keys/nope', undefined, '/id'],
    ['DELETE', '/v1/keys/%00', undefined, '/id'],
    ['PATCH', '/v1/customers/%00', { name: 'x' }, '/id'],
    ['PATCH', '/v1/customers/x', { name: '' }, '/name'],
    ['PATCH', '/v1/customers/x', { name: '\0' }, '/name'],
    ['PATCH', '/v1/customers/x', {}, '/name'],
  ])('%s %s %j is refused at its fault', async (method, path, body, pointer) => {
    const answer = await t.call(method, path, { body, headers: { 'x-tenant-id': id } });
    expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(answer.body.errors[0].pointer).toBe(pointer);
  });

  it('an expiry in the past', async () => {
    const body = { tenantId: id, scopes: ['read'], expiresAt: '2020-01-01T00:00:00Z' };
    expect((await t.call('POST', '/v1/keys', { body })).body).toMatchObject({ code: 'invalid_request' });
  });

  it('paths that lead nowhere', async () => {
    for (const [method, path] of [
      ['GET', '/v1/nothing'],
      ['GET', '/nothing'],
      ['GET', '/v1/events/'],
      ['GET', '/docs/package.json'],
      ['GET', '/docs/..%2fpackage.json'],
    ]) {
      const answer = await t.call(method!, path!);
      expect([path, answer.status, answer.body.code]).toEqual([path, 404, 'not_found']);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
    }
  });

  it.each(['__proto__', 'constructor', 'toString', '..%2fpackage.json', 'package.json', '%00', ''])(
    'an asset that is none: %s',
    async (name) => {
      const { status, body } = await t.call('GET', `/docs/assets/${name}`, { key: null });
      expect([status, body.code]).toEqual([404, 'not_found']);
    },
  );

  it('methods that a path does not have', async () => {
    for (const [method, path, allow] of [
      ['PUT', '/v1/events', 'POST, GET'],
      ['DELETE', '/v1/windows', 'GET'],
      ['POST', '/v1/customers/somebody', 'GET, PATCH'],
      ['PUT', '/v1/customers/%ff', 'GET, PATCH'],
      ['POST', '/healthz', 'GET'],
    ]) {
      const answer = await t.call(method!, path!);
      expect([path, answer.status, answer.body.code]).toEqual([path, 405, 'method_not_allowed']);
      expect(answer.headers.get('allow')).toBe(allow);
    }
  });
});
