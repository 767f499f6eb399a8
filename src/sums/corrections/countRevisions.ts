import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant, SqlParameters } from '../../ground/db/sqlParameters.ts';
import { requireKept } from '../retention/requireKept.ts';
import { REVISION_CAUSES, type RevisionCause } from './windowHistory.ts';

/** Lengths of a stretch in s. All begin with the epoch, so that they are the same whatever range is asked for. */
export const STRETCHES = {
  '30s': 30,
  '1m': 60,
  '5m': 300,
  '15m': 900,
  '1h': 3_600,
  '6h': 21_600,
  '1d': 86_400,
} as const;
export type Stretch = keyof typeof STRETCHES;

/** How often the windows that start in a stretch of time have changed. */
export interface RevisionCount {
  start: string;
  /** Windows of a customer that have changed. */
  windows: number;
  revisions: number;
  /** The revisions by their cause; those of none are left out. */
  causes: Partial<Record<RevisionCause, number>>;
}

export interface RevisionCounts extends Page<RevisionCount> {
  /** Windows that end by then are closed; null: none has been. */
  closedUntil: string | null;
}

export interface CountQuery {
  /** [from, to) in ms since the epoch; windows that start in it. */
  from: number;
  to: number;
  granularity: Stretch;
  customerId?: string | undefined;
  cursor?: string | undefined;
  limit: number;
}

type Row = { start_ms: string; windows: number; revisions: number } & Record<RevisionCause, number>;

const COUNTS: List = { name: 'revision counts', key: ['ms'] };

/**
 * How often windows have changed, by stretches of time; those in which none has are left out.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 * @throws TM005 where windows are no longer kept that far back.
 */
export async function countRevisions(
  db: Queryable,
  context: TenantContext,
  { from, to, granularity, customerId, cursor, limit }: CountQuery,
): Promise<RevisionCounts> {
  await requireKept(db, 'usage_30s', from);
  const parameters = new SqlParameters();
  const seconds = STRETCHES[granularity];
  const conditions = [
    `tenant_id = ${parameters.add(context.tenantId)}`,
    `bucket >= ${instant(from)}`,
    `bucket < ${instant(to)}`,
  ];
  if (customerId !== undefined) conditions.push(`customer_id = ${parameters.add(customerId)}`);
  if (cursor !== undefined) {
    const [start] = decodeCursor(cursor, COUNTS);
    conditions.push(`bucket >= ${instant((start as number) + seconds * 1_000)}`);
  }
  const causes = REVISION_CAUSES.map(
    (cause) => `(count(*) filter (where cause = '${cause}'))::integer as "${cause}"`,
  );
  const { rows } = await db.query<Row>(
    `select extract(epoch from date_bin('${seconds} s', bucket, 'epoch'::timestamptz)) * 1000 as start_ms,
       count(distinct (bucket, customer_id))::integer as windows, count(*)::integer as revisions,
       ${causes.join(', ')}
     from tenant_data.window_revision
     where ${conditions.join(' and ')}
     group by 1 order by 1 limit ${limit + 1}`,
    parameters.values,
  );
  const { rows: closings } = await db.query<{ until_ms: string }>(
    `select extract(epoch from closed_until) * 1000 as until_ms from tenant_data.window_closing
     order by closed_at desc limit 1`,
  );
  const closed = closings[0];
  return {
    ...pageOf(rows.map(toCount), limit, COUNTS, ({ start }) => [Date.parse(start)]),
    closedUntil: closed ? new Date(Number(closed.until_ms)).toISOString() : null,
  };
}

function toCount({ start_ms, windows, revisions, ...row }: Row): RevisionCount {
  const causes = REVISION_CAUSES.filter((cause) => row[cause] > 0).map((cause) => [cause, row[cause]]);
  return {
    start: new Date(Number(start_ms)).toISOString(),
    windows,
    revisions,
    causes: Object.fromEntries(causes),
  };
}
