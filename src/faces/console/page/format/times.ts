const UNITS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const formats = new Map<string, Intl.DateTimeFormat>();

/** ms of `30s`, `15m`, `24h`, `7d`; null of anything else. */
export function spanMs(text: string): number | null {
  const [, n, unit] = /^([1-9]\d{0,3})([smhd])$/.exec(text) ?? [];
  return n === undefined ? null : Number(n) * UNITS[unit!]!;
}

export const localZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

export function isZone(zone: string): boolean {
  try {
    return formatOf(zone) !== undefined;
  } catch {
    return false;
  }
}

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (format === undefined) {
    const two = '2-digit';
    const date = { year: 'numeric', month: two, day: two } as const;
    const time = { hour: two, minute: two, second: two, hourCycle: 'h23' } as const;
    format = new Intl.DateTimeFormat('en-CA', { timeZone: zone, ...date, ...time });
    formats.set(zone, format);
  }
  return format;
}

/** What calendar and clock of a zone show: `2026-11-30 12:03:04`. */
export function stamp(date: Date | string | number, zone: string): string {
  const parts: Record<string, string> = {};
  for (const { type, value } of formatOf(zone).formatToParts(new Date(date))) parts[type] = value;
  const { year, month, day, hour, minute, second } = parts;
  return `${year}-${month}-${day} ${hour}:${minute}:${second}`;
}

export const dayOf = (date: Date | string | number, zone: string) => stamp(date, zone).slice(0, 10);
export const clockOf = (date: Date | string | number, zone: string) => stamp(date, zone).slice(11);
/** To the minute: `2026-11-30 12:03`. */
export const minuteOf = (date: Date | string | number, zone: string) => stamp(date, zone).slice(0, 16);

/** How a bucket of a granularity of /v1/usage is called: a day without its time, a minute without its seconds. */
export function bucketOf(date: Date | string | number, granularity: string, zone: string): string {
  const length = { '1mo': 7, '1d': 10, '30s': 19 }[granularity] ?? 16;
  return stamp(date, zone).slice(0, length);
}

/** A length of time: `3 s`, `5 min 10 s`, `2 h 4 min`, `3 d 1 h`. */
export function lengthOf(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1_000));
  if (s < 60) return `${s} s`;
  const [big, small, of, unit, below] =
    s < 3_600
      ? [60, 1, s, 'min', 's']
      : s < 86_400
        ? [3_600, 60, s, 'h', 'min']
        : [86_400, 3_600, s, 'd', 'h'];
  const rest = Math.floor((of % big) / small);
  return `${Math.floor(of / big)} ${unit}${rest > 0 ? ` ${rest} ${below}` : ''}`;
}

/** For <input type="datetime-local">: `2026-11-30T12:03`, in the zone. */
export const toLocal = (date: Date, zone: string) => minuteOf(date, zone).replace(' ', 'T');

/** How far clocks of the zone are ahead of UTC then, in ms. */
export function aheadOf(at: number, zone: string): number {
  const whole = Math.floor(at / 1_000) * 1_000;
  return Date.parse(`${stamp(whole, zone).replace(' ', 'T')}Z`) - whole;
}

/** The instant at which clocks of the zone show what those of UTC show then, in ms; of two, as they are set back, the first. */
export function atClock(shown: number, zone: string): number {
  const candidates = [shown - UNITS.d!, shown + UNITS.d!].map((near) => shown - aheadOf(near, zone));
  return candidates.find((at) => at + aheadOf(at, zone) === shown) ?? candidates[1]!;
}

/** The instant at which clocks of the zone show this; of two, as they are set back, the first. */
export const fromLocal = (text: string, zone: string) =>
  new Date(atClock(Date.parse(`${text.slice(0, 19).padEnd(19, ':00')}Z`), zone));
