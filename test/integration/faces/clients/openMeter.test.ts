import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { OpenMeter } from '@openmeter/sdk';
import { OpenMeter as Portal } from '@openmeter/sdk/portal';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../../support/database.ts';
import { type ListeningService, startListeningService } from '../../../support/listening.ts';

const HOUR = 3_600_000;

describeEngine('the client of OpenMeter', () => {
  let t: ListeningService;
  let om: OpenMeter;
  beforeAll(async () => {
    t = await startListeningService();
    om = new OpenMeter({ baseUrl: t.server.address, apiKey: t.key });
  });
  afterAll(() => t.stop());

  /** Another tenant's. */
  const another = async () => {
    const { id, key } = await t.tenant();
    return { id, key, om: new OpenMeter({ baseUrl: t.server.address, apiKey: key }) };
  };
  const failing = async (work: Promise<unknown>) => {
    const error = (await work.then(
      () => undefined,
      (caught: unknown) => caught,
    )) as { status: number; message: string; title: string } | undefined;
    return { status: error?.status, message: error?.message, title: error?.title };
  };

  it('makes, reads, changes and deletes meters', async () => {
    const made = (await om.meters.create({
      slug: 'tokens_total',
      description: 'all tokens',
      aggregation: 'SUM',
      eventType: 'prompt',
      eventFrom: new Date('2026-01-01T00:00:00Z'),
      valueProperty: '$.tokens',
      groupBy: { model: '$.model', type: '$.type' },
    }))!;
    expect(made).toEqual({
      id: expect.any(String),
      slug: 'tokens_total',
      name: 'tokens_total',
      description: 'all tokens',
      aggregation: 'SUM',
      eventType: 'prompt',
      eventFrom: new Date('2026-01-01T00:00:00Z'),
      valueProperty: '$.tokens',
      groupBy: { model: '$.model', type: '$.type' },
      createdAt: expect.any(Date),
      updatedAt: expect.any(Date),
    });
    expect(await om.meters.get('tokens_total')).toEqual(made);
    expect(await om.meters.get(made.id)).toEqual(made);
    await om.meters.create({ slug: 'a_first', aggregation: 'COUNT', eventType: 'prompt' });
    expect((await om.meters.list())!.map(({ slug }) => slug)).toEqual(['a_first', 'tokens_total']);

    const named = (await om.meters.update('tokens_total', { name: 'Tokens', groupBy: { user: '$.user' } }))!;
    expect([named.name, named.description]).toEqual(['Tokens', 'all tokens']);
    expect(named.groupBy).toEqual({ model: '$.model', type: '$.type', user: '$.user' });
    expect((await om.meters.update('tokens_total', {}))!.name).toBe('tokens_total');
    const changed = await failing(om.meters.update('tokens_total', { groupBy: { model: '$.other' } }));
    expect(changed).toMatchObject({ status: 400, message: expect.stringContaining('groupBy/model') });

    await om.meters.delete('a_first');
    expect((await om.meters.list())!.map(({ slug }) => slug)).toEqual(['tokens_total']);
    expect(await failing(om.meters.delete('a_first'))).toMatchObject({ status: 404, title: 'Not Found' });
    const deleted = await t.call('GET', '/api/v1/meters?includeDeleted=true&orderBy=key&order=DESC', {
      key: t.key,
    });
    expect(
      deleted.body.map(({ slug, deletedAt }: { slug: string; deletedAt?: string }) => [slug, !!deletedAt]),
    ).toEqual([
      ['tokens_total', false],
      ['a_first', true],
    ]);
    expect(await failing(om.meters.create({ slug: 'x', aggregation: 'SUM', eventType: 'e' }))).toMatchObject({
      status: 400,
      message: expect.stringContaining('valueProperty'),
    });
  });

  it('sends events, and asks for them by group, filter and page', async () => {
    const { om: client, key } = await another();
    await client.meters.create({
      slug: 'cost',
      aggregation: 'SUM',
      eventType: 'llm',
      valueProperty: '$.cost',
      groupBy: { model: '$.model', region: '$.at.region' },
    });
    const time = new Date(Date.now() - HOUR);
    const events = [
      { subject: 'a', data: { cost: 1, model: 'x', at: { region: 'eu' } } },
      { subject: 'a', data: { cost: '0.5', model: 'y' } },
      { subject: 'b', data: { cost: 2, model: 'x', at: { region: 'us' } } },
      { subject: 'b', data: { cost: 4, model: 7 } },
    ].map((event) => ({ type: 'llm', time, ...event }));
    expect(await client.events.ingest(events)).toBeUndefined();
    await client.events.ingest({ type: 'llm', subject: 'a', data: { cost: 8, model: 'x' } });

    /** Its types say that it may be CSV, which the client never asks for. */
    const queryPost = async (body: Parameters<OpenMeter['meters']['queryPost']>[1]) =>
      (await client.meters.queryPost('cost', body)) as NonNullable<
        Awaited<ReturnType<OpenMeter['meters']['query']>>
      >;
    const query = async (parameters: object) => {
      const answer = (await client.meters.query('cost', parameters))!;
      return answer.data.map(({ value, subject, groupBy }) => [value, subject, groupBy]);
    };
    expect(await query({})).toEqual([[15.5, null, {}]]);
    expect(await query({ groupBy: ['model'] })).toEqual([
      [4, null, { model: '7' }],
      [11, null, { model: 'x' }],
      [0.5, null, { model: 'y' }],
    ]);
    expect(await query({ groupBy: ['subject', 'region'] })).toEqual([
      [8.5, 'a', { region: null }],
      [1, 'a', { region: 'eu' }],
      [4, 'b', { region: null }],
      [2, 'b', { region: 'us' }],
    ]);
    expect(await query({ filterGroupBy: { model: 'x' }, subject: ['b', 'nobody'] })).toEqual([[2, 'b', {}]]);
    expect(await query({ filterGroupBy: { region: '' } })).toEqual([[12.5, null, {}]]);
    const posted = await queryPost({
      filterGroupBy: { model: ['x', 'y'] },
      filterCustomerId: ['a'],
      groupBy: ['customer_id', 'model'],
      windowSize: 'HOUR',
    });
    expect(posted.windowSize).toBe('HOUR');
    expect(posted.data.map(({ value, customerId, groupBy }) => [value, customerId, groupBy])).toEqual([
      [1, 'a', { model: 'x' }],
      [0.5, 'a', { model: 'y' }],
      [8, 'a', { model: 'x' }],
    ]);
    const advanced = { model: { $in: ['x', 'y'] }, region: { $eq: 'eu' } };
    const one = await queryPost({ advancedMeterGroupByFilters: advanced });
    expect(one.data.map(({ value }) => value)).toEqual([1]);
    const like = { advancedMeterGroupByFilters: { model: { $like: 'x%' } } };
    expect(await failing(queryPost(like))).toMatchObject({ status: 501 });

    expect(await client.meters.listGroupByValues('cost', 'model')).toEqual(['7', 'x', 'y']);
    const get = async (path: string, headers: Record<string, string> = {}) =>
      (await t.call('GET', path, { key, headers })).body;
    expect(await get('/api/v1/meters/cost/subjects')).toEqual(['a', 'b']);

    // Brackets as other clients escape them, and pages, which this one does not know.
    expect((await get('/api/v1/meters/cost/query?filterGroupBy%5Bmodel%5D=y')).data[0].value).toBe(0.5);
    const first = await get('/api/v1/meters/cost/query?groupBy=model&limit=2');
    const second = await get(`/api/v1/meters/cost/query?groupBy=model&limit=2&cursor=${first.nextCursor}`);
    expect([first, second].map(({ data }) => data.map((row: { value: number }) => row.value))).toEqual([
      [4, 11],
      [0.5],
    ]);
    expect(second.nextCursor).toBeUndefined();
    const from = new Date(time.getTime() - HOUR).toISOString();
    const to = new Date(Date.now() + 60_000).toISOString();
    const csv = await get(`/api/v1/meters/cost/query?from=${from}&to=${to}&groupBy=model&groupBy=subject`, {
      accept: 'text/csv',
    });
    expect(csv.split('\r\n')).toEqual([
      'window_start,window_end,subject,model,value',
      `${from},${to},a,x,9`,
      `${from},${to},a,y,0.5`,
      `${from},${to},b,7,4`,
      `${from},${to},b,x,2`,
      '',
    ]);
    const ofCustomers = `/api/v1/meters/cost/query?filterCustomerId=a&filterCustomerId=b&from=${from}&to=${to}`;
    expect((await get(ofCustomers, { accept: 'text/csv' })).split('\r\n')).toEqual([
      'window_start,window_end,customer_id,value',
      `${from},${to},a,9.5`,
      `${from},${to},b,6`,
      '',
    ]);
  });

  it('lists events as they were sent', async () => {
    const { om: client } = await another();
    const time = new Date(Date.now() - 5_000);
    const sent = [
      {
        id: 'one',
        source: 'shop',
        subject: 'a',
        type: 'order',
        time,
        data: { value: 12.5, unit: 'EUR', tokens: '12' },
      },
      {
        id: 'two',
        source: 'shop',
        subject: 'b',
        type: 'order',
        time: new Date(),
        data: { value: 'NaN', model: null },
      },
    ];
    await client.events.ingest(sent);
    const listed = (await client.events.list())!;
    expect(listed.map(({ event }) => event)).toEqual([
      { ...sent[1], specversion: '1.0' },
      { ...sent[0], specversion: '1.0' },
    ]);
    expect(listed[0]).toMatchObject({
      customerId: 'b',
      validationError: 'no meter found for event type: order',
      ingestedAt: expect.any(Date),
      storedAt: expect.any(Date),
    });
    const ids = async (query: object) => (await client.events.list(query))!.map(({ event }) => event.id);
    expect(await ids({ id: 'wo' })).toEqual(['two']);
    expect(await ids({ id: 'shop' })).toEqual([]);
    expect(await ids({ subject: 'a' })).toEqual(['one']);
    expect(await ids({ customerId: ['a', 'b'], limit: 1 })).toEqual(['two']);
    expect(await ids({ to: new Date(time.getTime() + 1_000) })).toEqual(['one']);
    expect(await ids({ ingestedAtFrom: new Date(Date.now() + HOUR) })).toEqual([]);

    const filter = JSON.stringify({ subject: { $in: ['a', 'b'] }, source: { $eq: 'shop' } });
    const listV2 = (query: object) =>
      client.events.listV2(query as Parameters<OpenMeter['events']['listV2']>[0]);
    const page = (await listV2({ limit: 1, filter }))!;
    expect(page.items.map(({ event }) => event.id)).toEqual(['two']);
    const next = (await listV2({ limit: 1, filter, cursor: page.nextCursor }))!;
    expect([next.items.map(({ event }) => event.id), next.nextCursor]).toEqual([['one'], undefined]);
    const unknown = JSON.stringify({ source: { $like: 's%' } });
    expect(await failing(listV2({ filter: unknown }))).toMatchObject({ status: 501 });
  });

  it('is told why an event is refused, and that none of its neighbours is stored', async () => {
    const { om: client, id } = await another();
    const events = [
      { subject: 'a', type: 'order', data: {} },
      { subject: '', type: 'order', data: {} },
    ];
    expect(await failing(client.events.ingest(events))).toMatchObject({
      status: 400,
      title: 'Bad Request',
      message: expect.stringContaining('/subject'),
    });
    const { rows } = await t.sql.query('select 1 from event where tenant_id = $1', [id]);
    expect(rows).toEqual([]);
    const stranger = new OpenMeter({ baseUrl: t.server.address, apiKey: 'tm_wrong' });
    expect(await failing(stranger.meters.list())).toMatchObject({ status: 401, title: 'Unauthorized' });
    const plain = await t.call('POST', '/api/v1/events', {
      key: t.key,
      body: 'x',
      headers: { 'content-type': 'text/plain' },
    });
    expect([plain.status, plain.headers.get('content-type')]).toEqual([415, 'application/problem+json']);
  });

  it('keeps subjects and customers', async () => {
    const { om: client } = await another();
    const [subject] = (await client.subjects.upsert({ key: 'acme', displayName: 'Acme Inc.' }))!;
    expect(subject).toMatchObject({ id: 'acme', key: 'acme', displayName: 'Acme Inc.' });
    await client.subjects.upsert([{ key: 'bolt' }, { key: 'acme' }]);
    expect((await client.subjects.list())!.map(({ key, displayName }) => [key, displayName])).toEqual([
      ['acme', 'Acme Inc.'],
      ['bolt', undefined],
    ]);
    expect(await client.subjects.get('acme')).toEqual(expect.objectContaining({ displayName: 'Acme Inc.' }));
    expect(await failing(client.subjects.get('nobody'))).toMatchObject({ status: 404 });
    await client.subjects.delete('acme');
    expect((await client.subjects.get('acme'))!.displayName).toBeUndefined();

    const made = (await client.customers.create({
      name: 'Bolt Ltd.',
      key: 'bolt',
      usageAttribution: { subjectKeys: ['bolt'] },
    }))!;
    expect(made).toMatchObject({
      id: 'bolt',
      key: 'bolt',
      name: 'Bolt Ltd.',
      usageAttribution: { subjectKeys: ['bolt'] },
    });
    const again = { name: 'Another', key: 'bolt' };
    expect(await failing(client.customers.create(again))).toMatchObject({ status: 409 });
    const many = { name: 'Many', key: 'many', usageAttribution: { subjectKeys: ['m1', 'm2'] } };
    expect(await failing(client.customers.create(many))).toMatchObject({ status: 400 });
    expect((await client.customers.update('bolt', { name: 'Bolt' }))!.name).toBe('Bolt');
    const page = (await client.customers.list({ page: 2, pageSize: 1 }))!;
    expect(page).toMatchObject({ totalCount: 2, page: 2, pageSize: 1, items: [{ key: 'bolt' }] });
    expect((await client.customers.list({ key: 'OL' }))!.items.map(({ key }) => key)).toEqual(['bolt']);
    expect(await client.customers.list({ page: 9 })).toMatchObject({ totalCount: 2, items: [] });
    await client.customers.delete('bolt');
    expect((await client.customers.get('bolt'))!.name).toBe('bolt');
  });

  it('counts the events of today by subject', async () => {
    const { om: client, key } = await another();
    const today = new Date(Math.floor(Date.now() / 86_400_000) * 86_400_000);
    const event = { type: 'x', time: today };
    await client.events.ingest([
      { ...event, subject: 'a "b"' },
      { ...event, subject: 'a "b"' },
      { ...event, subject: 'c' },
    ]);
    const metrics = String(await client.debug.getMetrics());
    const scraped = await t.call('GET', '/api/v1/debug/metrics', {
      key,
      headers: { accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' },
    });
    expect([scraped.headers.get('content-type'), scraped.body]).toEqual([
      'application/openmetrics-text; version=1.0.0; charset=utf-8',
      metrics,
    ]);
    expect(metrics).toContain('openmeter_events_total{subject="a \\"b\\""} 2\n');
    expect(metrics).toContain('openmeter_events_total{subject="c"} 1\n');
    expect(metrics.endsWith('# EOF\n')).toBe(true);
  });

  it('makes portal tokens, with which its portal client reads what is of their subject', async () => {
    const { om: client, key } = await another();
    for (const slug of ['gb', 'hidden']) {
      await client.meters.create({
        slug,
        aggregation: 'SUM',
        eventType: 'egress',
        valueProperty: '$.gb',
        groupBy: { region: '$.region' },
      });
    }
    const time = new Date(Date.now() - HOUR);
    const event = (subject: string, gb: number, region: string) => ({
      type: 'egress',
      time,
      subject,
      data: { gb, region },
    });
    await client.events.ingest([event('alice', 1.5, 'eu'), event('alice', 2, 'us'), event('bob', 40, 'eu')]);
    const made = (await client.portal.create({ subject: 'alice', allowedMeterSlugs: ['gb'] }))!;
    expect(made).toEqual({
      id: expect.any(String),
      subject: 'alice',
      expiresAt: expect.any(Date),
      expired: false,
      createdAt: expect.any(Date),
      allowedMeterSlugs: ['gb'],
      token: expect.stringMatching(/^tmp_/),
    });
    expect(made.expiresAt!.getTime() - made.createdAt!.getTime()).toBe(HOUR);

    const portal = new Portal({ baseUrl: t.server.address, portalToken: made.token! });
    const all = await portal.query('gb');
    expect(all.data).toMatchObject([{ value: 3.5, subject: 'alice', groupBy: {} }]);
    const byRegion = await portal.query('gb', {
      from: new Date(time.getTime() - HOUR),
      to: new Date(),
      windowSize: 'HOUR',
      windowTimeZone: 'Asia/Kathmandu',
      groupBy: ['region'],
      filterGroupBy: { region: 'eu' },
    });
    expect(byRegion.data).toMatchObject([{ value: 1.5, subject: 'alice', groupBy: { region: 'eu' } }]);
    for (const slug of ['hidden', 'never_was']) {
      expect(await failing(portal.query(slug))).toMatchObject({
        status: 404,
        message: expect.stringContaining('there is no such meter'),
      });
    }
    const named = await t.call('GET', '/api/v1/portal/meters/gb/query?subject=bob', { key: made.token! });
    expect([named.status, named.headers.get('content-type')]).toEqual([400, 'application/problem+json']);
    const withKey = new Portal({ baseUrl: t.server.address, portalToken: key });
    expect(await failing(withKey.query('gb'))).toMatchObject({ status: 401 });
    const asKey = new OpenMeter({ baseUrl: t.server.address, apiKey: made.token! });
    expect(await failing(asKey.meters.list())).toMatchObject({ status: 401 });

    const expiresAt = new Date(Date.now() + 120_000);
    const second = (await client.portal.create({ subject: 'bob', expiresAt }))!;
    expect(second.expiresAt).toEqual(expiresAt);
    expect((await client.portal.list())!.map(({ id, token }) => [id, token])).toEqual([
      [second.id, undefined],
      [made.id, undefined],
    ]);
    expect(await client.portal.list({ limit: 1 })).toHaveLength(1);

    await client.portal.invalidate({ id: made.id! });
    expect(await failing(portal.query('gb'))).toMatchObject({
      status: 401,
      message: expect.stringContaining('the portal token has been revoked'),
    });
    const bob = new Portal({ baseUrl: t.server.address, portalToken: second.token! });
    expect((await bob.query('hidden')).data).toMatchObject([{ value: 40, subject: 'bob' }]);
    await client.portal.invalidate({ subject: 'bob' });
    expect(await failing(bob.query('gb'))).toMatchObject({ status: 401 });
    expect(await client.portal.list()).toEqual([]);
  });

  it('refuses portal tokens that make no sense', async () => {
    const refused: [object, number][] = [
      [{}, 400],
      [{ subject: '' }, 400],
      [{ subject: 'a', allowedMeterSlugs: [] }, 400],
      [{ subject: 'a', allowedMeterSlugs: 'x' }, 400],
      [{ subject: 'a', allowedMeterSlugs: ['never_was'] }, 404],
      [{ subject: 'a', expiresAt: new Date(Date.now() - 1_000) }, 400],
      [{ subject: 'a', expiresAt: new Date(Date.now() + 31 * 24 * HOUR) }, 400],
      [{ subject: 'a', expiresAt: 'soon' }, 400],
    ];
    for (const [body, status] of refused) {
      expect([body, (await failing(om.portal.create(body as never))).status]).toEqual([body, status]);
    }
    for (const [body, status] of [
      [{}, 400],
      [{ id: 'x', subject: 'y' }, 400],
      [{ id: 'x' }, 404],
      [{ id: randomUUID() }, 404],
    ] as const) {
      expect([body, (await failing(om.portal.invalidate(body))).status]).toEqual([body, status]);
    }
    expect((await failing(om.portal.list({ limit: 0 }))).status).toBe(400);
  });

  it('says of what is not here that it is not', async () => {
    for (const call of [
      () => om.customers.getAccess('a'),
      () => om.customers.entitlementsV1.value('a', 'f'),
    ]) {
      expect(await failing(call())).toMatchObject({ status: 501, title: 'Not Implemented' });
    }
  });

  it('takes what LiteLLM and Kong send', async () => {
    const { om: client, key } = await another();
    await client.meters.create({
      slug: 'llm',
      aggregation: 'SUM',
      eventType: 'litellm_tokens',
      valueProperty: '$.total_tokens',
      groupBy: { model: '$.model' },
    });
    const lite = {
      specversion: '1.0',
      type: 'litellm_tokens',
      id: `chatcmpl-${randomUUID()}`,
      time: new Date().toISOString().replace('Z', '000+00:00'),
      subject: 'user-1',
      source: 'litellm-proxy',
      data: { model: 'gpt-4o', cost: null, prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
    };
    const post = (body: unknown, headers: Record<string, string>) =>
      t.call('POST', '/api/v1/events', { key, body: body as string, headers });
    const answer = await post(lite, { 'content-type': 'application/cloudevents+json' });
    expect([answer.status, answer.body]).toEqual([204, '']);
    const kong = {
      ...lite,
      id: 'kong-1',
      source: 'kong',
      data: { ...lite.data, consumer: 'c', total_tokens: '5' },
    };
    const type = { 'content-type': 'application/cloudevents-batch+json; charset=utf-8' };
    expect((await post([kong, { ...kong, id: 'kong-2' }], type)).status).toBe(204);
    const zipped = gzipSync(JSON.stringify({ ...kong, id: 'kong-3' }));
    const coded = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
    expect((await post(zipped, coded)).status).toBe(204);
    const rows = (await client.meters.query('llm', { groupBy: ['model'] }))!.data;
    expect(rows.map(({ value, groupBy }) => [value, groupBy])).toEqual([[30, { model: 'gpt-4o' }]]);
  });
});
