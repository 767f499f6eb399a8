import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decimalOf, numberOf } from '../../ground/db/numbers.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { Identities } from '../ingest/identities.ts';
import { type BackfillRow, inScope, keptScope } from './backfill.ts';
import { comingEvents, knownIds } from './comingEvents.ts';

/** What events add up to. */
export interface PreviewSums {
  events: number;
  /** Windows of a customer that have events. */
  windows: number;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  /** Decimal string. Values of type `negative` are taken away. */
  value: string;
}

/** What changes: the range of the backfill, of its customers, without it and with it. */
export interface PreviewChange {
  before: PreviewSums;
  after: PreviewSums;
  /** Windows that would get a revision. */
  changedWindows: number;
}

export interface BackfillPreview extends PreviewChange {
  /** Staged events that would not count: their ids have been counted before, or are void. */
  duplicates: number;
  /** Days of UTC that would change, ascending. */
  days: (PreviewChange & { day: string })[];
}

interface Row {
  day: string | null;
  changed: string;
  coming: string | null;
  [sum: string]: string | null;
}

const SUMS = ['events', 'tokens', 'input_tokens', 'output_tokens', 'value'] as const;

/**
 * What a staged backfill would change if it were closed in this moment. Of one that replaces nothing, days without staged events
 * are left out.
 *
 * @param keys where identities are asked for.
 */
export async function previewBackfill(
  keys: Queryable,
  db: Queryable,
  identities: Identities,
  { tenantId }: TenantContext,
  row: BackfillRow,
): Promise<BackfillPreview> {
  const scope = await keptScope(db, row, 'tenant_data.');
  const { known, fresh } = await knownIds(keys, db, identities, tenantId, row.id, 'tenant_data.');
  const sumsOf = (rows: string) => `
    select customer_id, date_bin('30 seconds', ts, 'epoch'::timestamptz) as bucket, count(*) as events,
      sum(coalesce(tokens, 0)) as tokens, sum(coalesce(input_tokens, 0)) as input_tokens,
      sum(coalesce(output_tokens, 0)) as output_tokens,
      sum(coalesce(value, 0) * case event_type when 'negative' then -1 else 1 end) as value
    from ${rows} group by 1, 2`;
  const added = (when: string, side: 'b' | 'a') =>
    SUMS.map((name) => `coalesce(sum(${side}.${name}) filter (where ${when}), 0)`);
  const before = added('true', 'b');
  const coming = added('true', 'a');
  const after = row.replaces ? coming : before.map((sum, i) => `${sum} + ${coming[i]}`);
  const { rows } = await db.query<Row>(
    `with known_id as materialized (
       select * from unnest($4::uuid[], $5::timestamptz[]) as k (event_id, claimed_at)
     ), coming as materialized (${comingEvents(scope, row.replaces, 'tenant_data.')}
     ), arriving as (${sumsOf('coming')}
     ), there as (${sumsOf(`(
         select * from tenant_data.event e where ${inScope('e', scope, '$1', '$3')}
           and (${row.replaces} or date_bin('1 day', e.ts, 'epoch'::timestamptz) in (
                  select date_bin('1 day', ts, 'epoch'::timestamptz) from coming))
       ) as e`)})
     select extract(epoch from date_bin('1 day', bucket, 'epoch'::timestamptz)) * 1000 as day,
       ${before.map((sum, i) => `${sum} as before_${SUMS[i]}`).join(', ')},
       ${after.map((sum, i) => `${sum} as after_${SUMS[i]}`).join(', ')},
       count(b.bucket) as before_windows, count(*) filter (where a.bucket is not null or not ${row.replaces}) as after_windows,
       count(*) filter (where a.bucket is not null or ${row.replaces}) as changed,
       (select count(*) from coming) as coming
     from there b full join arriving a using (customer_id, bucket)
     group by grouping sets ((date_bin('1 day', bucket, 'epoch'::timestamptz)), ())
     order by 1`,
    [tenantId, row.id, scope.customers, known.ids, known.claimed],
  );
  const total = rows.find(({ day }) => day === null)!;
  return {
    ...changeOf(total),
    duplicates: known.ids.length + fresh.length - Number(total.coming),
    days: rows
      .filter(({ day }) => day !== null)
      .map((of) => ({ day: new Date(Number(of.day)).toISOString().slice(0, 10), ...changeOf(of) })),
  };
}

function changeOf(row: Row): PreviewChange {
  const sums = (when: 'before' | 'after'): PreviewSums => ({
    events: numberOf(row[`${when}_events`]!),
    windows: numberOf(row[`${when}_windows`]!),
    tokens: numberOf(row[`${when}_tokens`]!),
    inputTokens: numberOf(row[`${when}_input_tokens`]!),
    outputTokens: numberOf(row[`${when}_output_tokens`]!),
    value: decimalOf(row[`${when}_value`]!),
  });
  return { before: sums('before'), after: sums('after'), changedWindows: Number(row.changed) };
}
