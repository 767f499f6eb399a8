import fc from 'fast-check';
import { afterEach, expect, it, vi } from 'vitest';
import { sumOf } from '../format/sumOf.ts';
import { spanOf, timeTexts } from './times.ts';

afterEach(() => void vi.useRealTimers());

const NOTHING = { range: null, from: null, to: null, granularity: null };

it('adds decimals without losing a digit', () => {
  expect(sumOf([])).toBe('0');
  expect(sumOf(['0.1', '0.2'])).toBe('0.3');
  expect(sumOf(['9007199254740993', '0.000000000000000000001'])).toBe(
    '9007199254740993.000000000000000000001',
  );
  expect(sumOf(['1.5', '-1.50'])).toBe('0');
  expect(sumOf(['-0.25', '-1'])).toBe('-1.25');
  expect(sumOf(['-0.25', '0.1'])).toBe('-0.15');
  const parts = fc.tuple(fc.bigInt({ min: -(10n ** 30n), max: 10n ** 30n }), fc.integer({ min: 0, max: 12 }));
  const decimal = ([digits, scale]: [bigint, number]) => {
    const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, '0');
    const fraction = scale > 0 ? `.${text.slice(-scale)}` : '';
    return `${digits < 0n ? '-' : ''}${scale > 0 ? text.slice(0, -scale) : text}${fraction}`;
  };
  const scaled = ([digits, scale]: [bigint, number]) => digits * 10n ** BigInt(12 - scale);
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 6 }), (all) => {
      const sum = sumOf(all.map(decimal));
      const [whole, fraction = ''] = sum.split('.');
      expect(
        BigInt(whole!.replace('-', '') + fraction.padEnd(12, '0')) * (sum.startsWith('-') ? -1n : 1n),
      ).toBe(all.reduce((total, one) => total + scaled(one), 0n));
      expect(sum).not.toMatch(/^-0$|\.$|\.\d*0$/);
    }),
  );
});

it.each([
  ['24h', 'UTC', '2026-03-28T13:00:00.000Z', '1h'],
  ['2d', 'UTC', '2026-03-28T00:00:00.000Z', '1h'],
  ['30d', 'UTC', '2026-02-28T00:00:00.000Z', '1d'],
  // Their clocks are set on the 29th of March, and on the 8th.
  ['2d', 'Europe/Berlin', '2026-03-27T23:00:00.000Z', '1h'],
  ['1d', 'Europe/Berlin', '2026-03-28T23:00:00.000Z', '1h'],
  ['30d', 'America/New_York', '2026-02-28T05:00:00.000Z', '1d'],
  ['4w', 'Asia/Kathmandu', '2026-03-01T18:15:00.000Z', '1d'],
  ['3h', 'Asia/Kathmandu', '2026-03-29T10:15:00.000Z', '1h'],
  ['12mo', 'UTC', '2025-04-01T00:00:00.000Z', '1mo'],
  ['1y', 'Asia/Tokyo', '2025-03-31T15:00:00.000Z', '1mo'],
])('a range of %s in %s begins where it begins there', (range, zone, from, granularity) => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-03-29T12:34:56Z') });
  expect(spanOf({ ...NOTHING, range }, zone)).toEqual({ from, to: null, granularity });
});

it('takes from, to and granularity as they are', () => {
  const asked = { from: '2026-01-01T00:00:00Z', to: '2026-01-08T00:00:00Z', range: '24h' };
  expect(spanOf({ ...asked, granularity: null }, 'UTC')).toEqual({
    from: asked.from,
    to: asked.to,
    granularity: '1d',
  });
  expect(spanOf({ ...asked, granularity: '15m' }, 'UTC').granularity).toBe('15m');
});

it.each(['', '0d', '30', 'd', '-1d', '1.5d', '99999d', '30D', 'fortnight'])(
  'refuses the range "%s"',
  (range) => {
    expect(() => spanOf({ ...NOTHING, range }, 'UTC')).toThrow(RangeError);
  },
);

it('writes moments by the clock of the zone', () => {
  const at = Date.parse('2026-03-29T22:05:00Z');
  const of = (granularity: string, zone = 'Europe/Berlin') =>
    timeTexts('en-GB', zone, granularity, 3_600_000);
  expect(of('1d').long(at)).toBe('30 Mar 2026');
  expect(of('1mo', 'UTC').long(at)).toBe('March 2026');
  expect(of('1h').short(at)).toBe('00:05');
});
