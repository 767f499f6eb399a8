import { expect, it } from 'vitest';
import { bucketOf, fromLocal, isZone, lengthOf, spanMs, stamp, toLocal } from './times.ts';

it('shows what clocks of the zone show', () => {
  expect(stamp('2026-11-30T23:30:05.999Z', 'Asia/Kathmandu')).toBe('2026-12-01 05:15:05');
  expect(stamp('2026-07-01T22:00:00Z', 'Europe/Berlin')).toBe('2026-07-02 00:00:00');
  expect(bucketOf('2026-06-30T22:00:00Z', '1mo', 'Europe/Berlin')).toBe('2026-07');
});

it.each([
  ['an ordinary time', '2026-11-30T12:03', '2026-11-30T11:03:00.000Z'],
  ['the hours after clocks were set back', '2026-10-25T12:00', '2026-10-25T11:00:00.000Z'],
  ['the hours before it', '2026-10-25T01:00', '2026-10-24T23:00:00.000Z'],
  ['an hour that is there twice: the first', '2026-10-25T02:30', '2026-10-25T00:30:00.000Z'],
  ['the hours after clocks were set forward', '2026-03-29T12:00', '2026-03-29T10:00:00.000Z'],
  ['with its seconds', '2026-03-29T12:00:07', '2026-03-29T10:00:07.000Z'],
])('finds the instant of %s', (_, text, instant) => {
  expect(fromLocal(text, 'Europe/Berlin').toISOString()).toBe(instant);
});

it('finds every minute of a year again, where there is one', () => {
  for (const zone of ['Europe/Berlin', 'America/Sao_Paulo', 'Australia/Lord_Howe', 'Asia/Kolkata', 'UTC']) {
    for (let at = Date.UTC(2026, 0, 1); at < Date.UTC(2027, 0, 1); at += 7 * 3_600_000 + 60_000) {
      const date = new Date(at);
      expect(stamp(fromLocal(toLocal(date, zone), zone), zone)).toBe(stamp(date, zone));
    }
  }
});

it('knows spans and lengths', () => {
  expect([spanMs('15m'), spanMs('7d'), spanMs('0h'), spanMs('7'), spanMs('x')]).toEqual([
    900_000,
    604_800_000,
    null,
    null,
    null,
  ]);
  expect([3_400, 310_000, 7_440_000, 90_000_000, -5].map(lengthOf)).toEqual([
    '3 s',
    '5 min 10 s',
    '2 h 4 min',
    '1 d 1 h',
    '0 s',
  ]);
  expect([isZone('Europe/Berlin'), isZone('Nowhere/Else')]).toEqual([true, false]);
});
