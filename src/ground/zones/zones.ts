import { TidemarkError } from '../../model/errors.ts';
import type { Queryable } from '../db/queryable.ts';
import { errorCode, INVALID_PARAMETER_VALUE } from '../db/sqlstate.ts';
import { readOffsets } from './readOffsets.ts';
import { isUtc, namesOf } from './zoneNames.ts';
import { UTC, type ZoneOffset } from './zoneOffset.ts';
import { readZoneRules, type ZoneRules } from './zoneRules.ts';

/** How long what the database said is taken for what it would say: its rules change with an update of the server's. */
const KEEP_MS = 600_000;
/** What is known of a zone beyond what was asked for: a month before it may begin two months earlier. */
const MARGIN_MS = 150 * 86_400_000;
/** A longer stretch is not kept together with another one. */
const MAX_KEPT_MS = 40 * 366 * 86_400_000;

interface Known {
  /** What the database calls it. */
  name: string;
  from: number;
  to: number;
  offsets: readonly ZoneOffset[];
  until: number;
}

/**
 * Time zones as the database has them, the one authority for every step of an answer: what it says of a zone is read
 * before, and everything else goes by that.
 */
export class Zones {
  private readonly db: Queryable;
  private readonly known = new Map<string, Known>();
  private lastRules: { rules: ZoneRules; until: number } | undefined;

  constructor(db: Queryable) {
    this.db = db;
  }

  /**
   * What the zone's clock is ahead of UTC, from 150 days before `from` to as many after `to`.
   *
   * @param zone a name from the IANA time zone database, an old one too, in any case.
   * @param from in ms since the epoch, as `to`.
   * @throws {TidemarkError} `timezone_invalid`.
   */
  async offsets(zone: string, from: number, to: number): Promise<readonly ZoneOffset[]> {
    const names = namesOf(zone);
    if (isUtc(zone)) return UTC;
    const key = zone.toLowerCase();
    const known = this.known.get(key);
    const fresh = known !== undefined && Date.now() < known.until;
    const wanted = { from: from - MARGIN_MS, to: to + MARGIN_MS };
    if (fresh && known.from <= wanted.from && wanted.to <= known.to) return known.offsets;
    const range = fresh ? joined(known, wanted) : wanted;
    const read = await this.read(fresh ? [known.name] : names, range);
    if (read === undefined) throw await this.unknown(zone);
    this.known.set(key, { ...read, ...range, until: Date.now() + KEEP_MS });
    return read.offsets;
  }

  /** Which release of the IANA time zone database the server's rules are of, by what they say. */
  async rules(): Promise<ZoneRules> {
    if (this.lastRules === undefined || Date.now() >= this.lastRules.until) {
      this.lastRules = { rules: await readZoneRules(this.db), until: Date.now() + KEEP_MS };
    }
    return this.lastRules.rules;
  }

  private async read(
    names: string[],
    { from, to }: { from: number; to: number },
  ): Promise<Pick<Known, 'name' | 'offsets'> | undefined> {
    for (const name of names) {
      try {
        return { name, offsets: await readOffsets(this.db, name, from, to) };
      } catch (error) {
        if (errorCode(error) !== INVALID_PARAMETER_VALUE) throw error;
      }
    }
    return undefined;
  }

  private async unknown(zone: string): Promise<TidemarkError> {
    const { release } = await this.rules();
    return new TidemarkError(
      'timezone_invalid',
      `${zone} is not a time zone that the database knows, whose rules are those of tzdata ${release}; use a name such as Europe/Berlin`,
    );
  }
}

function joined(a: { from: number; to: number }, b: { from: number; to: number }) {
  const both = { from: Math.min(a.from, b.from), to: Math.max(a.to, b.to) };
  return both.to - both.from <= MAX_KEPT_MS ? both : b;
}
