import type { Queryable } from '../db/queryable.ts';
import { errorCode, INVALID_PARAMETER_VALUE } from '../db/sqlstate.ts';

/** A change of the rules that tells a release from those before it. */
export interface ZoneChange {
  /** Of the IANA time zone database that brought it. */
  release: string;
  zone: string;
  /** When (ms since the epoch) the clock shows whether it is known, in standard time. */
  at: number;
  /** How far the clock is ahead of UTC then, in minutes; before the release it was another. */
  aheadMinutes: number;
  what: string;
}

const WINTER = Date.UTC(2026, 11, 1);
const change = (release: string, zone: string, at: number, hours: number, what: string): ZoneChange => ({
  ...{ release, zone, at, what },
  aheadMinutes: hours * 60,
});

/** Newest first (NEWS of the IANA time zone database). Releases without a change of a clock are not told apart. */
export const ZONE_CHANGES: readonly ZoneChange[] = [
  change('2026f', 'America/Havana', WINTER, -4, 'Cuba stays on -04'),
  change('2026e', 'America/Winnipeg', WINTER, -5, 'Manitoba is on -05 for good'),
  change('2026d', 'America/Inuvik', WINTER, -6, 'the Northwest Territories are on -06 for good'),
  change('2026c', 'America/Edmonton', WINTER, -6, 'Alberta is on -06 for good'),
  change('2026c', 'Africa/Casablanca', WINTER, 0, 'Morocco is on +00 for good'),
  change('2026b', 'America/Vancouver', WINTER, -7, 'British Columbia is on -07 for good'),
  change('2025b', 'America/Coyhaique', Date.UTC(2025, 6, 1), -3, 'Aysén is on -03 for good'),
  change('2025a', 'America/Asuncion', Date.UTC(2025, 6, 1), -3, 'Paraguay is on -03 for good'),
  change('2024a', 'Asia/Almaty', Date.UTC(2024, 5, 1), 5, 'Kazakhstan is on +05'),
  change('2023d', 'Antarctica/Vostok', Date.UTC(2024, 5, 1), 5, 'Vostok is on +05'),
];

/** The newest release whose changes this version knows. */
export const NEWEST_RELEASE = ZONE_CHANGES[0]!.release;

export interface ZoneRules {
  /** `2026b`: that, or a later one without a change of a clock. `before 2023d`: older than what can be told apart. */
  release: string;
  /** The known changes that the rules lack, newest first; empty: they are as new as this version knows. */
  missing: readonly ZoneChange[];
}

/** @param knows whether the rules have the change. */
export async function recogniseRules(knows: (change: ZoneChange) => Promise<boolean>): Promise<ZoneRules> {
  const missing: ZoneChange[] = [];
  let release: string | undefined;
  for (const change of ZONE_CHANGES) {
    if (!(await knows(change))) {
      missing.push(change);
      release = undefined; // of an earlier one, whatever later change has been brought over to it
    } else if (missing.at(-1)?.release !== change.release) release ??= change.release;
  }
  return { release: release ?? `before ${ZONE_CHANGES.at(-1)!.release}`, missing };
}

/** What the database's rules are, by what they say of the known changes. */
export function readZoneRules(db: Queryable): Promise<ZoneRules> {
  return recogniseRules(async ({ zone, at, aheadMinutes }) => {
    try {
      const { rows } = await db.query<{ known: boolean }>({
        name: 'zone rule',
        text: `select to_timestamp($2) at time zone $1 = to_timestamp($2) at time zone 'UTC' + make_interval(mins => $3) as known`,
        values: [zone, at / 1_000, aheadMinutes],
      });
      return rows[0]!.known;
    } catch (error) {
      if (errorCode(error) === INVALID_PARAMETER_VALUE) return false; // it does not know the zone
      throw error;
    }
  });
}

/** One line for people. */
export function describeRules({ release, missing }: ZoneRules): string {
  const rules = `days and months end by the database's time zone rules, those of tzdata ${release}`;
  if (missing.length === 0) return rules;
  const lacking = missing.map((change) => `${change.what} (${change.release})`).join(', ');
  return `${rules}, which do not know that ${lacking}`;
}

/** How to bring them up to date. */
export function adviceFor(): string {
  return (
    `bring the tzdata of the database's machine to ${NEWEST_RELEASE} or later (Debian, Ubuntu: apt-get update && apt-get ` +
    'install --only-upgrade tzdata; another image or minor release where PostgreSQL brings its own), and restart the ' +
    'database; see docs/operations.md, "Time zones"'
  );
}
