import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { SqlParameters } from '../../ground/db/sqlParameters.ts';
import { UTC, type ZoneOffset } from '../../ground/zones/zoneOffset.ts';
import { bucketsOf } from './buckets.ts';
import {
  bucketEdges,
  bucketStart,
  followsTimezone,
  GRANULARITIES,
  GRANULARITY_MS,
  type Granularity,
} from './granularity.ts';
import { LEVEL_MS } from './segments.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** A zone whose clock is set at these moments, after which it is so many hours ahead. */
const zone = (hours: number, ...changes: [at: string, hours: number][]): ZoneOffset[] => [
  { from: 0, offsetMs: hours * HOUR },
  ...changes.map(([at, ahead]) => ({ from: Date.parse(at), offsetMs: ahead * HOUR })),
];
const edges = (granularity: Granularity, offsets: readonly ZoneOffset[], from: string, to: string) =>
  bucketEdges(granularity, offsets, Date.parse(from), Date.parse(to)).map((at) =>
    new Date(at).toISOString().slice(0, 16),
  );

describe('a day', () => {
  test('begins at the first of two midnights', () => {
    const havana = zone(-4, ['2026-11-01T05:00Z', -5]);
    expect(edges('1d', havana, '2026-10-31T12:00Z', '2026-11-01T12:00Z')).toEqual([
      ...['2026-10-31T04:00', '2026-11-01T04:00', '2026-11-02T05:00'],
    ]);
    expect(edges('1mo', havana, '2026-10-31T12:00Z', '2026-11-01T12:00Z')).toEqual([
      ...['2026-10-01T04:00', '2026-11-01T04:00', '2026-12-01T05:00'],
    ]);
  });

  test('begins when the clock is set where there is no midnight', () => {
    const santiago = zone(-4, ['2026-09-06T04:00Z', -3]);
    expect(edges('1d', santiago, '2026-09-05T12:00Z', '2026-09-06T12:00Z')).toEqual([
      ...['2026-09-05T04:00', '2026-09-06T04:00', '2026-09-07T03:00'],
    ]);
  });

  test('is not ended by a clock that is set back over midnight', () => {
    const stJohns = zone(-2.5, ['2010-11-07T02:31Z', -3.5]);
    expect(edges('1d', stJohns, '2010-11-06T12:00Z', '2010-11-07T12:00Z')).toEqual([
      ...['2010-11-06T02:30', '2010-11-07T02:30', '2010-11-08T03:30'],
    ]);
    const december = zone(1, ['2025-11-30T23:10Z', 0]);
    expect(edges('1mo', december, '2025-11-30T22:00Z', '2025-11-30T23:30Z')).toEqual([
      ...['2025-10-31T23:00', '2025-11-30T23:00', '2026-01-01T00:00'],
    ]);
  });

  test('may be left out', () => {
    const apia = zone(-10, ['2011-12-30T10:00Z', 14]);
    expect(edges('1d', apia, '2011-12-29T12:00Z', '2011-12-31T12:00Z')).toEqual([
      ...['2011-12-29T10:00', '2011-12-30T10:00', '2011-12-31T10:00', '2012-01-01T10:00'],
    ]);
    expect(edges('1mo', apia, '2011-12-29T12:00Z', '2011-12-31T12:00Z')).toEqual([
      ...['2011-12-01T10:00', '2011-12-31T10:00', '2012-01-31T10:00'],
    ]);
  });
});

describe('an hour', () => {
  test('begins when the clock is set, too', () => {
    const lordHowe = zone(11, ['2026-04-04T15:00Z', 10.5], ['2026-10-03T15:30Z', 11]);
    expect(edges('1h', lordHowe, '2026-04-04T14:00Z', '2026-04-04T17:00Z')).toEqual([
      ...['2026-04-04T14:00', '2026-04-04T15:00', '2026-04-04T15:30', '2026-04-04T16:30', '2026-04-04T17:30'],
    ]);
    expect(edges('1h', lordHowe, '2026-10-03T15:00Z', '2026-10-03T17:00Z')).toEqual([
      ...['2026-10-03T14:30', '2026-10-03T15:30', '2026-10-03T16:00', '2026-10-03T17:00'],
    ]);
  });

  test('comes twice where a clock is set back by one', () => {
    const berlin = zone(2, ['2026-10-25T01:00Z', 1]);
    expect(edges('1h', berlin, '2026-10-25T00:00Z', '2026-10-25T03:00Z')).toEqual([
      ...['2026-10-25T00:00', '2026-10-25T01:00', '2026-10-25T02:00', '2026-10-25T03:00'],
    ]);
  });
});

