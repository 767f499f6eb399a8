import { expect, it } from 'vitest';
import { rowsBetween } from './runsOfEvents.ts';

const HOUR = 3_600_000_000;

it('rows between two moments are told by the hours that they lie in', () => {
  const hours = new Map([
    [10, 1_000],
    [11, 0],
    [12, 60],
  ]);
  expect(rowsBetween(hours, 10 * HOUR, 10.5 * HOUR)).toBe(500);
  expect(rowsBetween(hours, 10.5 * HOUR, 12.5 * HOUR)).toBe(530);
  expect(rowsBetween(hours, 10.25 * HOUR, 10.25 * HOUR)).toBe(0);
  expect(rowsBetween(hours, 13 * HOUR, 15 * HOUR)).toBe(0);
});
