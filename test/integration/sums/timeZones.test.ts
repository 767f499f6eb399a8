import { writeFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { SqlParameters } from '../../../src/ground/db/sqlParameters.ts';
import { namesOf } from '../../../src/ground/zones/zoneNames.ts';
import {
  NEWEST_RELEASE,
  readZoneRules,
  recogniseRules,
  ZONE_CHANGES,
} from '../../../src/ground/zones/zoneRules.ts';
import { Zones } from '../../../src/ground/zones/zones.ts';
import { bucketsOf } from '../../../src/sums/rollups/buckets.ts';
import { bucketEdges } from '../../../src/sums/rollups/granularity.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent, randomFrom } from '../../support/traffic.ts';
import { zoneEdges } from '../../support/zoneEdges.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const GRANULARITIES = ['1h', '1d', '1mo'] as const;
/** All zones from 2015 to 2030, in about an hour: TEST_ALL_ZONES=1, or a file to write the count to. */
const ALL = process.env.TEST_ALL_ZONES;
const seed = Number(process.env.TEST_SEED ?? Date.now() % 1_000_000);
/** Days without midnight and with two, half hours, days left out, rules that change at odd minutes or every year. */
const ODD = [
  ...['America/Havana', 'America/Santiago', 'Asia/Beirut', 'Africa/Cairo', 'Australia/Lord_Howe'],
  ...['Africa/Casablanca', 'Asia/Pyongyang', 'Asia/Kathmandu', 'Pacific/Chatham', 'Antarctica/Casey'],
  ...['America/Caracas', 'Asia/Gaza', 'America/Scoresbysund', 'Antarctica/Troll', 'Pacific/Bougainville'],
];

describeEngine(`time zones (seed ${seed})`, () => {
  let t: TestService;
  let sql: pg.Client;
  let zones: Zones;
  beforeAll(async () => {
    t = await startTestService({ ACCEPT_BEHIND_DAYS: '3650', IDENTITY_HORIZON_DAYS: '0' });
    sql = new pg.Client(t.database.url);
    await sql.connect();
    zones = new Zones(sql);
  });
  afterAll(async () => {
    await sql?.end();
    await t?.stop();
  });

  interface Point {
    bucket: string;
    bucketEnd: string;
    calls: number;
    customerId?: string;
  }
  const iso = (ms: number) => new Date(ms).toISOString();

  async function post(key: string, times: number[], customers = 1): Promise<void> {
    const events = times.flatMap((at) =>
      Array.from({ length: customers }, (_, i) => anEvent({ timestamp: iso(at), customerId: `c${i}` })),
    );
    for (let i = 0; i < events.length; i += 10_000) {
      const { status, body } = await t.call('POST', '/v1/events', { key, body: events.slice(i, i + 10_000) });
      expect(status, JSON.stringify(body)).toBe(200);
    }
  }

  /** The series in pages, and in one. */
  async function usage(key: string, query: Record<string, string>, limit = 10_000): Promise<Point[]> {
    const points: Point[] = [];
    let cursor: string | null = null;
    do {
      const all: Record<string, string> = { ...query, limit: String(limit), ...(cursor && { cursor }) };
      const { status, body } = await t.call('GET', `/v1/usage?${new URLSearchParams(all)}`, { key });
      expect(status, JSON.stringify(body)).toBe(200);
      points.push(...body.data);
      cursor = body.nextCursor;
    } while (cursor);
    return points;
  }

  const sum = (points: Point[]) => points.reduce((calls, point) => calls + point.calls, 0);

  /** What must hold of any series: each event once, in the bucket that holds it, whatever the pages. */
  async function expectWhole(key: string, query: Record<string, string>, times: number[], customers: number) {
    const grouped = await usage(key, { ...query, groupBy: 'customer' });
    const label = JSON.stringify(query);
    expect(await usage(key, { ...query, groupBy: 'customer' }, 2), label).toEqual(grouped);
    expect(sum(grouped), label).toBe(times.length * customers);
    const series = await usage(key, query);
    for (const [i, { bucket, bucketEnd, calls }] of series.entries()) {
      const [from, to] = [Date.parse(bucket), Date.parse(bucketEnd)];
      const own = times.filter((at) => at >= from && at < to).length * customers;
      expect({ bucket, bucketEnd, calls }, label).toEqual({ bucket, bucketEnd, calls: own });
      const next = series[i + 1]?.bucket;
      if (next !== undefined) expect(to, label).toBeLessThanOrEqual(Date.parse(next));
    }
    return series;
  }

  describe('a series', () => {
    test.each([
      ['two midnights', 'America/Havana', '2026-11-01T03:30:00Z'],
      ['no midnight', 'America/Santiago', '2026-09-06T03:30:00Z'],
      ['no midnight', 'Africa/Cairo', '2026-04-23T21:30:00Z'],
      ['no midnight', 'Asia/Beirut', '2026-03-28T21:30:00Z'],
      ['half an hour less', 'Australia/Lord_Howe', '2026-10-03T13:15:00Z'],
      ['half an hour more', 'Australia/Lord_Howe', '2026-04-04T13:15:00Z'],
      ['half an hour for good', 'Asia/Pyongyang', '2018-05-04T13:15:00Z'],
      ['three hours at an odd minute', 'Antarctica/Casey', '2020-10-03T14:30:00Z'],
    ])(
      '%s, %s: no page loses an event, no bucket holds another one than its own',
      async (_, timezone, first) => {
        const { key } = await t.tenant();
        const times = Array.from({ length: 12 }, (_, i) => Date.parse(first) + i * 20 * 60_000);
        await post(key, times, 5);
        for (const granularity of GRANULARITIES) {
          const range = { from: iso(times[0]! - 40 * DAY), to: iso(times.at(-1)! + 40 * DAY) };
          await expectWhole(key, { ...range, granularity, timezone }, times, 5);
        }
        // Also where a range begins or ends within a bucket, and a page within the other one.
        const middle = { from: iso(times[3]! + 1), to: iso(times[9]!) };
        for (const granularity of GRANULARITIES) {
          const grouped = await usage(key, { ...middle, granularity, timezone, groupBy: 'customer' }, 2);
          expect(sum(grouped), granularity).toBe(5 * 5);
        }
      },
    );

    it('has every event once, whatever Node knows of the zone', async () => {
      const { key } = await t.tenant();
      const from = Date.parse('2026-09-01T00:00:00Z');
      const times = Array.from({ length: 1_464 }, (_, i) => from + i * HOUR);
      await post(key, times);
      for (const timezone of ['Africa/Casablanca', 'America/Vancouver', 'America/Havana', 'Europe/London']) {
        const query = { from: iso(from), to: iso(from + 61 * DAY), granularity: '1d', timezone };
        expect(sum(await usage(key, query, 5)), timezone).toBe(1_464);
        const whole = (await usage(key, query)).slice(1, -1);
        for (const { bucket, bucketEnd, calls } of whole) {
          const held = (Date.parse(bucketEnd) - Date.parse(bucket)) / HOUR;
          expect([timezone, bucket, calls]).toEqual([timezone, bucket, held]);
        }
      }
    });
  });

  describe('by default', () => {
    it.each(['UTC', 'Asia/Tokyo', 'America/St_Johns', 'Asia/Kolkata', 'America/Los_Angeles'])(
      'a range begins where a bucket begins (%s)',
      async (timezone) => {
        const { key } = await t.tenant();
        const now = Date.now();
        // Around where 120 days and a year of months begin, and 20 days before that.
        const days = [0, 19, 21, 118, 119, 120, 121, 139, 140, 141, 360, 365, 366, 370, 380, 390, 400, 410];
        const times = days.flatMap((ago) => [0, 5, 11, 17].map((hours) => now - ago * DAY - hours * HOUR));
        await post(key, times);
        for (const granularity of ['1d', '1mo']) {
          const series = await usage(key, { granularity, timezone });
          const from = Date.parse(series[0]!.bucket);
          const held = times.filter((at) => at >= from && at < Date.parse(series[0]!.bucketEnd)).length;
          expect([granularity, series[0]!.calls]).toEqual([granularity, held]);
          expect(now - from).toBeGreaterThan(granularity === '1d' ? 119 * DAY : 365 * DAY);
          const until = await usage(key, { granularity, timezone, to: iso(now - 20 * DAY) });
          const first = Date.parse(until[0]!.bucket);
          expect(until[0]!.calls).toBe(
            times.filter((at) => at >= first && at < Date.parse(until[0]!.bucketEnd)).length,
          );
        }
      },
    );
  });

  describe('a name', () => {
    /** A database that does not know some names. */
    const without = (...names: string[]) => {
      const query = (statement: pg.QueryConfig, values?: unknown[]) => {
        const [name] = statement.values ?? [];
        if (names.includes(String(name))) throw Object.assign(new Error('unknown'), { code: '22023' });
        return sql.query(statement, values);
      };
      return new Zones({ query } as never);
    };
    const range = [Date.UTC(2026, 0), Date.UTC(2027, 0)] as const;

    it.each([
      ['Asia/Calcutta', 'Asia/Kolkata'],
      ['Europe/Kiev', 'Europe/Kyiv'],
      ['America/Buenos_Aires', 'America/Argentina/Buenos_Aires'],
      ['Africa/Asmera', 'Africa/Nairobi'],
    ])('of old (%s) is found by the one in use (%s), and that by the old one', async (old, present) => {
      const expected = await zones.offsets(present, ...range);
      expect(await without(old).offsets(old, ...range)).toEqual(expected);
      expect(await without(present).offsets(present, ...range)).toEqual(expected);
      await expect(without(old, ...namesOf(old)).offsets(old, ...range)).rejects.toMatchObject({
        code: 'timezone_invalid',
        message: expect.stringMatching(/tzdata (before )?20\d\d[a-z]/),
      });
    });

    it(
      'that the database lists, or a browser reports, is taken',
      async () => {
        const { rows } = await sql.query<{ name: string }>(
          `select name from pg_timezone_names where name ~ '/' and name !~ '^posix/' or name in ('Cuba', 'Factory', 'EST5EDT', 'NZ', 'GB')`,
        );
        expect(rows.length).toBeGreaterThan(400);
        const names = [...new Set([...rows.map((row) => row.name), ...Intl.supportedValuesOf('timeZone')])];
        const random = randomFrom(seed);
        for (const name of names.filter(() => ALL !== undefined || random() < 0.15)) {
          await expect(zones.offsets(name, ...range), name).resolves.toBeTruthy();
        }
      },
      ALL ? 10_000_000 : 60_000,
    );
  });

  describe('the release of the rules', () => {
    const known = (...lacking: string[]) =>
      recogniseRules(async ({ zone }) => !lacking.includes(zone)).then(({ release }) => release);

    it('is the newest that lacks no change up to it', async () => {
      expect(await known()).toBe(NEWEST_RELEASE);
      expect(await known('America/Havana')).toBe('2026e');
      expect(await known('America/Edmonton')).toBe('2026b');
      expect(await known('Africa/Casablanca', 'America/Havana')).toBe('2026b');
      expect(await known('America/Vancouver')).toBe('2025b');
      expect(await known(...ZONE_CHANGES.map(({ zone }) => zone))).toBe('before 2023d');
    });

    it('is told in the description, with what it lacks', async () => {
      const rules = await readZoneRules(sql);
      const { body } = await t.call('GET', '/openapi.json', { key: null });
      expect(body.info['x-time-zone-rules']).toEqual({
        release: rules.release,
        lacking: rules.missing.map(({ what }) => what),
      });
      for (const { zone, at, aheadMinutes, what } of ZONE_CHANGES) {
        const offsets = await zones.offsets(zone, at, at).catch(() => []);
        const ahead = offsets.findLast(({ from }) => from <= at)?.offsetMs;
        expect([what, ahead === aheadMinutes * 60_000]).toEqual([
          what,
          !body.info['x-time-zone-rules'].lacking.includes(what),
        ]);
      }
    });
  });

  it(
    'edges are those that the clock shows minute by minute, and each bucket ends where the next begins',
    async () => {
      const { rows } = await sql.query<{ name: string }>(
        `select name from pg_timezone_names where name !~ '^posix/|^(Factory|localtime|posixrules)$' order by name`,
      );
      const random = randomFrom(seed);
      const sample = [
        ...ODD,
        ...Array.from({ length: 5 }, () => rows[Math.floor(random() * rows.length)]!.name),
      ];
      let [checked, buckets] = [0, 0];
      for (const zone of ALL ? rows.map((row) => row.name) : sample) {
        if (!takes(zone)) continue;
        const years = ALL ? [2015, 2031] : [2015 + Math.floor(random() * 13), 2026];
        for (const year of ALL ? [2015] : years) {
          const [from, to] = [Date.UTC(year, 0), ALL ? Date.UTC(2031, 0) : Date.UTC(year + 1, 2)];
          buckets += await expectEdges(zone, from, to);
        }
        checked++;
        if (ALL && ALL !== '1')
          writeFileSync(ALL, `${t.database.engine}: ${checked} zones, ${buckets} buckets\n`);
      }
      expect(checked).toBeGreaterThan(ALL ? 500 : 15);
    },
    ALL ? 10_000_000 : 120_000,
  );

  /** Not an abbreviation. */
  function takes(zone: string): boolean {
    try {
      return namesOf(zone).length > 0;
    } catch {
      return false;
    }
  }

  async function expectEdges(zone: string, from: number, to: number): Promise<number> {
    const shown = await zoneEdges(sql, zone, from, to);
    const offsets = await zones.offsets(zone, from, to);
    let buckets = 0;
    for (const granularity of GRANULARITIES) {
      const edges = bucketEdges(granularity, offsets, from, to);
      const expected = shown[granularity].filter((at) => at >= edges[0]! && at <= edges.at(-1)!);
      const differs = edges.findIndex((edge, i) => edge !== expected[i]);
      expect([zone, granularity, differs, edges.length], iso(edges[differs] ?? 0)).toEqual([
        ...[zone, granularity, -1, expected.length],
      ]);
      buckets += edges.length - 1;
      // What the statement makes of the first, a middle and the last window of buckets: a sample, all where they are few.
      const parameters = new SqlParameters();
      const { at, end } = bucketsOf(granularity, offsets, { from, to }, parameters);
      const every = Math.ceil(edges.length / 2_000);
      const some = edges.slice(0, -1).flatMap((edge, i) => {
        const odd = edges[i + 1]! - edge !== HOUR && granularity === '1h';
        return odd || i % every === 0 ? [{ edge, until: edges[i + 1]! }] : [];
      });
      const list = parameters.add(some.flatMap(({ edge, until }) => [edge, until - 30_000]));
      const { rows } = await sql.query<{ at: string; until: string }>(
        `select extract(epoch from at) * 1000 as at, extract(epoch from ${end}) * 1000 as until from (
           select ordinality, ${at} as at from (
             select ordinality, to_timestamp(ms / 1000.0) as bucket from unnest(${list}::bigint[]) with ordinality as u (ms)
           ) as windows
         ) as found order by ordinality`,
        parameters.values,
      );
      const wrong = rows.findIndex((row, i) => {
        const { edge, until } = some[Math.floor(i / 2)]!;
        return Number(row.at) !== edge || Number(row.until) !== until;
      });
      expect([zone, granularity, wrong, rows.length]).toEqual([zone, granularity, -1, some.length * 2]);
    }
    return buckets;
  }
});
