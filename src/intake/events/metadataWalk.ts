import { isDoubtful, JsonNumber } from '../../model/json.ts';
import { digitsOf } from '../../model/plainDecimal.ts';

/** Digits before and after the point that a number in metadata may have: PostgreSQL stores and writes it in full. */
export const MAX_NUMBER_DIGITS = 1_000;
/** From here on, and below its inverse, JSON has a number with an exponent, and PostgreSQL writes zeros instead. */
const WITH_EXPONENT = 1e21;
const BELOW_WITH_EXPONENT = 1e-6;
/** At most that many. */
const DIGITS_OF_DOUBLE = 330;

/** A look at all of an event's metadata, once. */
export class MetadataWalk {
  /** Whether some number may be what a double has left of another. */
  doubtful = false;
  /** By how many characters it gets longer when its numbers are written without exponent, at most. */
  longer = 0;
  /** The keys that lead to a number with too many digits, the last one first. */
  tooLong: string[] | undefined;

  /** @returns false where it is nested more deeply than that. */
  enter(value: unknown, levels: number): boolean {
    if (typeof value === 'number') {
      this.meet(value);
      return true;
    }
    if (typeof value !== 'object' || value === null) return true;
    if (value instanceof JsonNumber) {
      const digits = digitsOf(value.toString());
      if (digits.whole > MAX_NUMBER_DIGITS || digits.fraction > MAX_NUMBER_DIGITS) this.tooLong ??= [];
      this.longer += digits.whole + digits.fraction;
      return true;
    }
    if (levels === 0) return false;
    // Nothing here inherits; a list of entries would cost more than the walk.
    for (const key in value) {
      const known = this.tooLong !== undefined;
      if (!this.enter((value as Record<string, unknown>)[key], levels - 1)) return false;
      if (!known && this.tooLong) this.tooLong.push(key);
    }
    return true;
  }

  private meet(value: number): void {
    const size = Math.abs(value);
    if (size >= BELOW_WITH_EXPONENT && size < WITH_EXPONENT) return;
    if (isDoubtful(value)) this.doubtful = true;
    if (size !== 0) this.longer += DIGITS_OF_DOUBLE;
  }
}
