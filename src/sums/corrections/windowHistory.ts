import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decimalOf, numberOf } from '../../ground/db/numbers.ts';
import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant, SqlParameters } from '../../ground/db/sqlParameters.ts';
import { TidemarkError } from '../../model/errors.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import { WINDOW_MS } from '../../model/window.ts';
import type { CorrectionNote } from '../listing/listEvents.ts';
import { requireKept } from '../retention/requireKept.ts';

/** What made a revision: late events, or a correction. */
export const REVISION_CAUSES = ['late', 'void', 'restore', 'amend', 'backfill', 'revert'] as const;
export type RevisionCause = (typeof REVISION_CAUSES)[number];

/** A revision of a window, and what it added to its sums. */
export interface WindowRevision {
  windowStart: string;
  customerId: string;
  revision: number;
  at: string;
  cause: RevisionCause;
  /** Events that came, went or changed. Null: late ones that an earlier version wrote, which did not tell. */
  events: number | null;
  /** Null likewise. */
  difference: {
    calls: number;
    tokens: number;
    inputTokens: number;
    outputTokens: number;
    /** Decimal string. Of events of type `negative` less than nothing. */
    value: string;
  } | null;
  /** Left out: of late events. */
  correction?: CorrectionNote;
}

/** An event that a revision is about. */
export interface RevisionEvent {
  eventId: string;
  /** Whether it counts in the window from this revision on. */
  counts: boolean;
}

/** A window of a customer. */
export interface WindowOfCustomer {
  customerId: string;
  /** Start, ms since the epoch. */
  start: number;
}

interface Row {
  bucket_ms: string;
  customer_id: string;
  revision: number;
  at_micros: string;
  cause: RevisionCause;
  events: number | null;
  calls: string | null;
  tokens: string;
  input_tokens: string;
  output_tokens: string;
  value: string;
  correction_id: string | null;
  reason: string;
  actor_kind: string;
  actor_key_id: string | null;
}

const REVISIONS: List = { name: 'window revisions', key: ['ms', 'text', 'count'] };
const EVENTS: List = { name: 'revision events', key: ['uuid', 'count'] };

export interface HistoryQuery {
  /** [from, to) in ms since the epoch; windows that start in it. */
  from: number;
  to: number;
  customerId?: string | undefined;
  cursor?: string | undefined;
  limit: number;
}

/**
 * The revisions of windows, by their start, customer and number.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 * @throws TM005 where windows are no longer kept that far back.
 */
export async function windowHistory(
  db: Queryable,
  context: TenantContext,
  { from, to, customerId, cursor, limit }: HistoryQuery,
): Promise<Page<WindowRevision>> {
  await requireKept(db, 'usage_30s', from);
  const parameters = new SqlParameters();
  const conditions = [
    `r.tenant_id = ${parameters.add(context.tenantId)}`,
    `r.bucket >= ${instant(from)}`,
    `r.bucket < ${instant(to)}`,
  ];
  if (customerId !== undefined) conditions.push(`r.customer_id = ${parameters.add(customerId)}`);
  if (cursor !== undefined) {
    const [start, customer, revision] = decodeCursor(cursor, REVISIONS);
    conditions.push(
      `(r.bucket, r.customer_id, r.revision)
       > (${instant(start as number)}, ${parameters.add(customer)}, ${parameters.add(revision)}::integer)`,
    );
  }
  const { rows } = await db.query<Row>(
    `select extract(epoch from r.bucket) * 1000 as bucket_ms, r.customer_id, r.revision,
       (extract(epoch from r.at) * 1000000)::bigint as at_micros, r.cause, r.events, r.calls, r.tokens,
       r.input_tokens, r.output_tokens, r.value, r.correction_id, c.reason, c.actor_kind, c.actor_key_id
     from tenant_data.window_revision r left join tenant_data.correction c on c.id = r.correction_id
     where ${conditions.join(' and ')}
     order by r.bucket, r.customer_id, r.revision limit ${limit + 1}`,
    parameters.values,
  );
  return pageOf(rows.map(toRevision), limit, REVISIONS, (row) => [
    Date.parse(row.windowStart),
    row.customerId,
    row.revision,
  ]);
}

