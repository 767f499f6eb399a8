import { fromUnits, toUnits } from '../../../model/decimal.ts';

/** Digits after the point that a number in millionths has. */
const SCALE = 1_000_000;
/** A double below it times a million is an integer once it is rounded: what it lacks of the decimal is less than half. */
const MOST = 2 ** 31;
/** Above it a sum of millionths could lose one with the next. */
const FULL = 2 ** 52;
const UNITS_OF_MILLIONTH = 10n ** 12n;

/**
 * An exact sum of decimals of at most 18 digits after the point. Those that most values are, small and of few digits, are
 * added as millionths in a double; a bigint has the others, and what gets too large.
 */
export class ExactSum {
  private millionths = 0;
  private units = 0n;

  /** @param value as `parseDecimal` returns it. */
  add(value: string): void {
    const millionths = millionthsOf(value);
    if (millionths === null) {
      this.units += toUnits(value);
      return;
    }
    this.millionths += millionths;
    if (Math.abs(this.millionths) > FULL) this.settle();
  }

  /** The sum, in the notation of what was added, but without bound. */
  toString(): string {
    if (this.units === 0n && this.millionths % SCALE === 0) return String(this.millionths / SCALE || 0);
    this.settle();
    return fromUnits(this.units);
  }

  private settle(): void {
    this.units += BigInt(this.millionths) * UNITS_OF_MILLIONTH;
    this.millionths = 0;
  }
}

/** Null where it is too large, or has more digits. */
function millionthsOf(value: string): number | null {
  if (value.length > 17) return null; // of 10 digits, a sign and 6 more
  const point = value.indexOf('.');
  if (point >= 0 && value.length - point > 7) return null;
  const number = Number(value);
  if (number >= MOST || number <= -MOST) return null;
  return point < 0 ? number * SCALE : Math.round(number * SCALE);
}
