import { StartupError } from '../../model/errors.ts';
import type { ingestVariables } from './ingest.ts';
import { DAY, MINUTE, type Variables, wholeNumber } from './values.ts';

/** Days; 0: for ever, or never. */
const days = wholeNumber(0, 36_500);

export const retentionVariables = {
  EVENT_RETENTION_DAYS: days.default(0),
  USAGE_30S_RETENTION_DAYS: days.default(0),
  USAGE_1H_RETENTION_DAYS: days.default(0),
  USAGE_1D_RETENTION_DAYS: days.default(0),
  REFERENCE_RETENTION_DAYS: days.default(0),
  IDENTITY_HORIZON_DAYS: days.default(35),
  COLUMNSTORE_AFTER_DAYS: days.default(7),
};

type Environment = Variables<typeof retentionVariables & typeof ingestVariables>;

/** How long what is kept, in days; null: for ever. Written to the database at start, where the loops read it. */
export interface KeptDays {
  event: number | null;
  usage_30s: number | null;
  usage_1h: number | null;
  usage_1d: number | null;
  reference_1d: number | null;
  /** As those of usage. */
  meter_30s: number | null;
  meter_1h: number | null;
  meter_1d: number | null;
  event_key: number | null;
  idempotent_increment: number | null;
}

/** What no variable sets is here for tests, which cannot wait for hours. */
export interface RetentionConfig {
  days: KeptDays;
  /** After how many days events and rollups go into the columnstore (timescale engine); null: never. */
  columnstoreAfterDays: number | null;
  /** Between two looks for what is old, in ms. */
  intervalMs: number;
  /**
   * From the moment that something old is no longer read to its removal, in ms: longer than any read or refresh that
   * began before takes.
   */
  removeAfterMs: number;
  /** Between two passes through the tables that have no index by time, in ms. */
  passEveryMs: number;
}

/** The longest period of an alert rule, in days, and one for where it begins. */
const PERIOD_DAYS = 32;

/** @throws {StartupError} when something would be gone while it can still change, or while something needs it. */
export function retentionConfig(e: Environment): RetentionConfig {
  const accepted = e.ACCEPT_BEHIND_DAYS;
  longer('EVENT_RETENTION_DAYS', e, accepted, 'an event that is accepted would be gone at once');
  longer('IDENTITY_HORIZON_DAYS', e, accepted, 'a retry that is accepted would be counted twice');
  longer(
    'USAGE_1D_RETENTION_DAYS',
    e,
    accepted + PERIOD_DAYS - 1,
    `alert rules sum up months that an event of ${accepted} days ago may fall into`,
    `ACCEPT_BEHIND_DAYS and ${PERIOD_DAYS - 1} more`,
  );
  atLeast('USAGE_30S_RETENTION_DAYS', 'EVENT_RETENTION_DAYS', e);
  atLeast('USAGE_1H_RETENTION_DAYS', 'USAGE_30S_RETENTION_DAYS', e);
  atLeast('USAGE_1D_RETENTION_DAYS', 'USAGE_1H_RETENTION_DAYS', e);
  atLeast('REFERENCE_RETENTION_DAYS', 'EVENT_RETENTION_DAYS', e);
  const identity = orForEver(e.IDENTITY_HORIZON_DAYS);
  return {
    days: {
      event: orForEver(e.EVENT_RETENTION_DAYS),
      usage_30s: orForEver(e.USAGE_30S_RETENTION_DAYS),
      usage_1h: orForEver(e.USAGE_1H_RETENTION_DAYS),
      usage_1d: orForEver(e.USAGE_1D_RETENTION_DAYS),
      reference_1d: orForEver(e.REFERENCE_RETENTION_DAYS),
      meter_30s: orForEver(e.USAGE_30S_RETENTION_DAYS),
      meter_1h: orForEver(e.USAGE_1H_RETENTION_DAYS),
      meter_1d: orForEver(e.USAGE_1D_RETENTION_DAYS),
      event_key: identity,
      idempotent_increment: identity,
    },
    columnstoreAfterDays: orForEver(e.COLUMNSTORE_AFTER_DAYS),
    intervalMs: 5 * MINUTE,
    removeAfterMs: 15 * MINUTE,
    passEveryMs: DAY,
  };
}

type Variable = keyof typeof retentionVariables;

function longer(
  name: Variable,
  e: Environment,
  days: number,
  why: string,
  than = 'ACCEPT_BEHIND_DAYS',
): void {
  if (e[name] === 0 || e[name] > days) return;
  throw new StartupError(`${name} must be 0 or longer than ${than} (${days}): ${why}`);
}

/** What sums up something else is kept as long: a late event has it made anew, and would take the rest for gone. */
function atLeast(name: Variable, source: Variable, e: Environment): void {
  if (e[name] === 0 || (e[source] !== 0 && e[name] >= e[source])) return;
  throw new StartupError(
    `${name} must be 0 or at least ${source} (${e[source] === 0 ? 'for ever' : e[source]}): a late event has a summary ` +
      'made anew of what is kept',
  );
}

function orForEver(days: number): number | null {
  return days === 0 ? null : days;
}
