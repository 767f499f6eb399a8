import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TidemarkError } from '../errors.ts';
import {
  bucketEndOf,
  bucketOf,
  checkTimezone,
  coarsestLevel,
  followsTimezone,
  GRANULARITIES,
  GRANULARITY_MS,
} from './granularity.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe('coarsestLevel', () => {
  const zones = ['UTC', 'Europe/London', 'Africa/Abidjan', 'Asia/Kathmandu', 'Australia/Lord_Howe'];
  const zone = fc.constantFrom(
    ...zones,
    'America/New_York',
    'Pacific/Apia',
    'Pacific/Chatham',
    'Europe/Berlin',
  );

  it('never lets a bucket of the level straddle two of the answer', () => {
    fc.assert(
      fc.property(
        zone,
        fc.constantFrom('1h', '1d', '1mo'),
        fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2027, 0) }),
        fc.integer({ min: 1, max: 20 * DAY }),
        (timeZone, granularity, from, length) => {
          const level = coarsestLevel(granularity as '1h', timeZone, from, from + length);
          const step = { raw: 1, '30s': 30_000, '1h': HOUR, '1d': DAY }[level];
          if (level === '30s') return;
          const names = new Intl.DateTimeFormat('en-US', {
            timeZone,
            hourCycle: 'h23',
            year: 'numeric',
            month: 'numeric',
            ...(granularity !== '1mo' && { day: 'numeric' }),
            ...(granularity === '1h' && { hour: 'numeric', timeZoneName: 'longOffset' }),
          });
          for (let at = Math.floor(from / step) * step; at < from + length; at += step) {
            expect([at, names.format(at + step - 1)]).toEqual([at, names.format(at)]);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('reads days where days are those of UTC, hours where the zone is off by whole hours', () => {
    const summer = Date.UTC(2026, 6, 1);
    const winter = Date.UTC(2026, 0, 10);
    expect(coarsestLevel('1d', 'UTC', summer, summer + 30 * DAY)).toBe('1d');
    expect(coarsestLevel('1mo', 'UTC', summer, summer + 300 * DAY)).toBe('1d');
    expect(coarsestLevel('1d', 'Europe/London', winter, winter + 30 * DAY)).toBe('1d');
    expect(coarsestLevel('1d', 'Europe/London', summer, summer + 30 * DAY)).toBe('1h');
    expect(coarsestLevel('1d', 'Asia/Kathmandu', summer, summer + DAY)).toBe('30s');
    expect(coarsestLevel('1h', 'Europe/Berlin', summer, summer + DAY)).toBe('1h');
    expect(coarsestLevel('1h', 'Asia/Kolkata', summer, summer + DAY)).toBe('30s');
    for (const granularity of ['30s', '1m', '5m', '15m'] as const) {
      expect(coarsestLevel(granularity, 'Europe/Berlin', summer, summer + DAY)).toBe('30s');
    }
  });
});

describe('checkTimezone', () => {
  it.each(['UTC', 'GMT', 'Europe/Berlin', 'America/Argentina/Ushuaia', 'Etc/GMT+12', 'asia/kolkata'])(
    'takes %s',
    (name) => expect(checkTimezone(name)).toBe(name),
  );

  it.each(['', 'Nowhere', 'IST', 'CEST', '+02:00', 'Europe/Atlantis', 'UTC\0', `UTC'`, '/', 'Etc/Unknown'])(
    'refuses "%s"',
    (name) => {
      expect(() => checkTimezone(name)).toThrow(TidemarkError);
      expect(() => checkTimezone(name)).toThrow(expect.objectContaining({ code: 'timezone_invalid' }));
    },
  );
});

it('only buckets from an hour up follow the zone', () => {
  for (const granularity of GRANULARITIES) {
    const ofZone = GRANULARITY_MS[granularity] >= HOUR;
    expect(followsTimezone(granularity)).toBe(ofZone);
    expect(bucketOf(granularity, '$9').includes('$9')).toBe(ofZone);
    expect(bucketEndOf(granularity, 'at', '$9').includes('$9')).toBe(GRANULARITY_MS[granularity] >= DAY);
  }
});
