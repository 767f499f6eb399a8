/** ISO 8601, or a number since 1970 in the unit. */
export const TIME_FORMATS = {
  iso: 'ISO 8601, UTC where there is no zone',
  s: 'seconds since 1970',
  ms: 'milliseconds since 1970',
  us: 'microseconds since 1970',
  ns: 'nanoseconds since 1970',
} as const;
export type TimeFormat = keyof typeof TIME_FORMATS;

const DECIMALS = { s: 6, ms: 3, us: 0, ns: -3 };
const ZONE = '([Zz]|[+\\-\u2212]\\d\\d(?::?\\d\\d)?)?$';
const FORMS = [
  `^(\\d{4})-(\\d\\d)-(\\d\\d)[Tt ](\\d\\d)(?::(\\d\\d)(?::(\\d\\d)(?:[.,](\\d+))?)?)?${ZONE}`,
  `^(\\d{4})(\\d\\d)(\\d\\d)[Tt ](\\d\\d)(?:(\\d\\d)(?:(\\d\\d)(?:[.,](\\d+))?)?)?${ZONE}`,
].map((form) => new RegExp(form));

/** µs since 1970 of a time as the API takes it (src/model/timestamp.ts); NaN: it does not. */
export function microsOf(text: string): number {
  const match = FORMS[0]!.exec(text) ?? FORMS[1]!.exec(text);
  if (!match) {
    const [, whole, fraction = ''] = /^(\d{10}(?:\d{3}){0,3})(?:\.(\d+))?$/.exec(text) ?? [];
    return whole === undefined ? Number.NaN : Number((whole + fraction).slice(0, 16).padEnd(16, '0'));
  }
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const [fraction = '', zone] = match.slice(7);
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const wholeDay = hour === 24 && minute === 0 && second === 0 && !/[1-9]/.test(fraction);
  const isDate = year > 0 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!isDate || zone === undefined || !(hour < 24 || wholeDay) || minute > 59 || second > 60)
    return Number.NaN;
  const [hours, minutes] = [Number(zone.slice(1, 3)), Number(zone.slice(3).replace(':', ''))];
  if (hours > 23 || minutes > 59) return Number.NaN;
  const ahead = (zone[0] === '+' ? 1 : -1) * (hours * 60 + minutes);
  const total = date.getTime() / 60_000 + hour * 60 + minute - (ahead || 0);
  const micros = Number(fraction.slice(0, 6).padEnd(6, '0'));
  if (second < 60) return total * 60_000_000 + second * 1_000_000 + micros;
  return ((total % 1_440) + 1_440) % 1_440 === 1_439 ? total * 60_000_000 + 59_999_999 : Number.NaN;
}

/** A cell as the native event has it, as src/intake/importing/timeFrom has it; what is no time stays as it is. */
export function timeFrom(cell: string, format: TimeFormat): string {
  const text = cell.trim();
  if (format === 'iso') {
    return Number.isNaN(microsOf(text)) && !Number.isNaN(microsOf(`${text}Z`)) ? `${text}Z` : text;
  }
  const [, whole, fraction = '', exponent = '0'] =
    /^\+?(\d{1,30})(?:\.(\d{0,30}))?(?:[eE]\+?(\d{1,2}))?$/.exec(text) ?? [];
  if (whole === undefined) return text;
  const shift = Number(exponent) + DECIMALS[format];
  const digits =
    shift < 0 ? whole.slice(0, shift) || '0' : whole + fraction.slice(0, shift).padEnd(shift, '0');
  const micros = BigInt(digits);
  if (micros >= 253_402_300_800_000_000n) return `${text} ${format}`;
  const iso = new Date(Number(micros / 1_000n)).toISOString();
  const rest = micros % 1_000n;
  return rest === 0n ? iso : `${iso.slice(0, -1)}${String(rest).padStart(3, '0')}Z`;
}

/** The format in which a cell was probably written. */
export function likelyFormat(cell: string): TimeFormat {
  const digits = /^\s*(\d+)(\.\d*)?\s*$/.exec(cell)?.[1]?.length ?? 0;
  return (
    ({ 9: 's', 10: 's', 12: 'ms', 13: 'ms', 15: 'us', 16: 'us', 18: 'ns', 19: 'ns' } as const)[digits] ??
    'iso'
  );
}
