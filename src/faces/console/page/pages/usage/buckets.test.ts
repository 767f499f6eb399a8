import { expect, it } from 'vitest';
import { bucketStart, bucketsOf, cutOf, earlier, fitting } from './buckets.ts';

const iso = (dates: (Date | number)[]) => dates.map((date) => new Date(date).toISOString());

it('begins buckets where the clock of the zone shows it', () => {
  const at = new Date('2026-03-29T12:34:56.789Z');
  const of = (granularity: Parameters<typeof bucketStart>[1], zone: string) =>
    bucketStart(at, granularity, zone).toISOString();
  expect(of('30s', 'UTC')).toBe('2026-03-29T12:34:30.000Z');
  expect(of('15m', 'Asia/Kathmandu')).toBe('2026-03-29T12:30:00.000Z');
  expect(of('1h', 'Asia/Kathmandu')).toBe('2026-03-29T12:15:00.000Z');
  expect(of('1d', 'Europe/Berlin')).toBe('2026-03-28T23:00:00.000Z');
  expect(of('1mo', 'Europe/Berlin')).toBe('2026-02-28T23:00:00.000Z');
});

it('has every bucket of a range, days of 23 and 25 hours and months of their own lengths', () => {
  const days = bucketsOf(
    new Date('2026-10-23T22:00:00Z'),
    new Date('2026-10-27T00:00:00Z'),
    '1d',
    'Europe/Berlin',
  );
  expect(iso(days)).toEqual([
    '2026-10-23T22:00:00.000Z',
    '2026-10-24T22:00:00.000Z',
    '2026-10-25T23:00:00.000Z',
    '2026-10-26T23:00:00.000Z',
  ]);
  expect(
    bucketsOf(new Date('2026-03-27T23:00:00Z'), new Date('2026-03-30T22:00:00Z'), '1d', 'Europe/Berlin'),
  ).toHaveLength(3);
  const months = bucketsOf(new Date('2026-01-01T00:00:00Z'), new Date('2027-01-01T00:00:00Z'), '1mo', 'UTC');
  expect(iso(months)).toEqual(
    Array.from({ length: 12 }, (_, i) => new Date(Date.UTC(2026, i)).toISOString()),
  );
  expect(
    bucketsOf(new Date('2026-01-01T00:00:10Z'), new Date('2026-01-01T00:01:00Z'), '30s', 'UTC'),
  ).toHaveLength(2);
});

it('goes whole days back by the calendar, and other spans by the clock', () => {
  const at = new Date('2026-10-25T23:00:00Z');
  expect(earlier(at, 86_400_000, 'Europe/Berlin').toISOString()).toBe('2026-10-24T22:00:00.000Z');
  expect(earlier(at, 3_600_000, 'Europe/Berlin').toISOString()).toBe('2026-10-25T22:00:00.000Z');
});

it('cuts a range as it is told, and as it fits where it is told anything else', () => {
  const [from, to] = [new Date('2026-03-01T00:00:00Z'), new Date('2026-03-02T00:00:00Z')];
  const cut = (named: string | null) => cutOf({ from, to, span: null, zone: 'UTC', params: null! }, named);
  expect(['1h', '1mo', null, '', 'xx', 'constructor'].map((named) => cut(named).granularity)).toEqual([
    ...['1h', '1mo'],
    ...['15m', '15m', '15m', '15m'],
  ]);
});

it('takes what can be read', () => {
  expect([900_000, 86_400_000, 7 * 86_400_000, 90 * 86_400_000].map(fitting)).toEqual([
    '30s',
    '15m',
    '1h',
    '1d',
  ]);
});
