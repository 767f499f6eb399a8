import { expect, test } from 'vitest';
import { bytes, duration } from './progress.ts';

test('bytes in words', () => {
  expect([0, 999, 1_000, 62_697_114, 1e13, 1e18].map(bytes)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '62.7 MB',
    '10.0 TB',
    '1000000.0 TB',
  ]);
});

test('seconds in words', () => {
  expect([-1, 0.4, 59, 65, 3_725].map(duration)).toEqual(['0 s', '0 s', '59 s', '1:05', '1:02:05']);
});
