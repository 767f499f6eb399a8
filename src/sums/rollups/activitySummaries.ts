import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { WINDOW_MS } from '../../model/window.ts';
import type { ActivitySummary } from './activitySummary.ts';
import { countedActivity } from './countedActivity.ts';
import { coveredActivity, readCoverage } from './coveredActivity.ts';
import { GRANULARITY_MS } from './granularity.ts';

export interface ActivityQuery {
  /** [from, to) in ms since the epoch. */
  from: number;
  to: number;
  customerId?: string | undefined;
  cursor?: string | undefined;
  limit: number;
}

/**
 * Activity per hour or day, ascending. Buckets without events are left out.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 */
export async function activitySummaries(
  db: Queryable,
  context: TenantContext,
  granularity: '1h' | '1d',
  query: ActivityQuery,
): Promise<Page<ActivitySummary>> {
  const list: List = { name: `summaries ${granularity}`, key: ['ms'] };
  const after = query.cursor === undefined ? null : decodeCursor(query.cursor, list);
  const { to, customerId, limit } = query;
  const from = after ? Math.max(query.from, (after[0] as number) + GRANULARITY_MS[granularity]) : query.from;
  const most = limit + 1;
  const found =
    customerId === undefined
      ? await activityOfAll(db, context, granularity, { from, to }, most)
      : from < to
        ? await countedActivity(db, context, granularity, { from, to }, customerId, most)
        : [];
  return pageOf(found, limit, list, (summary) => [Date.parse(summary.bucket)]);
}

/**
 * Whole buckets from the activity tables, and parts of one before and after them counted. A last bucket counts as whole
 * when the range holds all of it that is covered.
 */
async function activityOfAll(
  db: Queryable,
  context: TenantContext,
  granularity: '1h' | '1d',
  { from, to }: { from: number; to: number },
  most: number,
): Promise<ActivitySummary[]> {
  if (from >= to) return [];
  const length = GRANULARITY_MS[granularity];
  const firstWhole = Math.ceil(from / length) * length;
  const coverage = await readCoverage(db, granularity, firstWhole);
  const wholeFrom = Math.min(to, Math.ceil(Math.max(from, coverage.from) / length) * length);
  const lastBucket = Math.max(wholeFrom, Math.floor(to / length) * length);
  const wholeTo = Math.floor(to / WINDOW_MS) * WINDOW_MS >= coverage.until ? to : lastBucket;

  const found: ActivitySummary[] = [];
  const count = async (part: { from: number; to: number }) => {
    if (part.from >= part.to || found.length >= most) return;
    found.push(...(await countedActivity(db, context, granularity, part, undefined, most - found.length)));
  };
  await count({ from, to: wholeFrom });
  if (wholeFrom < wholeTo && found.length < most) {
    const read = (part: { from: number; to: number }) =>
      part.from < part.to
        ? coveredActivity(
            db,
            context,
            granularity,
            { ...part, partial: part.to > lastBucket },
            most - found.length,
          )
        : [];
    const covered = await read({ from: wholeFrom, to: wholeTo });
    if (covered) {
      found.push(...covered);
    } else {
      found.push(...(await read({ from: wholeFrom, to: lastBucket }))!);
      await count({ from: lastBucket, to: wholeTo });
    }
  }
  await count({ from: wholeTo, to });
  return found;
}
