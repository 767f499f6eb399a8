import { expect, it } from 'vitest';
import { timeTicks, valueTicks } from './scale.ts';

it('has round values, 0 among them, of every size', () => {
  expect(valueTicks(0, 103, 5)).toEqual([0, 50, 100]);
  expect(valueTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(valueTicks(0, 0.00034, 4)).toEqual([0, 0.0001, 0.0002, 0.0003]);
  expect(valueTicks(-30, 70, 5)).toEqual([-20, 0, 20, 40, 60]);
  expect(valueTicks(0, 12_345_678, 4)).toEqual([0, 5_000_000, 10_000_000]);
  for (let power = -12; power < 24; power += 0.37) {
    const ticks = valueTicks(0, 10 ** power, 5);
    expect([power, ticks[0], ticks.length >= 2 && ticks.length <= 6]).toEqual([power, 0, true]);
  }
});

const shown = (from: string, to: string, most: number, zone: string) =>
  timeTicks(Date.parse(from), Date.parse(to), most, zone).map(({ text }) => text.join(' ').trim());

it('has times that clocks of the zone show, and days where they begin', () => {
  expect(shown('2026-11-30T10:07:00Z', '2026-11-30T15:07:00Z', 5, 'Asia/Kathmandu')).toEqual([
    '16:00 11-30',
    '17:00',
    '18:00',
    '19:00',
    '20:00',
  ]);
  expect(shown('2026-11-29T22:00:00Z', '2026-11-30T22:00:00Z', 4, 'Europe/Berlin')).toEqual([
    '00:00 11-30',
    '06:00',
    '12:00',
    '18:00',
  ]);
  expect(shown('2026-11-30T10:00:00.500Z', '2026-11-30T10:00:12Z', 12, 'UTC').slice(0, 3)).toEqual([
    '10:00:01 11-30',
    '10:00:02',
    '10:00:03',
  ]);
});

it('goes on by the calendar where clocks are set', () => {
  expect(shown('2026-10-23T22:00:00Z', '2026-10-27T00:00:00Z', 5, 'Europe/Berlin')).toEqual([
    '10-24',
    '10-25',
    '10-26',
    '10-27',
  ]);
  const months = timeTicks(Date.UTC(2026, 0, 1), Date.UTC(2026, 11, 31), 8, 'Europe/Berlin');
  for (const { at } of months) {
    expect(new Date(at).toLocaleTimeString('en-GB', { timeZone: 'Europe/Berlin' })).toBe('00:00:00');
  }
});
