import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decimalOf, numberOf } from '../../ground/db/numbers.ts';
import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant, SqlParameters } from '../../ground/db/sqlParameters.ts';
import { lastStatement } from '../../ground/db/tenantReads.ts';
import { RECORD_TYPES, type RecordType } from '../../model/recordType.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import { requireKept } from '../retention/requireKept.ts';

export interface RecordQuery {
  /** [from, to) in ms since the epoch. */
  from: number;
  to: number;
  type?: RecordType | undefined;
  destinationId?: string | undefined;
  reference?: string | undefined;
  cursor?: string | undefined;
  limit: number;
}

/** A record as it was posted. */
export interface StoredRecord {
  recordId: string;
  time: string;
  sourceId?: string;
  destinationId: string;
  type: RecordType;
  /** Decimal string. */
  value: string;
  unit?: string;
  reference?: string;
}

/** What matches of one destination: the totals over all of it, and those records that are on the page. */
export interface RecordGroup {
  destinationId: string;
  /** Decimal strings; the total is positive − negative. */
  totalValue: string;
  positiveTotal: string;
  negativeTotal: string;
  count: number;
  records: StoredRecord[];
}

interface Row {
  ts_micros: string;
  event_id: string;
  external_id: string | null;
  source_id: string | null;
  customer_id: string;
  event_type: RecordType;
  value: string | null;
  unit: string | null;
  reference: string | null;
  total: string;
  positive: string;
  negative: string;
  count: string;
}

const RECORDS: List = { name: 'records', key: ['text', 'micros', 'uuid'] };

/**
 * Records by destination, time and id, in groups by destination. `limit` counts records; a group that goes on is on the
 * next page again, with its totals.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 * @throws TM005 where events are no longer kept that far back.
 */
export async function listRecords(
  db: Queryable,
  context: TenantContext,
  query: RecordQuery,
): Promise<Page<RecordGroup>> {
  const { text, values } = recordsStatement(context, query);
  await requireKept(db, 'event', query.from);
  const { rows } = await db.query<Row>(lastStatement({ text, values }));
  const page = pageOf(rows, query.limit, RECORDS, (row) => [
    row.customer_id,
    Number(row.ts_micros),
    row.event_id,
  ]);
  return { data: groupsOf(page.data), nextCursor: page.nextCursor };
}

/** One statement: the totals have just the records that are to be seen. */
export function recordsStatement(context: TenantContext, query: RecordQuery) {
  const parameters = new SqlParameters();
  const { type, destinationId, reference } = query;
  const conditions = [
    `tenant_id = ${parameters.add(context.tenantId)}`,
    `ts >= ${instant(query.from)}`,
    `ts < ${instant(query.to)}`,
    `event_type = any (${parameters.add(type === undefined ? RECORD_TYPES : [type])}::text[])`,
  ];
  if (destinationId !== undefined) conditions.push(`customer_id = ${parameters.add(destinationId)}`);
  if (reference !== undefined) conditions.push(`reference = ${parameters.add(reference)}`);
  const matching = conditions.join(' and ');
  let rest = '';
  if (query.cursor !== undefined) {
    const [customer, micros, eventId] = decodeCursor(query.cursor, RECORDS);
    rest = `and (customer_id collate "C", ts, event_id)
            > (${parameters.add(customer)}, ${parameters.add(formatTimestamp(micros as number))}::timestamptz,
               ${parameters.add(eventId)}::uuid)`;
  }
  return {
    text: `with page as materialized (
      select customer_id, ts, event_id, external_id, source_id, event_type, value, unit, reference
      from tenant_data.event
      where ${matching} ${rest}
      order by customer_id collate "C", ts, event_id
      limit ${query.limit + 1}
    ), total as (
      select customer_id, count(*) as count,
        coalesce(sum(value) filter (where event_type = 'positive'), 0) as positive,
        coalesce(sum(value) filter (where event_type = 'negative'), 0) as negative
      from tenant_data.event
      where ${matching} and customer_id = any (array(select customer_id from page))
      group by customer_id
    )
    select (extract(epoch from ts) * 1000000)::bigint as ts_micros, page.*, positive - negative as total,
      positive, negative, count
    from page join total using (customer_id)
    order by customer_id collate "C", ts, event_id`,
    values: parameters.values,
  };
}

/** Of rows in order of their destination. */
function groupsOf(rows: Row[]): RecordGroup[] {
  const groups: RecordGroup[] = [];
  for (const row of rows) {
    let group = groups.at(-1);
    if (group?.destinationId !== row.customer_id) {
      group = {
        destinationId: row.customer_id,
        totalValue: decimalOf(row.total),
        positiveTotal: decimalOf(row.positive),
        negativeTotal: decimalOf(row.negative),
        count: numberOf(row.count),
        records: [],
      };
      groups.push(group);
    }
    group.records.push(toRecord(row));
  }
  return groups;
}

function toRecord(row: Row): StoredRecord {
  return {
    recordId: row.external_id ?? row.event_id,
    time: formatTimestamp(Number(row.ts_micros)),
    ...(row.source_id !== null && { sourceId: row.source_id }),
    destinationId: row.customer_id,
    type: row.event_type,
    value: decimalOf(row.value),
    ...(row.unit !== null && { unit: row.unit }),
    ...(row.reference !== null && { reference: row.reference }),
  };
}
