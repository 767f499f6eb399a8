/**
 * A bigint or numeric column as a number. Sums stay far below 2^53: src/intake/events/nativeEvent.ts has the bounds.
 */
export function numberOf(value: string | number | null): number {
  return value === null ? 0 : Number(value);
}

/** A numeric column as a plain decimal string: no double ever holds it. Trailing zeros are left out. */
export function decimalOf(value: string | null): string {
  if (value === null) return '0';
  return value.includes('.') ? value.replace(/\.?0+$/, '') : value;
}
