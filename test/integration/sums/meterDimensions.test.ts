import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';

const DAY = 86_400_000;
const HOUR = 3_600_000;

/** Dimensions that are added once single events are gone: what is older has the sums of before, and no value of them. */
describeEngine('meters whose events are gone', () => {
  let t: TestService;
  let key: string;
  beforeAll(async () => {
    t = await startTestService({ WINDOW_GRACE_MS: '0' });
    ({ key } = await t.tenant());
  });
  afterAll(() => t.stop());

  const today = Math.floor(Date.now() / DAY) * DAY;
  const post = async (ms: number, metadata: object) => {
    const event = { eventId: randomUUID(), customerId: 'a', eventType: 'egress', metadata };
    const body = [{ ...event, timestamp: new Date(ms).toISOString() }];
    expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
  };
  const send = (method: string, path: string, body?: unknown) =>
    t.call(method, `/v1/meters${path}`, { key, body });
  const filled = (slug: string) =>
    until(async () => (await send('GET', `/${slug}`)).body.fill.state === 'complete');
  const addDimension = async (name: string) => {
    const answer = await send('PATCH', '/gb', { dimensions: { [name]: `$.${name}` } });
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
  };
  /** Until events are kept from a moment on. */
  const keepFrom = (ms: number) =>
    t.sql.query(`update retention set kept_from = $1 where relation = 'event'`, [new Date(ms)]);
  const rows = async (query: string, slug = 'gb') => {
    const path = `/${slug}/query?from=${new Date(today - 20 * DAY).toISOString()}&to=${new Date(today + DAY).toISOString()}&${query}`;
    const { status, body } = await send('GET', path);
    expect([status, body]).toEqual([200, body]);
    return body.data.map(({ dimensions, value }: { dimensions?: object; value: string }) => ({
      ...dimensions,
      value,
    }));
  };

  it('keep their sums, whatever is added, and answer for what they have', async () => {
    const meter = {
      slug: 'gb',
      eventType: 'egress',
      aggregation: 'sum',
      value: '$.gb',
      dimensions: { region: '$.region' },
    };
    expect((await send('POST', '', meter)).status).toBe(201);
    const all = { region: 'eu', plan: 'free', zone: 'z1' };
    await post(today - 15 * DAY + HOUR, { ...all, gb: 1 });
    await post(today - 8 * DAY + HOUR, { ...all, gb: 2 });
    await post(today - HOUR, { ...all, gb: 4 });
    await filled('gb');

    await keepFrom(today - 10 * DAY);
    await addDimension('plan');
    const byPlan = [
      { plan: null, value: '1' },
      { plan: 'free', value: '6' },
    ];
    expect(await rows('groupBy=plan')).toEqual(byPlan); // while it is filled, or before
    await filled('gb');
    expect(await rows('groupBy=plan')).toEqual(byPlan);

    await keepFrom(today - 5 * DAY);
    await addDimension('zone');
    await filled('gb');
    await post(today - HOUR, { ...all, gb: 8 });
    expect(await rows('groupBy=zone,plan')).toEqual([
      { zone: null, plan: null, value: '1' },
      { zone: null, plan: 'free', value: '2' },
      { zone: 'z1', plan: 'free', value: '12' },
    ]);
    expect(await rows('groupBy=region')).toEqual([{ region: 'eu', value: '15' }]);
    expect(await rows('without=plan')).toEqual([{ value: '1' }]);
    expect(await rows('filter[zone]=z1')).toEqual([{ value: '12' }]);
    expect((await rows('granularity=1d')).map(({ value }: { value: string }) => value)).toEqual([
      '1',
      '2',
      '12',
    ]);
    const { rows: series } = await t.sql.query(
      'select count(*)::int as n from meter_series where retired_at is null',
    );
    expect(series).toEqual([{ n: 1 }]);
  });

  it('that are made now have no past before that, and say so', async () => {
    const meter = { slug: 'late', eventType: 'egress', aggregation: 'count' };
    expect((await send('POST', '', meter)).status).toBe(201);
    await filled('late');
    const from = new Date(today - 5 * DAY).toISOString();
    expect((await send('GET', `/late/query?from=${from}`)).body.data).toMatchObject([{ value: '2' }]);
    const before = new Date(today - 6 * DAY).toISOString();
    const refused = await send('GET', `/late/query?from=${before}`);
    expect([refused.status, refused.body.code]).toEqual([400, 'range_not_kept']);
    expect((await send('GET', '/late')).body.fill).toMatchObject({ state: 'complete', eventsKeptFrom: from });

    // What begins later has nothing before it that could be missing.
    const begins = { ...meter, slug: 'begins', eventFrom: from };
    expect((await send('POST', '', begins)).status).toBe(201);
    expect(await rows('', 'begins')).toEqual([{ value: '2' }]);
  });
});
