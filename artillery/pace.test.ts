import { expect, it } from 'vitest';
import { Pace } from './pace.ts';

const AT = Date.parse('2026-11-21T10:00:00Z');

it('is the rate of the busiest stretch of its length, whatever comes before and after', () => {
  const pace = new Pace();
  for (let ms = 0; ms < 10_000; ms += 100) pace.add(AT + ms, 1); // 10/s
  for (let ms = 10_000; ms < 20_000; ms += 10) pace.add(AT + ms, 5); // 500/s
  for (let ms = 60_000; ms < 70_000; ms += 100) pace.add(AT + ms, 1);
  expect(pace.highest(10_000)).toBe(500);
  expect(pace.highest(20_000)).toBe(255);
  expect(pace.highest(5_000)).toBe(500);
});

it('does not make a rate out of an idle time', () => {
  const pace = new Pace();
  pace.add(AT, 100);
  pace.add(AT + 60_000, 100);
  expect(pace.highest(10_000)).toBe(10);
  expect(new Pace().highest(10_000)).toBe(0);
});
