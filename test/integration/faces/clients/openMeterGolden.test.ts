import { randomUUID } from 'node:crypto';
import { OpenMeter } from '@openmeter/sdk';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../../support/database.ts';
import { type ListeningService, startListeningService } from '../../../support/listening.ts';
import { until } from '../../../support/service.ts';

/*
 * What OpenMeter's own tests expect of it, asked of this service by its client. Where the answer is another one on
 * purpose, the test says so, and docs/clients.md does.
 */

const AGGREGATIONS = ['SUM', 'COUNT', 'AVG', 'MIN', 'MAX', 'UNIQUE_COUNT', 'LATEST'] as const;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

describeEngine('golden cases of OpenMeter', () => {
  let t: ListeningService;
  beforeAll(async () => {
    t = await startListeningService({ ACCEPT_BEHIND_DAYS: '3650', IDENTITY_HORIZON_DAYS: '0' });
  });
  afterAll(() => t.stop());

  /** A client of a tenant of its own. */
  const client = async () => {
    const { key } = await t.tenant();
    return { om: new OpenMeter({ baseUrl: t.server.address, apiKey: key }), key };
  };
  const anEvent = (fields: { type: string; subject?: string; time?: Date; id?: string; data?: unknown }) => ({
    id: randomUUID(),
    source: 'golden',
    specversion: '1.0',
    subject: 'customer-1',
    ...fields,
  });
  type Sent = Parameters<OpenMeter['events']['ingest']>[0];
  const ingest = (om: OpenMeter, events: object[]) => om.events.ingest(events as Sent);
  const meter = (om: OpenMeter, slug: string, fields: object) =>
    om.meters.create({ slug, ...fields } as Parameters<OpenMeter['meters']['create']>[0]);
  /** Rows as the client has them; what is beside what it knows is typed here. A copy: it makes texts of the dates in it. */
  const rows = async (om: OpenMeter, slug: string, query: object = {}) => {
    const answer = await om.meters.query(slug, { ...query } as Parameters<OpenMeter['meters']['query']>[1]);
    return answer!.data as unknown as {
      value: number;
      valueDecimal: string;
      windowStart: Date;
      windowEnd: Date;
      subject: string | null;
    }[];
  };
  const refusal = async (work: Promise<unknown>) => {
    try {
      await work;
    } catch (error) {
      return (error as { status: number }).status;
    }
    return 'not refused';
  };

  it('1: aggregates numbers, texts of numbers and nulls to the last digit', async () => {
    const { om } = await client();
    for (const aggregation of AGGREGATIONS) {
      const valueProperty =
        aggregation === 'COUNT' ? undefined : aggregation === 'UNIQUE_COUNT' ? '$.name' : '$.value';
      await meter(om, aggregation.toLowerCase(), { aggregation, eventType: 'golden', valueProperty });
    }
    const begin = Date.now() - 10 * MINUTE;
    const data = [
      { value: 123, name: 1 },
      { value: '0.4567890123456789', name: 'a' },
      { value: null, name: null },
    ];
    await ingest(
      om,
      data.map((each, i) => anEvent({ type: 'golden', time: new Date(begin + i * 1_000), data: each })),
    );
    const range = { from: new Date(begin - MINUTE), to: new Date(begin + MINUTE) };
    const expected: Record<string, [number, string]> = {
      sum: [123.45678901234568, '123.4567890123456789'],
      count: [3, '3'],
      avg: [61.72839450617284, '61.72839450617283945'],
      min: [0.4567890123456789, '0.4567890123456789'],
      max: [123, '123'],
      unique_count: [2, '2'],
      latest: [0.4567890123456789, '0.4567890123456789'],
    };
    for (const [slug, [value, valueDecimal]] of Object.entries(expected)) {
      expect([slug, await rows(om, slug, range)]).toEqual([
        slug,
        [expect.objectContaining({ value, valueDecimal, windowStart: range.from, windowEnd: range.to })],
      ]);
    }
    const empty = { from: new Date(begin - 2 * HOUR), to: new Date(begin - HOUR) };
    for (const slug of Object.keys(expected)) {
      const isCount = slug === 'count' || slug === 'unique_count';
      expect([slug, await rows(om, slug, empty)]).toEqual([
        slug,
        isCount ? [expect.objectContaining({ value: 0, windowStart: empty.from, windowEnd: empty.to })] : [],
      ]);
      expect(await rows(om, slug, { ...empty, windowSize: 'MINUTE' })).toEqual([]);
    }
  });

  it('2: stores what it cannot sum, and tells why', async () => {
    const { om } = await client();
    await meter(om, 'ingested', { aggregation: 'SUM', eventType: 'ingest', valueProperty: '$.duration_ms' });
    const begin = Date.now() - 5 * MINUTE;
    const at = (i: number) => new Date(begin + i * 1_000);
    const event = (i: number, fields: object) => anEvent({ type: 'ingest', time: at(i), ...fields });
    expect(await refusal(ingest(om, [event(0, { datacontenttype: 'application/xml', data: '<a/>' })]))).toBe(
      400,
    );
    expect(await refusal(ingest(om, [event(0, { data: 'string' })]))).toBe(400);
    expect(await refusal(ingest(om, [event(0, { data: 5 })]))).toBe(400);
    for (const [i, fields] of [
      { data: { duration_ms: '100' } },
      { data: { duration_ms: 'Inf' } },
      { data: { duration_ms: 'NaN' } },
      { data: {} },
      {},
      { data: null },
    ].entries()) {
      await ingest(om, [event(i, fields)]);
    }
    expect(await rows(om, 'ingested')).toEqual([
      expect.objectContaining({ value: 100, valueDecimal: '100' }),
    ]);
    const listed = (await om.events.list())!;
    expect(listed.map(({ event, validationError }) => [event.time, validationError])).toEqual([
      [at(5), 'invalid event: null and missing value property'],
      [at(4), 'invalid event: null and missing value property'],
      // Theirs names the path here: data without members are kept as none.
      [at(3), 'invalid event: null and missing value property'],
      [at(2), 'invalid event: value cannot be NaN'],
      [at(1), 'invalid event: value cannot be infinity'],
      [at(0), undefined],
    ]);
    await ingest(om, [event(6, { data: { other: 1 } })]);
    const [newest] = (await om.events.list({ limit: 1 }))!;
    expect(newest!.validationError).toBe('invalid event: missing value property: "$.duration_ms"');
  });

  it('3: counts one id of one source once, whatever its time', async () => {
    const { om } = await client();
    await meter(om, 'deduped', { aggregation: 'COUNT', eventType: 'dedupe' });
    const begin = Date.now() - HOUR;
    const posts = Array.from({ length: 1_000 }, (_, i) =>
      anEvent({ type: 'dedupe', id: 'one', time: new Date(begin + i) }),
    );
    for (let i = 0; i < posts.length; i += 50) {
      await Promise.all(posts.slice(i, i + 50).map((post) => ingest(om, [post])));
    }
    expect(await rows(om, 'deduped')).toEqual([expect.objectContaining({ value: 1 })]);
    // Theirs joins source and id with "-": these two are one event there.
    await ingest(om, [
      { ...anEvent({ type: 'dedupe', id: 'c' }), source: 'a-b' },
      { ...anEvent({ type: 'dedupe', id: 'b-c' }), source: 'a' },
    ]);
    expect(await rows(om, 'deduped')).toEqual([expect.objectContaining({ value: 3 })]);
  });

  it('4: sums by minute, hour, day and subject', async () => {
    const { om } = await client();
    await meter(om, 'queried', { aggregation: 'SUM', eventType: 'query', valueProperty: '$.duration_ms' });
    const begin = Math.floor(Date.now() / DAY) * DAY - 3 * DAY + 10 * HOUR + 30 * MINUTE + 17_000;
    const times = [0, MINUTE, HOUR, DAY].map((after) => begin + after);
    await ingest(
      om,
      times.flatMap((time) =>
        [1, 2, 3, 4, 5].map((i) =>
          anEvent({
            type: 'query',
            subject: `customer-${i}`,
            time: new Date(time),
            data: { duration_ms: '100' },
          }),
        ),
      ),
    );
    const minuteOf = (time: number) => Math.floor(time / MINUTE) * MINUTE;
    expect(await rows(om, 'queried')).toEqual([
      expect.objectContaining({
        value: 2_000,
        windowStart: new Date(minuteOf(begin)),
        windowEnd: new Date(minuteOf(begin + DAY) + MINUTE),
        subject: null,
      }),
    ]);
    const valuesBy = async (windowSize: string) =>
      (await rows(om, 'queried', { windowSize })).map(({ value, windowStart, windowEnd }) => [
        value,
        windowStart.getTime(),
        windowEnd.getTime() - windowStart.getTime(),
      ]);
    expect(await valuesBy('MINUTE')).toEqual(times.map((time) => [500, minuteOf(time), MINUTE]));
    const hourOf = (time: number) => Math.floor(time / HOUR) * HOUR;
    expect(await valuesBy('HOUR')).toEqual([
      [1_000, hourOf(begin), HOUR],
      [500, hourOf(begin + HOUR), HOUR],
      [500, hourOf(begin + DAY), HOUR],
    ]);
    const dayOf = (time: number) => Math.floor(time / DAY) * DAY;
    expect(await valuesBy('DAY')).toEqual([
      [1_500, dayOf(begin), DAY],
      [500, dayOf(begin + DAY), DAY],
    ]);
    const subjects = ['customer-1', 'customer-2'];
    const ofTwo = await rows(om, 'queried', { subject: subjects });
    expect(ofTwo.map(({ value, subject }) => [value, subject])).toEqual(
      subjects.map((subject) => [400, subject]),
    );
    expect(ofTwo[0]!.windowStart).toEqual(new Date(minuteOf(begin)));
  });

  it.each([
    ['2025-03-06', '2025-03-13', 23],
    ['2025-10-30', '2025-11-06', 25],
  ])(
    '5: days of Los Angeles from %s to %s end where the next begins, and one has %i h',
    async (first, last, hours) => {
      const { om } = await client();
      await meter(om, 'zoned', { aggregation: 'COUNT', eventType: 'zone' });
      const from = new Date(Date.parse(`${first}T08:00:00Z`) - (hours === 25 ? HOUR : 0));
      const to = new Date(Date.parse(`${last}T08:00:00Z`) - (hours === 23 ? HOUR : 0));
      const events = [];
      for (let time = from.getTime() + HOUR / 2; time < to.getTime(); time += HOUR) {
        events.push(anEvent({ type: 'zone', time: new Date(time) }));
      }
      await ingest(om, events);
      const days = await rows(om, 'zoned', {
        from,
        to,
        windowSize: 'DAY',
        windowTimeZone: 'America/Los_Angeles',
      });
      expect(days.length).toBe(7);
      expect(days[0]!.windowStart).toEqual(from);
      expect(days.at(-1)!.windowEnd).toEqual(to);
      const local = new Intl.DateTimeFormat('en-GB', {
        timeZone: 'America/Los_Angeles',
        timeStyle: 'medium',
      });
      for (const [i, { windowStart, windowEnd, value }] of days.entries()) {
        expect(local.format(windowStart)).toBe('00:00:00');
        if (i > 0) expect(windowStart).toEqual(days[i - 1]!.windowEnd);
        expect(value).toBe((windowEnd.getTime() - windowStart.getTime()) / HOUR);
      }
      expect(days.filter(({ value }) => value === hours).length).toBe(1);
    },
  );

  it('6: refuses what cannot be meant', async () => {
    const { om } = await client();
    const sum = {
      aggregation: 'SUM',
      eventType: 'refuse',
      valueProperty: '$.value',
      groupBy: { model: '$.model' },
    };
    await meter(om, 'refusing', sum);
    const from = new Date(Date.now() - HOUR);
    const to = new Date();
    const ask = (query: object) => refusal(rows(om, 'refusing', query));
    expect(await ask({ from, to: from })).toBe(400);
    expect(await ask({ from: to, to: from })).toBe(400);
    expect(await ask({ groupBy: ['nothing'] })).toBe(400);
    expect(await ask({ filterGroupBy: { nothing: 'x' } })).toBe(400);
    expect(await ask({ windowTimeZone: 'Mars/Olympus' })).toBe(400);
    expect(await ask({ windowSize: 'SECOND' })).toBe(400);
    expect(await ask({ filterCustomerId: ['nobody'] })).toBe(404);
    expect(await ask({ subject: ['a', 'b'] })).toBe('not refused');
    expect(await ask({ from, to, groupBy: ['model', 'subject'] })).toBe('not refused');
    const made = (slug: string, fields: object) => refusal(meter(om, slug, { ...sum, ...fields }));
    expect(await made('m1', { aggregation: 'COUNT' })).toBe(400);
    expect(await made('m2', { valueProperty: undefined })).toBe(400);
    expect(await made('m3', { valueProperty: 'value' })).toBe(400);
    expect(await made('m4', { groupBy: { model: 'model' } })).toBe(400);
    expect(await made('m5', { groupBy: { same: '$.value' } })).toBe(400);
    expect(await made('m6', { groupBy: { '1a': '$.model' } })).toBe(400);
    expect(await made('m7', { groupBy: { 'a-b': '$.model' } })).toBe(400);
    expect(await made('refusing', {})).toBe(409);
    expect(await refusal(om.meters.get('nothing'))).toBe(404);
  });

  it('takes no subject for all, and whatever name for that of a dimension', async () => {
    const { key } = await client();
    const time = new Date(Date.now() - HOUR).toISOString();
    const body = ['a', 'b'].map((customerId) => ({
      eventId: randomUUID(),
      timestamp: time,
      customerId,
      eventType: 'job',
      metadata: { constructor: 'x' },
    }));
    expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    const names = ['constructor', 'toString'];
    const groupBy = Object.fromEntries(names.map((name) => [name, `$.${name}`]));
    const made = { slug: 'jobs', aggregation: 'COUNT', eventType: 'job', groupBy };
    expect((await t.call('POST', '/api/v1/meters', { key, body: made })).status).toBe(201);
    await until(async () => (await t.call('GET', '/v1/meters/jobs', { key })).body.fill.state === 'complete');

    const ask = async (query: string) => {
      const { status, body } = await t.call('GET', `/api/v1/meters/jobs/query?${query}`, { key });
      return status === 200
        ? body.data.map(({ value, subject }: { value: number; subject: string }) => [subject, value])
        : status;
    };
    expect(await ask('subject=')).toEqual([]);
    expect(await ask('subject=&subject=a')).toEqual([['a', 1]]);
    expect(await ask('filterGroupBy[constructor]=x')).toEqual([[null, 2]]);
    expect(await ask('filterGroupBy[toString]=x&subject=a')).toEqual([]);
    for (const name of ['valueOf', '__proto__']) expect(await ask(`filterGroupBy[${name}]=x`)).toBe(400);
  });

  it('answers for all of time as for the part of it that has events', async () => {
    const { om, key } = await client();
    await meter(om, 'always', { aggregation: 'COUNT', eventType: 'always' });
    const ask = async (range: object, windowSize: string, windowTimeZone: string) => {
      const sent = { ...range, windowSize, windowTimeZone };
      const { status, body } = await t.call('POST', '/api/v1/meters/always/query', { key, body: sent });
      expect([status, body]).toEqual([200, body]);
      type Row = Record<'windowStart' | 'windowEnd' | 'value', unknown>;
      return body.data.map(({ windowStart, windowEnd, value }: Row) => [windowStart, windowEnd, value]);
    };
    const ever = { from: '1970-01-01T00:00:00Z', to: '9998-01-01T00:00:00Z' };
    expect(await ask(ever, 'HOUR', 'Asia/Kathmandu')).toEqual([]);
    const now = Date.now();
    const times = [now - 3_000 * DAY, now - 40 * DAY, now].map((ms) => new Date(ms));
    await ingest(
      om,
      times.map((time) => anEvent({ type: 'always', time })),
    );
    const near = { from: new Date(now - 3_001 * DAY), to: new Date(now + 32 * DAY) };
    for (const [windowSize, zone] of [
      ['HOUR', 'Asia/Kathmandu'],
      ['HOUR', 'UTC'],
      ['DAY', 'America/New_York'],
      ['MONTH', 'Pacific/Apia'],
    ] as const) {
      const windows = await ask(near, windowSize, zone);
      expect(windows).toHaveLength(3);
      expect(await ask(ever, windowSize, zone)).toEqual(windows);
      expect(await ask({}, windowSize, zone)).toEqual(windows);
    }
    const before = { from: '1970-01-01T00:00:00Z', to: '1990-01-01T00:00:00Z' };
    expect(await ask(before, 'HOUR', 'UTC')).toEqual([]);
    const after = { from: '3000-01-01T00:00:00Z', to: '9998-01-01T00:00:00Z' };
    expect(await ask(after, 'HOUR', 'UTC')).toEqual([]);
  });
});
