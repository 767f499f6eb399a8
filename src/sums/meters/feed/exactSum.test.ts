import { describe, expect, it } from 'vitest';
import { fromUnits, toUnits } from '../../../model/decimal.ts';
import { ExactSum } from './exactSum.ts';

const sumOf = (values: string[]) => {
  const sum = new ExactSum();
  for (const value of values) sum.add(value);
  return sum.toString();
};
const byHand = (values: string[]) => fromUnits(values.reduce((units, value) => units + toUnits(value), 0n));

describe('ExactSum', () => {
  it.each([
    [[], '0'],
    [['0.1', '0.2'], '0.3'],
    [['1', '-1'], '0'],
    [['-0.5', '0.25'], '-0.25'],
    [['0.000001', '0.0000001'], '0.0000011'],
    [['99999999999999999999', '0.000000000000000001'], '99999999999999999999.000000000000000001'],
    [['2147483647.999999', '2147483648', '-2147483649'], '2147483646.999999'],
  ])('%j is %s', (values, sum) => {
    expect(sumOf(values)).toBe(sum);
  });

  it('does not lose a millionth where doubles would', () => {
    const values = Array.from({ length: 5_000 }, (_, i) => `${2_147_483_000 + (i % 647)}.${100_001 + i}`);
    expect(sumOf(values)).toBe(byHand(values));
    expect(Number(sumOf(values)) * 1e6).toBeGreaterThan(2 ** 52);
  });

  it('is the sum by hand of decimals of all sizes (seed 7)', () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    for (let round = 0; round < 300; round++) {
      const values = Array.from({ length: 1 + random(20) }, () => {
        const whole = String(random(2_147_483_646))
          .padEnd(random(20), '7')
          .slice(0, 1 + random(20));
        const fraction = String(random(2_147_483_646)).padEnd(random(18), '3').slice(0, random(19));
        const text = BigInt(whole) + (fraction.replace(/0+$/, '') && `.${fraction.replace(/0+$/, '')}`);
        return random(3) === 0 && text !== '0' ? `-${text}` : text;
      });
      expect(sumOf(values), values.join(' + ')).toBe(byHand(values));
    }
  });
});
