import { InvalidArgumentError } from 'commander';
import { parseTimestamp } from '../../model/timestamp.ts';

/* Values of options. Each is refused with what is wrong about it; commander says which one it was. */

const UNIT_MS: Record<string, number> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Reads `90s`, `10m`, `24h` or `7d` to ms. */
export function duration(text: string): number {
  const match = /^(\d{1,9}(?:\.\d+)?)([smhd])$/.exec(text);
  if (!match) throw new InvalidArgumentError('write it as 90s, 10m, 24h or 7d');
  return Number(match[1]) * UNIT_MS[match[2]!]!;
}

/** A date (its first moment in UTC), or a time as `parseTimestamp` takes it, without a zone in UTC; in ms since the epoch. */
export function moment(text: string): number {
  const micros = parseTimestamp(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text, 'utc');
  if (Number.isNaN(micros) || micros < 0) {
    throw new InvalidArgumentError(
      'write it as 2026-11-01, 2026-11-01T12:00:00Z, or seconds since 1970 (10 digits), ms (13), µs (16) or ns (19)',
    );
  }
  return Math.floor(micros / 1_000);
}

/** A moment as `moment` takes it, and whether it was written without a zone, so that another than UTC may be meant. */
export interface WrittenMoment {
  /** In ms since the epoch, in UTC where no zone was written. */
  ms: number;
  zoneless: boolean;
}

export function writtenMoment(text: string): WrittenMoment {
  const isDate = /^\d{4}-\d\d-\d\d$/.test(text);
  return { ms: moment(text), zoneless: isDate || Number.isNaN(parseTimestamp(text)) };
}

/** A whole number from 0 up. */
export function count(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('a whole number is needed');
  return Number(text);
}

export function uuid(text: string): string {
  if (!UUID.test(text)) throw new InvalidArgumentError('an id as "tidemark keys list" prints it is needed');
  return text.toLowerCase();
}

export function backfillId(text: string): string {
  if (!UUID.test(text)) throw new InvalidArgumentError('an id as POST /v1/backfills answers it is needed');
  return text;
}

export function delimiter(text: string): string {
  const character = text === 'tab' || text === '\\t' ? '\t' : text;
  if (character.length !== 1 || /["\r\n]/.test(character)) {
    throw new InvalidArgumentError('one character is needed');
  }
  return character;
}

/** For options that may be given several times. */
export function collected(text: string, previous: string[]): string[] {
  return [...previous, text];
}

/** For options that may be given several times: their lists as one, separated by commas. */
export function joined(text: string, previous: string | undefined): string {
  return previous === undefined || previous === '' ? text : `${previous},${text}`;
}
