import { sumOf } from './sumOf.ts';

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const SOME = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });
const SHORT = new Intl.NumberFormat('en-US', { notation: 'compact', maximumSignificantDigits: 3 });

/** For what is not known. */
export const NOTHING = '–';

/** All digits of a count, grouped: `12,345`. */
export const whole = (n: number | null | undefined) => (n == null ? NOTHING : WHOLE.format(n));

/** A count of things: `1 event`, `1,200 events`. */
export const many = (n: number, thing: string) => `${whole(n)} ${thing}${n === 1 ? '' : 's'}`;

/** A count to three digits: `12.3K`. */
export const short = (n: number | null | undefined) =>
  n == null ? NOTHING : Math.abs(n) < 1_000 ? SOME.format(n) : SHORT.format(n);

/** All digits of an exact decimal, grouped. It stays a text: as a number it could lose some. */
export function decimal(text: string | null | undefined): string {
  if (text == null) return NOTHING;
  const [whole = '', fraction] = text.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** A count, or an exact decimal. */
export const figure = (value: number | string | null | undefined) =>
  typeof value === 'string' ? decimal(value) : whole(value);

/** Whether one exact decimal is greater than another: to the last digit. */
export function exceeds(one: string, other: string): boolean {
  const difference = sumOf([one, other.startsWith('-') ? other.slice(1) : `-${other}`]);
  return difference !== '0' && !difference.startsWith('-');
}

/** A latency in ms. */
export const latency = (ms: number | null | undefined) =>
  ms == null ? NOTHING : ms < 1_000 ? `${SOME.format(ms)} ms` : `${SOME.format(ms / 1_000)} s`;

/** A share in percent: `1.25 %`. */
export const share = (part: number, of: number) =>
  of === 0 ? NOTHING : `${SOME.format((100 * part) / of)} %`;

/** How much more or less than before: `+4.2 %`; nothing where there was nothing. */
export function change(now: number, before: number): string {
  if (before === 0) return NOTHING;
  const percent = (100 * (now - before)) / before;
  return `${percent > 0 ? '+' : percent < 0 ? '−' : '±'}${SOME.format(Math.abs(percent))} %`;
}

/** What was added, with its sign: `+3`, `−1.5`, `±0`. Of an exact decimal all digits. */
export function signed(difference: number | string): string {
  const text = String(difference);
  if (/^-?0(\.0*)?$/.test(text)) return '±0';
  return text.startsWith('-') ? `−${decimal(text.slice(1))}` : `+${decimal(text)}`;
}

/** An exact decimal with the other sign. */
export const negated = (text: string) =>
  text.startsWith('-') ? text.slice(1) : /^0(\.0*)?$/.test(text) ? text : `-${text}`;
