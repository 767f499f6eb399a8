import { instant } from '../../../ground/db/sqlParameters.ts';
import { WINDOW_MS } from '../../../model/window.ts';
import type { AsOf } from '../../asof/asOf.ts';
import { laterRevisions } from '../../asof/laterRevisions.ts';
import type { Buckets } from '../../rollups/buckets.ts';
import { LEVEL_MS, LEVELS } from '../../rollups/segments.ts';

/** Whose revisions are added up, over which buckets. */
export interface LateSelection {
  /** SQL: the tenant, and the customers that are meant; null: all. */
  tenant: string;
  customers: string | null;
  /** Whether each customer is told apart. */
  byCustomer: boolean;
  buckets: Buckets;
  /** [from, to) in ms, to the microsecond. */
  range: { from: number; to: number };
  /** `revisionsSummedFrom` of the moment, in ms. */
  summedFrom: number;
  /** Without what came after it. Left out: as they are now. */
  asOf?: AsOf | undefined;
}

/**
 * How often late events have changed the windows of each bucket, as an SQL query with `at`, `customer_id` where asked for, and
 * `revision`: those windows that the range touches, of the buckets in `page`, an item of the statement with `at` and `at_end`.
 *
 * Whole hours (of all customers) or days (of some, or of each) come from what cover_activity has added up, with what it has not
 * seen yet; the rest, and what is not summed yet or is about to be removed, from the windows themselves. In one snapshot.
 */
export function lateRevisions({
  tenant,
  customers,
  byCustomer,
  buckets,
  range,
  summedFrom,
  asOf,
}: LateSelection): string {
  const apart = byCustomer || customers !== null;
  const unit = apart ? '1d' : '1h';
  const whose = customers === null ? '' : ` and customer_id = any (${customers})`;
  const select = (relation: string, measure: string, within: string) =>
    `select bucket, customer_id, ${measure} as revision from tenant_data.${relation}
       where tenant_id = ${tenant} and ${within}`;
  const after = 'bucket > (select after from span)';
  const before = 'bucket < (select last_at from span)';
  const windows = (within: string) => select('late_window', 'revision', `${within}${whose}`);

  const length = LEVEL_MS[unit];
  const from = Math.max(Math.ceil(range.from / length) * length, summedFrom);
  const to = Math.floor(range.to / length) * length;
  const fits = LEVELS.indexOf(buckets.coarsest) >= LEVELS.indexOf(unit);
  const parts: string[] = [];
  if (fits && from < to) {
    // What a page has of the range begins and ends with it, or with a bucket: an hour or a day, or many.
    const whole = `bucket >= greatest(${instant(from)}, (select first_at from span))
         and bucket < least(${instant(to)}, (select last_at from span))`;
    const ofWhom = apart ? `customer_id <> ''${whose}` : `customer_id = ''`;
    parts.push(select('late_window_sum', 'revision', `${whole} and ${ofWhom}`));
    // By the index of those that are lacking, which are few: by that of customers, it would be all of the customer's.
    const lacking = `${select('activity_lacking', 'lacking', whole)} offset 0`;
    parts.push(`select * from (${lacking}) as lacking where true${whose}`);
    if (range.from < from) parts.push(windows(`${after} and ${before} and bucket < ${instant(from)}`));
    if (range.to > to) parts.push(windows(`${after} and ${before} and bucket >= ${instant(to)}`));
  } else {
    parts.push(windows(`${after} and ${before}`));
  }
  if (asOf) {
    const later = laterRevisions(asOf, tenant, `${after} and ${before}${whose}`);
    parts.push(`select bucket, customer_id, -1 as revision from ${later} as later`);
  }
  return `with asked as materialized (
       select greatest((select min(at) from page), ${instant(range.from)}) as first_at,
         least((select max(at_end) from page), ${instant(range.to)}) as last_at
       where exists (select from page)
     ), span as materialized (
       -- Worked out here: TimescaleDB takes no condition with an interval in it through a security barrier, to an index.
       select first_at - interval '${WINDOW_MS / 1_000} s' as after, first_at, last_at from asked
     )
     select ${buckets.at} as at${byCustomer ? ', customer_id' : ''}, sum(revision) as revision
     from (${parts.join('\nunion all\n')}) as late
     group by 1${byCustomer ? ', 2' : ''}`;
}