/**
 * The events of one revision, by their ids. Of late ones while single events are kept: they are those of the window that were
 * received when its batch began, as they were posted.
 *
 * @throws {TidemarkError} `not_found`, `cursor_invalid`.
 * @throws TM005 where what is asked for is no longer kept.
 */
export async function revisionEvents(
  db: Queryable,
  context: TenantContext,
  { customerId, start }: WindowOfCustomer,
  revision: number,
  query: { cursor?: string | undefined; limit: number },
): Promise<Page<RevisionEvent>> {
  await requireKept(db, 'usage_30s', start);
  const { rows: revisions } = await db.query<{
    cause: RevisionCause;
    correction_id: string | null;
    received: string;
  }>(
    `select cause, correction_id, received_at::text as received from tenant_data.window_revision
     where tenant_id = $1 and bucket = $2 and customer_id = $3 and revision = $4`,
    [context.tenantId, new Date(start), customerId, revision],
  );
  const found = revisions[0];
  if (!found) throw new TidemarkError('not_found', 'there is no such revision of that window');
  if (found.cause === 'late') await requireKept(db, 'event', start);
  const [afterId, afterVersion] =
    query.cursor === undefined
      ? ['00000000-0000-0000-0000-000000000000', -1]
      : decodeCursor(query.cursor, EVENTS);
  const window = [context.tenantId, new Date(start), customerId];
  const page = [afterId, afterVersion, query.limit + 1];
  const { rows } =
    found.cause === 'late'
      ? await db.query<EventRow>(
          `select event_id, 1 as version, client_id, true as counts
           from (
             select e.event_id, coalesce(e.external_id, e.event_id::text) as client_id
             from tenant_data.event e
             where e.tenant_id = $1 and e.customer_id = $3 and e.ts >= $2 and e.ts < $8 and e.received_at = $7::timestamptz
               and not exists (select from tenant_data.uncounted_event u
                               where u.tenant_id = $1 and u.event_id = e.event_id and u.version = 1)
             union all
             select u.event_id, coalesce(u.external_id, u.event_id::text)
             from tenant_data.uncounted_event u
             where u.tenant_id = $1 and u.customer_id = $3 and u.ts >= $2 and u.ts < $8 and u.received_at = $7::timestamptz
               and u.version = 1
           ) as late
           where (event_id, 1) > ($4::uuid, $5::integer)
           order by event_id limit $6`,
          [...window, ...page, found.received, new Date(start + WINDOW_MS)],
        )
      : await db.query<EventRow>(
          `select event_id, version, coalesce(external_id, event_id::text) as client_id, counts
           from tenant_data.correction_event
           where tenant_id = $1 and bucket = $2 and customer_id = $3 and correction_id = $7
             and (event_id, version) > ($4::uuid, $5::integer)
           order by event_id, version limit $6`,
          [...window, ...page, found.correction_id],
        );
  const { data, nextCursor } = pageOf(rows, query.limit, EVENTS, ({ event_id, version }) => [
    event_id,
    version,
  ]);
  return { data: data.map(({ client_id, counts }) => ({ eventId: client_id, counts })), nextCursor };
}

interface EventRow {
  event_id: string;
  version: number;
  client_id: string;
  counts: boolean;
}

function toRevision(row: Row): WindowRevision {
  return {
    windowStart: new Date(Number(row.bucket_ms)).toISOString(),
    customerId: row.customer_id,
    revision: row.revision,
    at: formatTimestamp(Number(row.at_micros)),
    cause: row.cause,
    events: row.events,
    difference:
      row.calls === null
        ? null
        : {
            calls: numberOf(row.calls),
            tokens: numberOf(row.tokens),
            inputTokens: numberOf(row.input_tokens),
            outputTokens: numberOf(row.output_tokens),
            value: decimalOf(row.value),
          },
    ...(row.correction_id !== null && {
      correction: {
        id: row.correction_id,
        reason: row.reason,
        actor: { kind: row.actor_kind, keyId: row.actor_key_id },
      },
    }),
  };
}
