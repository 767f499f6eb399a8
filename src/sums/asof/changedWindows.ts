import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import { WINDOW_MS } from '../../model/window.ts';
import { type Level, planSegments, type Segment, type StaleWindows } from '../rollups/segments.ts';
import type { AsOf } from './asOf.ts';

/** Windows that are told apart; of more only the first and the last are asked for. */
const MAX_CHANGED = 10_000;

/**
 * Covers [from, to), in ms, by what tells what it was as of a moment: windows that were closed by then, and have not changed since,
 * by the sums of now; the others, which are `raw`, by the events. So it costs about as much as an answer of now.
 *
 * @param customers null: all.
 */
export async function planAsOf(
  db: Queryable,
  context: TenantContext,
  asOf: AsOf,
  { from, to }: { from: number; to: number },
  coarsest: Level,
  customers: readonly string[] | null,
): Promise<Segment[]> {
  const end = Math.max(from, Math.min(to, asOf.summedUntil));
  const segments =
    from < end
      ? planSegments(
          from,
          end,
          coarsest,
          await changedWindows(db, context, asOf, { from, to: end }, customers),
        )
      : [];
  if (end < to) segments.push({ level: 'raw', from: end, to });
  return segments;
}

/** The windows in a range that have changed since a moment, and those that some rollup lacks a late event of. */
async function changedWindows(
  db: Queryable,
  { tenantId }: TenantContext,
  { micros }: AsOf,
  range: { from: number; to: number },
  customers: readonly string[] | null,
): Promise<StaleWindows> {
  const changed = `from (
       select bucket from tenant_data.late_window
       where tenant_id = $1 and bucket > $2 and bucket < $3 and (stale or revised_at > $4)
         and ($5::text[] is null or customer_id = any ($5))
       union all
       select m.bucket
       from tenant_data.correction_event m join tenant_data.correction c on c.id = m.correction_id
       where m.tenant_id = $1 and m.bucket > $2 and m.bucket < $3 and c.at > $4
         and ($5::text[] is null or m.customer_id = any ($5))
     ) as changed`;
  const values = [
    ...[tenantId, new Date(range.from - WINDOW_MS), new Date(Math.ceil(range.to))],
    ...[formatTimestamp(micros), customers],
  ];
  const { rows } = await db.query<{ bucket: string }>(
    `select distinct extract(epoch from bucket) * 1000 as bucket ${changed} limit ${MAX_CHANGED + 1}`,
    values,
  );
  if (rows.length <= MAX_CHANGED) return rows.map((row) => Number(row.bucket));
  const stretch = await db.query<{ earliest: string; latest: string }>(
    `select extract(epoch from min(bucket)) * 1000 as earliest, extract(epoch from max(bucket)) * 1000 as latest
     ${changed}`,
    values,
  );
  const { earliest, latest } = stretch.rows[0]!;
  return { earliest: Number(earliest), latest: Number(latest) };
}
