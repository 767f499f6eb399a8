import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';

const TIME = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
const HOUR = 3_600_000;

describeEngine('meters over HTTP', () => {
  let t: TestService;
  let tenantId: string;
  let key: string;
  beforeAll(async () => {
    t = await startTestService({ METERS_PER_TENANT: '3' });
  });
  afterAll(() => t.stop());
  beforeEach(async () => {
    ({ id: tenantId, key } = await t.tenant());
  });

  const send = (method: string, path: string, body?: unknown, own = key) =>
    t.call(method, `/v1/meters${path}`, { key: own, body });
  const make = async (body: object) => {
    const answer = await send('POST', '', body);
    expect([answer.status, answer.body]).toEqual([201, answer.body]);
    return answer.body;
  };
  /** Events of one minute, a second apart, an hour ago: the same one however long the tests take. */
  const minute = Math.floor((Date.now() - HOUR) / 60_000) * 60_000;
  const at = (second: number) => new Date(minute + second * 1_000);
  const post = async (metadata: (object | string)[], more: object = {}) => {
    const events = metadata.map((data, i) => {
      const event = {
        eventId: randomUUID(),
        timestamp: at(i).toISOString(),
        customerId: i % 2 ? 'b' : 'a',
        eventType: 'egress',
        ...more,
      };
      const text = typeof data === 'string' ? data : JSON.stringify(data);
      return `${JSON.stringify(event).slice(0, -1)},"metadata":${text}}`;
    });
    const answer = await t.call('POST', '/v1/events', { key, body: `[${events.join()}]` });
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
  };
  const egress = { slug: 'egress_gb', eventType: 'egress', aggregation: 'sum', value: '$.gb' };

  it('are made, read, changed and archived, and the audit log has it', async () => {
    const filter = [
      { path: '$.ok', equals: true },
      { path: '$.n', greaterThan: '12345678901234567890.5' },
    ];
    const made = await make({
      ...egress,
      name: 'Egress',
      description: 'what leaves',
      eventFrom: '2026-01-02T03:04:05.123456+02:00',
      dimensions: { region: '$.region' },
      filter,
    });
    const meter = {
      id: made.id,
      tenantId,
      ...egress,
      name: 'Egress',
      description: 'what leaves',
      eventFrom: '2026-01-02T01:04:05.123456Z',
      dimensions: { region: '$.region' },
      filter,
      fill: made.fill,
      createdAt: TIME,
      updatedAt: TIME,
      archivedAt: null,
    };
    expect(made).toEqual(meter);
    expect(made.fill).toMatchObject({
      state: expect.stringMatching(/^(filling|complete)$/),
      eventsKeptFrom: null,
    });
    const plain = await make({ slug: 'calls', eventType: 'egress', aggregation: 'count' });
    expect(plain).toMatchObject({
      name: 'calls',
      description: null,
      value: null,
      dimensions: {},
      filter: [],
    });
    expect(plain.eventFrom).toBeNull();

    for (const name of ['egress_gb', made.id, made.id.toUpperCase()]) {
      const { body } = await send('GET', `/${name}`);
      expect(body).toEqual({
        ...meter,
        fill: expect.anything(),
        ignored: { missing: 0, null: 0, notANumber: 0, outOfRange: 0 },
      });
    }
    expect((await send('GET', '')).body.data.map(({ slug }: { slug: string }) => slug)).toEqual([
      'egress_gb',
      'calls',
    ]);

    const changes = { name: 'GB', description: null, dimensions: { zone: '$.zone', region: "$['region']" } };
    const changed = await send('PATCH', '/egress_gb', changes);
    expect([changed.status, changed.body]).toMatchObject([
      200,
      { id: made.id, name: 'GB', description: null, aggregation: 'sum' },
    ]);
    expect(changed.body.dimensions).toEqual({ region: "$['region']", zone: '$.zone' });
    expect((await send('PATCH', `/${made.id}`, {})).body).toMatchObject({ name: 'GB' });

    expect((await send('DELETE', '/egress_gb')).status).toBe(204);
    for (const [method, path] of [
      ['GET', '/egress_gb'],
      ['GET', '/egress_gb/query'],
      ['GET', `/${made.id}/query`],
      ['DELETE', '/egress_gb'],
      ['DELETE', `/${made.id}`],
      ['PATCH', `/${made.id}`],
    ] as const) {
      const answer = await send(method, path, method === 'PATCH' ? {} : undefined);
      expect([method, path, answer.status, answer.body.code]).toEqual([method, path, 404, 'not_found']);
    }
    expect((await send('GET', `/${made.id}`)).body.archivedAt).toEqual(TIME);
    expect((await send('GET', '')).body.data).toHaveLength(1);
    expect((await send('GET', '?archived=true')).body.data).toHaveLength(2);
    await make({ ...egress, aggregation: 'max' }); // the slug is free

    const log = (await t.call('GET', `/v1/audit-log?tenantId=${tenantId}`)).body.data;
    const actions = log.filter(({ action }: { action: string }) => action.startsWith('meter.'));
    expect(actions.map(({ action }: { action: string }) => action)).toEqual([
      'meter.created',
      'meter.archived',
      'meter.updated',
      'meter.created',
      'meter.created',
    ]);
    expect(actions[2]).toMatchObject({
      target: made.id,
      actor: { kind: 'key', tenantId },
      changes: { before: { name: 'Egress', dimensions: { region: '$.region' } }, after: { name: 'GB' } },
    });
    expect(JSON.stringify(actions[4].changes.after.eventFrom)).toBe('"2026-01-02T01:04:05.123456Z"');
  });

  it('answers at once, for what came before and after it was made, with every digit', async () => {
    await post([{ gb: '0.1' }, { gb: 0.2 }, '{"gb": 12345678901234567890.123456789}', { gb: 'much' }, {}]);
    await make(egress);
    await post([{ gb: '0.000000000000000001' }, { gb: null }]);
    const row = {
      value: '12345678901234567890.423456789000000001',
      events: 7,
      ignored: 3,
      state: expect.any(String),
      revision: expect.any(Number),
    };
    const path = `/egress_gb/query?from=${at(-60).toISOString()}&to=${at(120).toISOString()}`;
    const text = await t.service.app.request(`/v1/meters${path}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    expect(await text.text()).toContain('"number":12345678901234567890.423456789000000001,');
    expect((await send('GET', path)).body).toEqual({
      data: [
        {
          ...row,
          number: Number(row.value),
          windowStart: at(-60).toISOString(),
          windowEnd: at(120).toISOString(),
        },
      ],
      nextCursor: null,
    });
    const empty = await send('GET', `/egress_gb/query?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z`);
    expect(empty.body).toEqual({ data: [], nextCursor: null });
  });

  it('is grouped, filtered and paged, as JSON and as CSV', async () => {
    await make({ ...egress, dimensions: { region: '$.region', plan: '$.plan' } });
    await post([
      { gb: 1, region: 'eu', plan: '=1+1' },
      { gb: 2, region: 'us' },
      { gb: 4, region: 'eu', plan: '' },
      { gb: 8, region: null },
      { gb: 'none', region: 'ap' },
    ]);
    const range = `from=${at(0).toISOString()}&to=${at(60).toISOString()}`;
    const rows = async (query: string) =>
      (await send('GET', `/egress_gb/query?${range}&${query}`)).body.data.map(
        ({ customerId, dimensions, value }: { customerId?: string; dimensions?: object; value: string }) => ({
          ...(customerId !== undefined && { customerId }),
          ...dimensions,
          value,
        }),
      );
    expect(await rows('groupBy=region')).toEqual([
      { region: null, value: '8' },
      { region: 'ap', value: null },
      { region: 'eu', value: '5' },
      { region: 'us', value: '2' },
    ]);
    expect(await rows('groupBy=plan,customer')).toEqual([
      { plan: null, customerId: 'a', value: null },
      { plan: null, customerId: 'b', value: '10' },
      { plan: '', customerId: 'a', value: '4' },
      { plan: '=1+1', customerId: 'a', value: '1' },
    ]);
    expect(await rows('filter[region]=eu&filter[region]=us')).toEqual([{ value: '7' }]);
    expect(await rows('filter[region]=eu&without=region')).toEqual([{ value: '13' }]);
    expect(await rows('without=region,plan')).toEqual([{ value: '8' }]);
    expect(await rows('filter[plan]=')).toEqual([{ value: '4' }]);
    expect(await rows('customerId=b')).toEqual([{ value: '10' }]);
    expect(await rows('customerId=b&customerId=a&groupBy=customer')).toEqual([
      { customerId: 'a', value: '5' },
      { customerId: 'b', value: '10' },
    ]);

    const pages = [];
    let cursor = '';
    do {
      const path = `/egress_gb/query?${range}&granularity=30s&groupBy=region,customer&limit=2${cursor}`;
      const { body } = await send('GET', path);
      pages.push(body.data.length);
      cursor = body.nextCursor === null ? '' : `&cursor=${encodeURIComponent(body.nextCursor)}`;
    } while (cursor !== '');
    expect(pages).toEqual([2, 2]);

    const headers = { accept: 'text/csv' };
    const csv = await t.call('GET', `/v1/meters/egress_gb/query?${range}&groupBy=customer,plan&limit=2`, {
      key,
      headers,
    });
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    const lines = csv.body.split('\r\n');
    expect(lines[0]).toBe('windowStart,windowEnd,customerId,plan,value,events,ignored,state,revision');
    expect(lines[1]).toMatch(/^[^,]*,[^,]*,a,,,1,1,revised,\d+$/);
    expect(lines[2]).toMatch(/^[^,]*,[^,]*,a,,4,1,0,revised,\d+$/);
    const next = encodeURIComponent(csv.headers.get('x-next-cursor')!);
    const rest = await t.call(
      'GET',
      `/v1/meters/egress_gb/query?${range}&groupBy=customer,plan&limit=2&cursor=${next}`,
      {
        key,
        headers,
      },
    );
    expect(rest.body.split('\r\n')[1]).toContain(`,a,'=1+1,1,`);
    expect(rest.headers.get('x-next-cursor')).toBeNull();

    const values = await send('GET', `/egress_gb/values/region?${range}&limit=3`);
    expect(values.body.data).toEqual([
      { value: null, events: 1 },
      { value: 'ap', events: 1 },
      { value: 'eu', events: 2 },
    ]);
    const last = await send(
      'GET',
      `/egress_gb/values/region?${range}&limit=3&cursor=${encodeURIComponent(values.body.nextCursor)}`,
    );
    expect(last.body).toEqual({ data: [{ value: 'us', events: 1 }], nextCursor: null });
    expect((await send('GET', `/egress_gb/values/nothing?${range}`)).body.code).toBe('not_found');
  });

  it('goes on behind values of any length and alphabet', async () => {
    await make({ ...egress, dimensions: Object.fromEntries([...'abcdefghij'].map((d) => [d, `$.${d}`])) });
    const value = (i: number) => '\u0001客'.repeat(150) + String(i).padStart(2, '0');
    await post(
      Array.from({ length: 9 }, (_, i) => ({
        gb: i,
        ...Object.fromEntries([...'abcdefghij'].map((d) => [d, value(i)])),
      })),
    );
    const found: string[] = [];
    let cursor = '';
    do {
      const range = `from=${at(0).toISOString()}&to=${at(60).toISOString()}`;
      const path = `/egress_gb/query?${range}&groupBy=a,b,c,d,e,f,g,h,i,j,customer&limit=2${cursor}`;
      const { status, body } = await send('GET', path);
      expect(status).toBe(200);
      found.push(...body.data.map((row: { value: string }) => row.value));
      cursor = body.nextCursor === null ? '' : `&cursor=${encodeURIComponent(body.nextCursor)}`;
    } while (cursor !== '');
    expect(found.sort()).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8']);
  });

  it('a preview says what it would make of the last events, and makes nothing', async () => {
    await post([{ gb: 1, region: 'eu' }, { gb: '2.5' }, { gb: 'x' }, {}, { gb: null }, { gb: 5, ok: false }]);
    const definition = {
      ...egress,
      dimensions: { region: '$.region' },
      filter: [{ path: '$.ok', exists: false }],
    };
    const { status, body } = await send('POST', '/preview', { definition });
    expect([status, body.counted, body.ignored, body.value]).toEqual([
      200,
      2,
      { not_a_number: 1, missing: 1, null: 1, filtered: 1 },
      '3.5',
    ]);
    expect(body.results.map(({ verdict, reason }: Record<string, string>) => reason ?? verdict)).toEqual([
      'filtered',
      'null',
      'missing',
      'not_a_number',
      'counted',
      'counted',
    ]);
    expect(body.results.at(-1)).toEqual({
      eventId: expect.any(String),
      timestamp: at(0).toISOString(),
      customerId: 'a',
      verdict: 'counted',
      value: '1',
      dimensions: { region: 'eu' },
    });
    const values: Record<string, string | null> = {};
    for (const aggregation of ['count', 'avg', 'min', 'max', 'latest', 'uniqueCount']) {
      const { value, ...others } = definition;
      const tried = { ...others, aggregation, ...(aggregation !== 'count' && { value }) };
      values[aggregation] = (await send('POST', '/preview', { definition: tried, events: 6 })).body.value;
    }
    expect(values).toEqual({
      count: '5',
      avg: '1.75',
      min: '1',
      max: '2.5',
      latest: '2.5',
      uniqueCount: '3',
    });
    const none = await send('POST', '/preview', { definition: { ...egress, eventType: 'nothing' } });
    expect(none.body).toEqual({ counted: 0, ignored: {}, results: [], value: null });
    expect((await send('GET', '')).body.data).toEqual([]);
  });

  it('tells beside each event what it is to each meter', async () => {
    await make({ ...egress, dimensions: { region: '$.region' } });
    await make({ slug: 'regions', eventType: 'egress', aggregation: 'uniqueCount', value: '$.region' });
    await make({ slug: 'others', eventType: 'other', aggregation: 'count' });
    await post([
      { gb: '1.50', region: 'eu' },
      { gb: true, region: [] },
    ]);
    const { body } = await t.call('GET', '/v1/events?meters=true', { key });
    expect(body.data.map(({ meters }: { meters: object[] }) => meters)).toEqual([
      [
        { slug: 'egress_gb', verdict: 'ignored', reason: 'not_a_number', dimensions: { region: null } },
        { slug: 'regions', verdict: 'ignored', reason: 'not_a_scalar' },
      ],
      [
        { slug: 'egress_gb', verdict: 'counted', value: '1.5', dimensions: { region: 'eu' } },
        { slug: 'regions', verdict: 'counted', value: 'eu' },
      ],
    ]);
    expect((await t.call('GET', '/v1/events', { key })).body.data[0]).not.toHaveProperty('meters');
  });

  it('counts what it ignores, by reason, as far as it is summed up', async () => {
    await make(egress);
    await post([{ gb: 1 }, {}, {}, { gb: null }, { gb: 'x' }, { gb: [] }, { gb: '1e99' }]);
    await until(async () => (await send('GET', '/egress_gb')).body.fill.state === 'complete');
    const ignored = { missing: 2, null: 1, notANumber: 2, outOfRange: 1 };
    expect((await send('GET', '/egress_gb')).body.ignored).toEqual(ignored);
    await post([{ gb: {} }]);
    expect((await send('GET', '/egress_gb')).body.ignored).toEqual({ ...ignored, notANumber: 3 });
  });

  it('needs the scope admin to be changed, and read to be read', async () => {
    await make(egress);
    const reader = (await createKey(t.sql, { tenantId, scopes: ['read'] })).key;
    const ingester = (await createKey(t.sql, { tenantId, scopes: ['ingest'] })).key;
    const admin = (await createKey(t.sql, { tenantId, scopes: ['admin'] })).key;
    const changes: [string, string, unknown][] = [
      ['POST', '', { ...egress, slug: 'other' }],
      ['PATCH', '/egress_gb', { name: 'x' }],
      ['DELETE', '/egress_gb', undefined],
    ];
    for (const [method, path, body] of changes) {
      for (const own of [reader, ingester]) {
        expect((await send(method, path, body, own)).body.code).toBe('scope_missing');
      }
    }
    const reads: [string, string, unknown][] = [
      ['GET', '', undefined],
      ['GET', '/egress_gb', undefined],
      ['GET', '/egress_gb/query', undefined],
      ['GET', '/egress_gb/values/customer', undefined],
      ['POST', '/preview', { definition: egress }],
    ];
    for (const [method, path, body] of reads) {
      expect([method, path, (await send(method, path, body, reader)).status]).toEqual([method, path, 200]);
      for (const own of [ingester, admin]) {
        expect((await send(method, path, body, own)).body.code).toBe('scope_missing');
      }
    }
  });

  it('a slug that is there, and more than there may be, are refused', async () => {
    await make(egress);
    const again = await send('POST', '', { ...egress, aggregation: 'max' });
    expect([again.status, again.body.code]).toEqual([409, 'meter_exists']);
    await make({ ...egress, slug: 'second' });
    const third = await make({ ...egress, slug: 'third' });
    const fourth = await send('POST', '', { ...egress, slug: 'fourth' });
    expect([fourth.status, fourth.body.code]).toEqual([409, 'limit_reached']);
    await send('DELETE', `/${third.id}`);
    await make({ ...egress, slug: 'fourth' });
    const { rows } = await t.sql.query('select count(*)::int as n from meter_series where tenant_id = $1', [
      tenantId,
    ]);
    expect(rows[0].n).toBe(1); // what is asked for the same is kept once
  });

  it.each<[string, object | string | number | null, [pointer: string, code: string][]]>([
    ['no object', [], [['', 'type_invalid']]],
    [
      'nothing',
      {},
      [
        ['/slug', 'required'],
        ['/eventType', 'required'],
        ['/aggregation', 'required'],
      ],
    ],
    ['another slug', { slug: 'Egress GB' }, [['/slug', 'slug_invalid']]],
    ['a double underscore', { slug: 'a__b' }, [['/slug', 'slug_invalid']]],
    ['a long slug', { slug: 'a'.repeat(65) }, [['/slug', 'too_long']]],
    ['an empty name', { name: '' }, [['/name', 'too_short']]],
    ['a long description', { description: 'x'.repeat(1_025) }, [['/description', 'too_long']]],
    ['a NUL', { name: 'a\0' }, [['/name', 'text_invalid']]],
    ['no event type', { eventType: '' }, [['/eventType', 'too_short']]],
    ['another aggregation', { aggregation: 'SUM' }, [['/aggregation', 'not_allowed']]],
    ['a value for count', { aggregation: 'count' }, [['/value', 'value_not_allowed']]],
    ['no value', { value: undefined }, [['/value', 'required']]],
    ['no path', { value: 'gb' }, [['/value', 'path_invalid']]],
    ['several values', { value: '$.items[*]' }, [['/value', 'path_invalid']]],
    ['the whole document', { value: '$' }, [['/value', 'path_invalid']]],
    ['a date', { eventFrom: '2026-01-01' }, [['/eventFrom', 'timestamp_invalid']]],
    ['a reserved name', { dimensions: { subject: '$.s' } }, [['/dimensions/subject', 'name_reserved']]],
    ['a name that is none', { dimensions: { 'a b': '$.s' } }, [['/dimensions/a b', 'name_invalid']]],
    ['the path of the value', { dimensions: { gb: "$['gb']" } }, [['/dimensions/gb', 'path_repeated']]],
    [
      'too many dimensions',
      { dimensions: Object.fromEntries([...'abcdefghijk'].map((d) => [d, `$.${d}`])) },
      [['/dimensions', 'too_many']],
    ],
    ['another member', { unit: 'GB' }, [['/unit', 'unknown_field']]],
  ])('%s is refused with code and pointer', async (_, change, faults) => {
    const isPart = !Array.isArray(change) && Object.keys(change as object).length > 0;
    const body = isPart ? { ...egress, ...(change as object) } : change;
    const answer = await send('POST', '', body);
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    const told = answer.body.errors.map(({ pointer, code }: Record<string, string>) => [pointer, code]);
    expect(told).toEqual(faults);
    const tried = await send('POST', '/preview', { definition: isPart ? body : change });
    const own = faults.filter(([pointer]) => !/^\/(slug|name|description)/.test(pointer));
    if (own.length > 0) {
      expect(tried.body.errors.map(({ pointer, code }: Record<string, string>) => [pointer, code])).toEqual(
        own.map(([pointer, code]) => [`/definition${pointer}`, code]),
      );
    }
    expect((await send('GET', '')).body.data).toEqual([]);
  });

  it.each<[string, object]>([
    ['/aggregation', { aggregation: 'max' }],
    ['/value', { value: '$.mb' }],
    ['/eventType', { eventType: 'ingress' }],
    ['/eventFrom', { eventFrom: null }],
    ['/filter', { filter: [] }],
    ['/slug', { slug: 'other' }],
    ['/dimensions/region', { dimensions: { region: '$.zone' } }],
  ])('%s cannot be changed', async (pointer, change) => {
    await make({ ...egress, dimensions: { region: '$.region' } });
    const answer = await send('PATCH', '/egress_gb', { name: 'new', ...change });
    expect([answer.status, answer.body.code, answer.body.errors]).toMatchObject([
      400,
      'invalid_request',
      [{ pointer, code: 'immutable' }],
    ]);
    expect((await send('GET', '/egress_gb')).body.name).toBe('egress_gb');
  });

  it.each<[string, string, string]>([
    ['groupBy=nothing', 'invalid_request', '/groupBy'],
    ['groupBy=region,region', 'invalid_request', '/groupBy'],
    ['groupBy=region,', 'invalid_request', '/groupBy'],
    ['groupBy=__proto__', 'invalid_request', '/groupBy'],
    ['filter[nothing]=x', 'invalid_request', '/filter'],
    ['filter[customer]=x', 'invalid_request', '/filter'],
    ['filter[__proto__]=x', 'invalid_request', '/filter'],
    ['filter[region]=%00', 'invalid_request', '/filter[region]'],
    ['without=nothing', 'invalid_request', '/without'],
    ['without=customer', 'invalid_request', '/without'],
    ['filter=x', 'invalid_request', ''],
    ['customerId=', 'invalid_request', '/customerId/0'],
    ['nonsense=1', 'invalid_request', ''],
    ['__proto__=1', 'invalid_request', ''],
    ['limit=0', 'invalid_request', '/limit'],
    ['limit=1&limit=2', 'invalid_request', '/limit'],
    ['granularity=2h', 'granularity_invalid', '/granularity'],
    ['granularity=1d&timezone=Nowhere', 'timezone_invalid', ''],
    ['timezone=Nowhere', 'timezone_invalid', ''],
    ['from=yesterday', 'range_invalid', ''],
    ['from=2026-01-01T00:00:00.000001Z&to=2026-01-01T00:00:00.000001Z', 'range_invalid', ''],
    ['from=1990-01-01T00:00:00Z', 'range_too_large', ''],
    ['granularity=30s&from=2026-01-01T00:00:00Z', 'range_too_large', ''],
    ['cursor=x', 'cursor_invalid', ''],
  ])('a query with %s is refused as %s', async (query, code, pointer) => {
    await make({ ...egress, dimensions: { region: '$.region' } });
    const answer = await send('GET', `/egress_gb/query?${query}`);
    expect([answer.status, answer.body.code]).toEqual([400, code]);
    if (pointer !== '') expect(answer.body.errors[0].pointer).toBe(pointer);
  });

  it.each([
    ['GET', '', undefined],
    ['PATCH', '', { name: 'x' }],
    ['DELETE', '', undefined],
    ['GET', '/query', undefined],
    ['GET', '/values/region', undefined],
  ])('%s of %s under a slug that nothing can have is refused', async (method, path, body) => {
    for (const slug of ['%00', 'a%00', 'a'.repeat(65), '%ED%A0%80']) {
      const answer = await send(method, `/${slug}${path}`, body);
      expect([slug, [400, 404].includes(answer.status)]).toEqual([slug, true]);
    }
  });

  it('a cursor is one of the same question', async () => {
    await make({ ...egress, dimensions: { region: '$.region' } });
    await post([
      { gb: 1, region: 'a' },
      { gb: 1, region: 'b' },
    ]);
    const range = `from=${at(0).toISOString()}&to=${at(60).toISOString()}`;
    const { body } = await send('GET', `/egress_gb/query?${range}&groupBy=region&limit=1`);
    const cursor = encodeURIComponent(body.nextCursor);
    for (const other of ['groupBy=customer', 'groupBy=region&granularity=1h', 'granularity=1d']) {
      const answer = await send('GET', `/egress_gb/query?${range}&${other}&cursor=${cursor}`);
      expect([other, answer.body.code]).toEqual([other, 'cursor_invalid']);
    }
    expect(
      (await send('GET', `/egress_gb/query?${range}&groupBy=region&cursor=${cursor}`)).body.data,
    ).toHaveLength(1);
  });

  it('a dimension that is added has values from the first event that is kept on', async () => {
    await make(egress);
    await post([
      { gb: 1, region: 'eu' },
      { gb: 2, region: 'us' },
    ]);
    expect((await send('PATCH', '/egress_gb', { dimensions: { region: '$.region' } })).status).toBe(200);
    await post([{ gb: 4, region: 'eu' }]);
    const range = `from=${at(0).toISOString()}&to=${at(60).toISOString()}`;
    const { body } = await send('GET', `/egress_gb/query?${range}&groupBy=region`);
    expect(body.data).toMatchObject([
      { dimensions: { region: 'eu' }, value: '5' },
      { dimensions: { region: 'us' }, value: '2' },
    ]);
  });

  it('tell what is kept, where nobody says from when on', async () => {
    const day = 24 * HOUR;
    const kept = Math.floor(Date.now() / day) * day - day;
    await post([{ gb: 3 }]);
    // Where a month begins that is kept whole, the range does: on its first day, what was an hour ago may be before it.
    const now = new Date();
    const month = Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), 1);
    const before = month >= kept && at(0).getTime() < month;
    await t.sql.query(`update retention set kept_from = $1 where relation = 'event'`, [new Date(kept)]);
    try {
      const counts = { ...egress, slug: 'recent', eventFrom: new Date(kept + HOUR).toISOString() };
      for (const meter of [egress, counts]) {
        const { slug } = await make(meter);
        const old = `from=${new Date(kept - day).toISOString()}`;
        for (const query of [
          '',
          'granularity=1d',
          'granularity=1mo',
          'granularity=1h&timezone=Asia/Kolkata',
        ]) {
          const { status, body } = await send('GET', `/${slug}/query?${query}`);
          expect([status, query, body.data?.map(({ value }: { value: string }) => value)]).toEqual([
            ...[200, query, before && meter === egress && query === 'granularity=1mo' ? [] : ['3']],
          ]);
        }
        const answer = await send('GET', `/${slug}/query?granularity=1d&${old}`);
        expect(answer.body.code ?? 'told').toBe(slug === 'recent' ? 'told' : 'range_not_kept');
      }
    } finally {
      await t.sql.query(`update retention set kept_from = '-infinity' where relation = 'event'`);
    }
  });
});