/** A clock that is set a few times, by whatever, at whatever minute. */
const anyZone = fc
  .tuple(
    fc.integer({ min: -56, max: 56 }),
    fc.array(fc.tuple(fc.integer({ min: 1_441, max: 80_000 }), fc.integer({ min: -56, max: 56 })), {
      maxLength: 5,
    }),
  )
  .map(([first, changes]) => {
    const offsets: ZoneOffset[] = [{ from: 0, offsetMs: first * 15 * MINUTE }];
    for (const [minutes, quarters] of changes) {
      offsets.push({ from: offsets.at(-1)!.from + minutes * MINUTE, offsetMs: quarters * 15 * MINUTE });
    }
    return offsets;
  });
const START = 100 * DAY;

describe('of any clock', () => {
  it('buckets leave no gap, and each moment has one that holds it', () => {
    fc.assert(
      fc.property(
        anyZone,
        fc.constantFrom(...GRANULARITIES),
        fc.integer({ min: START, max: START + 300 * DAY }),
        fc.integer({ min: 1, max: 3 * DAY }),
        (offsets, granularity, from, length) => {
          const found = bucketEdges(granularity, offsets, from, from + length);
          expect(found[0]).toBeLessThanOrEqual(from);
          expect(found[1]).toBeGreaterThan(from);
          expect(found.at(-1)).toBeGreaterThanOrEqual(from + length);
          expect(found.at(-2)).toBeLessThan(from + length);
          expect(found.filter((edge, i) => i > 0 && edge <= found[i - 1]!)).toEqual([]);
          for (const i of [0, 1, found.length - 2].filter((i) => found[i]! >= START)) {
            expect(bucketStart(granularity, offsets, found[i]!)).toBe(found[i]);
            expect(
              bucketStart(granularity, offsets, found[i + 1] === undefined ? found[i]! : found[i + 1]! - 1),
            ).toBe(found[i]);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('no bucket of the level that is read straddles two of the answer', () => {
    fc.assert(
      fc.property(
        anyZone,
        fc.constantFrom('1h', '1d', '1mo'),
        fc.integer({ min: START, max: START + 300 * DAY }),
        fc.integer({ min: 1, max: 20 * DAY }),
        (offsets, granularity, from, length) => {
          const range = { from, to: from + length };
          const { coarsest } = bucketsOf(granularity, offsets, range, new SqlParameters());
          const size = LEVEL_MS[coarsest];
          const straddled = bucketEdges(granularity, offsets, from, range.to)
            .slice(1, -1)
            .filter((edge) => edge % size !== 0);
          expect(straddled).toEqual([]);
        },
      ),
      { numRuns: 200 },
    );
  });
});

it('reads days where days are those of UTC, hours where the zone is off by whole hours', () => {
  const level = (granularity: Granularity, offsets: readonly ZoneOffset[], from: string, days: number) => {
    const range = { from: Date.parse(from), to: Date.parse(from) + days * DAY };
    return bucketsOf(granularity, offsets, range, new SqlParameters()).coarsest;
  };
  const london = zone(0, ['2026-03-29T01:00Z', 1], ['2026-10-25T01:00Z', 0]);
  expect(level('1d', UTC, '2026-07-01', 30)).toBe('1d');
  expect(level('1mo', UTC, '2026-07-01', 300)).toBe('1d');
  expect(level('1d', london, '2026-01-10', 30)).toBe('1d');
  expect(level('1d', london, '2026-07-01', 30)).toBe('1h');
  expect(level('1d', zone(5.75), '2026-07-01', 3)).toBe('30s');
  expect(level('1h', zone(1), '2026-07-01', 1)).toBe('1h');
  expect(level('1h', zone(5.5), '2026-07-01', 1)).toBe('30s');
  for (const granularity of ['30s', '1m', '5m', '15m'] as const) {
    expect(level(granularity, zone(1), '2026-07-01', 1)).toBe('30s');
  }
});

it('only buckets from an hour up follow the zone', () => {
  for (const granularity of GRANULARITIES) {
    const ofZone = GRANULARITY_MS[granularity] >= HOUR;
    expect(followsTimezone(granularity)).toBe(ofZone);
    const starts = [0, 5.5].map((hours) => bucketStart(granularity, zone(hours), START + 12_345_678));
    expect(starts[0] === starts[1]).toBe(!ofZone);
  }
});
