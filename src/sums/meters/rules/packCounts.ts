import { TOKEN_KINDS } from '../definition/usageSeries.ts';

/*
 * Tokens of every kind in one number: that of kind n counts as 10^(24 n). `sum()` and `+` add all of them up, on every level, and
 * 24 digits have room for 10^8 events of as many tokens as an event can say.
 */

/** Digits of each kind. */
export const DIGITS_OF_KIND = 24;

/** @param counts of each of `TOKEN_KINDS`, whole and not negative. */
export function packCounts(counts: readonly (number | bigint)[]): string {
  let packed = '';
  for (let kind = TOKEN_KINDS.length - 1; kind >= 0; kind--) {
    const digits = BigInt(counts[kind]!).toString();
    packed += packed === '' ? (digits === '0' ? '' : digits) : digits.padStart(DIGITS_OF_KIND, '0');
  }
  return packed === '' ? '0' : packed;
}

/** The inverse. @param packed digits, as PostgreSQL prints them. @returns the count of each of `TOKEN_KINDS`. */
export function unpackCounts(packed: string): bigint[] {
  return TOKEN_KINDS.map((_, kind) => {
    const end = packed.length - kind * DIGITS_OF_KIND;
    return end <= 0 ? 0n : BigInt(packed.slice(Math.max(0, end - DIGITS_OF_KIND), end));
  });
}
