import { expect, test } from 'vitest';
import { count, delimiter, duration, joined, moment, uuid } from './arguments.ts';

test('durations', () => {
  expect(['90s', '10m', '1.5h', '7d', '0s'].map(duration)).toEqual([
    90_000, 600_000, 5_400_000, 604_800_000, 0,
  ]);
  for (const text of ['90', 's', '-1s', '1w', '1 h', ''])
    expect(() => duration(text)).toThrow('write it as 90s');
});

test('moments: a date is its first moment, and without a zone they are UTC', () => {
  expect(moment('2026-11-01')).toBe(Date.UTC(2026, 10, 1));
  expect(moment('2026-11-01T12:00:00')).toBe(Date.UTC(2026, 10, 1, 12));
  expect(moment('2026-11-01T12:00:00+02:00')).toBe(Date.UTC(2026, 10, 1, 10));
  for (const text of ['2026-02-30', 'yesterday', '2026', '1969-12-31']) {
    expect(() => moment(text)).toThrow('write it as 2026-11-01');
  }
});

test('numbers, ids, delimiters and lists', () => {
  expect(count('12')).toBe(12);
  expect(() => count('-1')).toThrow('a whole number');
  expect(uuid('019AA3F2-7C1E-7B3A-9D55-3F1C2B4A5E60')).toBe('019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60');
  expect(() => uuid('7')).toThrow('an id as');
  expect([delimiter(';'), delimiter('tab')]).toEqual([';', '\t']);
  for (const text of ['ab', '"', '\n']) expect(() => delimiter(text)).toThrow('one character');
  expect(joined('b', joined('a', undefined))).toBe('a,b');
});
