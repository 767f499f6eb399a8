import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decimalOf, numberOf } from '../../ground/db/numbers.ts';
import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant, SqlParameters } from '../../ground/db/sqlParameters.ts';
import { lastStatement } from '../../ground/db/tenantReads.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import { countedVersion } from '../corrections/versionNumbers.ts';
import type { RevisionCause } from '../corrections/windowHistory.ts';
import type { CorrectionNote } from '../listing/listEvents.ts';
import { filterConditions, RAW_MEASURES, type UsageFilters } from '../rollups/usageSource.ts';
import type { AsOf } from './asOf.ts';
import { cameSince, momentOf, movedSince } from './countedEvents.ts';

/** Why an event counts, or does not, that was otherwise before. `in_time`: it came in before its window was closed. */
export type ChangeCause = 'in_time' | RevisionCause;

/** What was added to sums of usage. */
export interface UsageDifference {
  calls: number;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  /** Decimal string. Of events of type `negative` less than nothing. */
  value: string;
}

/** A version of an event that counts at one of two moments, and not at the other. */
export interface UsageChange {
  eventId: string;
  version: number;
  timestamp: string;
  customerId: string;
  eventType: string;
  /** Whether it counts at the later one. */
  counts: boolean;
  cause: ChangeCause;
  /** When it was received, or corrected. */
  at: string;
  difference: UsageDifference;
  /** Left out: it has come in. */
  correction?: CorrectionNote;
}

export interface ChangesQuery extends UsageFilters {
  /** [from, to) in ms since the epoch. */
  from: number;
  to: number;
  since: AsOf;
  until: AsOf;
  cursor?: string | undefined;
  limit: number;
}

export interface ChangesPage extends Page<UsageChange> {
  /** Of all of them, the other pages' too: how much more usage has at the later moment. */
  difference: UsageDifference;
}

type Sums = Record<'calls' | 'tokens' | 'input_tokens' | 'output_tokens' | 'signed_value', string>;

interface Row extends Sums {
  totals: Sums;
  /** Null: there is no row. */
  ts_micros: string | null;
  event_id: string;
  version: number;
  client_id: string;
  customer_id: string;
  event_type: string;
  counts: boolean;
  late: boolean;
  at_micros: string;
  kind: Exclude<ChangeCause, 'in_time' | 'late'> | null;
  correction_id: string;
  reason: string;
  actor_kind: string;
  actor_key_id: string | null;
}

const CHANGES: List = { name: 'usage changes', key: ['micros', 'uuid', 'count'] };
const SUMS = ['calls', 'tokens', 'input_tokens', 'output_tokens', 'signed_value'];

/**
 * The versions of events that make the difference between two moments, by their time: each counts at one of them alone.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 */
export async function usageChanges(
  db: Queryable,
  context: TenantContext,
  query: ChangesQuery,
): Promise<ChangesPage> {
  const { rows } = await db.query<Row>(lastStatement(statementOf(context, query)));
  const found = rows.filter(({ ts_micros }) => ts_micros !== null);
  const { data, nextCursor } = pageOf(found, query.limit, CHANGES, (row) => [
    Number(row.ts_micros),
    row.event_id,
    row.version,
  ]);
  return { difference: differenceOf(rows[0]!.totals), data: data.map(toChange), nextCursor };
}

