import { expect, it } from 'vitest';
import { change, decimal, latency, many, negated, short, signed, whole } from './numbers.ts';
import { sumOf } from './sumOf.ts';

it('keeps every digit of a decimal, and groups those before the point', () => {
  expect(decimal('12345678901234567890.123456789012345678')).toBe(
    '12,345,678,901,234,567,890.123456789012345678',
  );
  expect(decimal('-1234')).toBe('-1,234');
  expect(decimal('-123.4567')).toBe('-123.4567');
  expect(decimal('0')).toBe('0');
  expect(decimal(null)).toBe('–');
});

it('adds decimals up exactly', () => {
  expect(sumOf(['0.1', '0.2'])).toBe('0.3');
  expect(sumOf(['99999999999999999999.999999999999999999', '0.000000000000000001'])).toBe(
    '100000000000000000000',
  );
  expect(sumOf(['-0.5', '0.25'])).toBe('-0.25');
  expect(sumOf(['-1.50', '2'])).toBe('0.5');
  expect(sumOf([])).toBe('0');
});

it('shows numbers as people read them', () => {
  expect(whole(1234567)).toBe('1,234,567');
  expect([short(999), short(12_345), short(0.12345), short(null)]).toEqual(['999', '12.3K', '0.123', '–']);
  expect([latency(12.345), latency(1_234), latency(undefined)]).toEqual(['12.3 ms', '1.23 s', '–']);
  expect([change(110, 100), change(50, 100), change(1, 1), change(1, 0)]).toEqual([
    '+10 %',
    '−50 %',
    '±0 %',
    '–',
  ]);
});

it('shows what was added with its sign, and takes it away', () => {
  expect([signed(3), signed(-1234), signed(0), signed('0.00'), signed('-0')]).toEqual([
    '+3',
    '−1,234',
    '±0',
    '±0',
    '±0',
  ]);
  expect(signed('-12345678901234567890.5')).toBe('−12,345,678,901,234,567,890.5');
  expect([negated('1.5'), negated('-1.5'), negated('0'), negated('0.0')]).toEqual([
    '-1.5',
    '1.5',
    '0',
    '0.0',
  ]);
});

it('counts one thing, and several', () => {
  expect([many(0, 'event'), many(1, 'event'), many(1_200, 'event')]).toEqual([
    '0 events',
    '1 event',
    '1,200 events',
  ]);
});
