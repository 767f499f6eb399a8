const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/;

/**
 * A decimal without exponent, redundant zeros and plus sign: `1.50e2` becomes `150`, `-0.0` becomes `0`. No digit is
 * lost, so it may get long: the exponent is the caller's to bound.
 *
 * @param text a JSON number, or a decimal as `parseDecimal` takes it; at least one digit before the exponent.
 */
export function plainDecimal(text: string): string {
  const match = DECIMAL.exec(text);
  if (!match) throw new RangeError(`not a decimal: ${text.slice(0, 40)}`);
  const [, sign, whole = '', fraction = '', exponent = '0'] = match;
  if (!/[1-9]/.test(whole + fraction)) return '0';
  const { integer, rest } = aroundPoint(whole, fraction, Number(exponent));
  return `${sign === '-' ? '-' : ''}${integer || '0'}${rest && `.${rest}`}`;
}

/**
 * The digits before and after the point once it has been moved by the exponent, without redundant zeros: either may be
 * empty. They get as long as the exponent says.
 */
export function aroundPoint(
  whole: string,
  fraction: string,
  exponent: number,
): { integer: string; rest: string } {
  const digits = whole + fraction;
  const point = whole.length + exponent;
  return {
    integer: (point <= 0 ? '' : digits.slice(0, point).padEnd(point, '0')).replace(/^0+/, ''),
    rest: withoutZerosAtEnd(point >= 0 ? digits.slice(point) : '0'.repeat(-point) + digits),
  };
}

/** Digits but for the zeros at their end. By a loop: /0+$/ looks at a run of ten thousand zeros from each of its places. */
function withoutZerosAtEnd(digits: string): string {
  let end = digits.length;
  while (end > 0 && digits.charCodeAt(end - 1) === 48) end--;
  return digits.slice(0, end);
}

/** The order of two decimals as `plainDecimal` writes them: below 0, 0 or above 0. */
export function compareDecimals(a: string, b: string): number {
  if (a === b) return 0;
  const negative = a.startsWith('-');
  if (negative !== b.startsWith('-')) return negative ? -1 : 1;
  const order = comparePositive(negative ? a.slice(1) : a, negative ? b.slice(1) : b);
  return negative ? -order : order;
}

function comparePositive(a: string, b: string): number {
  const wholeOfA = lengthOfWhole(a);
  const wholeOfB = lengthOfWhole(b);
  if (wholeOfA !== wholeOfB) return wholeOfA - wholeOfB;
  return a < b ? -1 : 1; // as texts: the points are in the same place, and nothing is below any digit
}

function lengthOfWhole(decimal: string): number {
  const point = decimal.indexOf('.');
  return point < 0 ? decimal.length : point;
}

/** How many digits a JSON number has without exponent, zeros in between included. */
export function digitsOf(number: string): { whole: number; fraction: number } {
  const match = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number)!;
  const [, whole = '', fraction = '', exponent = '0'] = match;
  const shift = Number(exponent);
  return { whole: Math.max(1, whole.length + shift), fraction: Math.max(0, fraction.length - shift) };
}