function statementOf(
  { tenantId }: TenantContext,
  { from, to, since, until, cursor, limit, customerId, endpoint, model, eventType }: ChangesQuery,
): { text: string; values: unknown[] } {
  const parameters = new SqlParameters();
  const tenant = parameters.add(tenantId);
  const range = { from, to };
  const filters = filterConditions({ customerId, endpoint, model, eventType }, parameters);
  const [earlier, later] = [momentOf(since), momentOf(until)];
  const within = `tenant_id = ${tenant} and ts >= ${instant(from)} and ts < ${instant(to)}${filters}
          and received_at <= ${later}`;
  const columns = `ts, event_id, external_id, customer_id, event_type, received_at,
          ${SUMS.map((sum) => `${RAW_MEASURES[sum]} as ${sum}`).join(', ')}`;
  let skip = '';
  if (cursor !== undefined) {
    const [micros, id, version] = decodeCursor(cursor, CHANGES);
    skip = `where (ts, event_id, version)
          > (${instant((micros as number) / 1_000)}, ${parameters.add(id)}::uuid, ${parameters.add(version)}::integer)`;
  }
  const text = `
    with moved_since as materialized (
      ${movedSince(since, tenant, range)}
    ), moved_until as materialized (
      ${movedSince(until, tenant, range)}
    ), found as (
      -- Whether each counted at the two moments.
      select e.*, ${countedVersion(tenant, 'e.event_id', 'tenant_data.')} as version,
        received_at <= ${earlier} and event_id not in (${cameSince(tenant, 'moved_since')}) as before,
        event_id not in (${cameSince(tenant, 'moved_until')}) as after
      from (
        select ${columns} from tenant_data.event
        where ${within} and (received_at > ${earlier} or event_id in (select event_id from moved_since))
        offset 0
      ) as e
      union all
      select e.*,
        received_at <= ${earlier}
          and (event_id, version) in (select event_id, version from moved_since where not came),
        (event_id, version) in (select event_id, version from moved_until where not came)
      from (
        select ${columns}, version from tenant_data.uncounted_event
        where ${within} and (event_id, version) in (select event_id, version from moved_since)
        offset 0
      ) as e
    ), changed as materialized (
      select *, after as counts, case when after then 1 else -1 end as sign from found where before <> after
    ), totals as (
      select to_jsonb(sums) as totals
      from (select ${SUMS.map((sum) => `coalesce(sum(sign * ${sum}), 0)::text as ${sum}`).join(', ')} from changed) as sums
    ), page as (
      select * from changed ${skip}
      order by ts, event_id, version
      limit ${limit + 1}
    )
    select totals, (extract(epoch from page.ts) * 1000000)::bigint as ts_micros, page.event_id, page.version,
      coalesce(page.external_id, page.event_id::text) as client_id, page.customer_id, page.event_type, page.counts,
      ${SUMS.map((sum) => `(sign * ${sum})::text as ${sum}`).join(', ')},
      exists (select from tenant_data.window_revision r
              where r.tenant_id = ${tenant} and r.bucket = date_bin('30 seconds', page.ts, 'epoch'::timestamptz)
                and r.customer_id = page.customer_id and r.cause = 'late' and r.received_at = page.received_at) as late,
      (extract(epoch from coalesce(done.at, page.received_at)) * 1000000)::bigint as at_micros,
      done.kind, done.id as correction_id, done.reason, done.actor_kind, done.actor_key_id
    from totals left join page on true
      left join lateral (
        select c.* from tenant_data.correction_event m join tenant_data.correction c on c.id = m.correction_id
        where m.tenant_id = ${tenant} and m.event_id = page.event_id and m.version = page.version
          and m.counts = page.counts and c.at > ${earlier} and c.at <= ${later}
        order by c.at desc
        limit 1
      ) as done on true
    order by page.ts, page.event_id, page.version`;
  return { text, values: parameters.values };
}

function toChange(row: Row): UsageChange {
  return {
    eventId: row.client_id,
    version: row.version,
    timestamp: formatTimestamp(Number(row.ts_micros)),
    customerId: row.customer_id,
    eventType: row.event_type,
    counts: row.counts,
    cause: row.kind ?? (row.late ? 'late' : 'in_time'),
    at: formatTimestamp(Number(row.at_micros)),
    difference: differenceOf(row),
    ...(row.kind !== null && {
      correction: {
        id: row.correction_id,
        reason: row.reason,
        actor: { kind: row.actor_kind, keyId: row.actor_key_id },
      },
    }),
  };
}

function differenceOf(sums: Sums): UsageDifference {
  return {
    calls: numberOf(sums.calls),
    tokens: numberOf(sums.tokens),
    inputTokens: numberOf(sums.input_tokens),
    outputTokens: numberOf(sums.output_tokens),
    value: decimalOf(sums.signed_value),
  };
}
