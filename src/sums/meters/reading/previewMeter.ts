import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { fromUnits, toUnits } from '../../../model/decimal.ts';
import { formatTimestamp } from '../../../model/timestamp.ts';
import { listEventRows } from '../../listing/listEvents.ts';
import type { Aggregation, MeterDefinition } from '../definition/meterDefinition.ts';
import { storedEvent } from './storedEvent.ts';
import { Judge, type Verdict } from './verdict.ts';

export interface PreviewedEvent extends Verdict {
  eventId: string;
  timestamp: string;
  customerId: string;
}

/** What a meter would make of the last events of its type. */
export interface Preview {
  counted: number;
  /** How many were ignored, by reason. */
  ignored: Record<string, number>;
  /** Newest first. */
  results: PreviewedEvent[];
  /** Of these events alone. Exact decimal; null: none has a value. */
  value: string | null;
}

/** A counted event, and where it is among the others. */
interface Counted {
  tsMicros: number;
  eventId: string;
  value: string | undefined;
}

/** As far as events are accepted ahead, and further. */
const LATEST_MS = Date.UTC(9_999, 0, 1);

/**
 * Tries a definition on the last events of its type, with the rules by which they would be counted.
 *
 * @param most events, at most 1,000.
 */
export async function previewMeter(
  db: Queryable,
  context: TenantContext,
  definition: MeterDefinition,
  most: number,
): Promise<Preview> {
  const { rows } = await db.query<{ from: string }>(
    `select greatest(0, case when isfinite(kept_from) then extract(epoch from kept_from) * 1000 end) as from
     from tenant_data.retention where relation = 'event'`,
  );
  const { eventType } = definition;
  const range = { from: Number(rows[0]?.from ?? 0), to: LATEST_MS };
  const { data } = await listEventRows(db, context, { ...range, eventType, limit: most });
  const judge = new Judge(definition);
  const counted: Counted[] = [];
  const ignored: Record<string, number> = {};
  const results = data.map((row): PreviewedEvent => {
    const verdict = judge.judge(storedEvent(context.tenantId, row))!;
    const tsMicros = Number(row.ts_micros);
    if (verdict.verdict === 'counted') {
      counted.push({ tsMicros, eventId: row.event_id, value: verdict.value });
    } else {
      ignored[verdict.reason!] = (ignored[verdict.reason!] ?? 0) + 1;
    }
    return {
      eventId: row.external_id ?? row.event_id,
      timestamp: formatTimestamp(tsMicros),
      customerId: row.customer_id,
      ...verdict,
    };
  });
  return { counted: counted.length, ignored, results, value: aggregateOf(definition.aggregation, counted) };
}

function aggregateOf(aggregation: Aggregation, counted: Counted[]): string | null {
  if (aggregation === 'count') return String(counted.length);
  if (aggregation === 'uniqueCount') return String(new Set(counted.map(({ value }) => value)).size);
  if (counted.length === 0) return null;
  const units = counted.map(({ value }) => toUnits(value!));
  const sum = () => units.reduce((a, b) => a + b, 0n);
  switch (aggregation) {
    case 'sum':
      return fromUnits(sum());
    case 'avg':
      return fromUnits(quotient(sum(), BigInt(units.length)));
    case 'min':
      return fromUnits(units.reduce((a, b) => (b < a ? b : a)));
    case 'max':
      return fromUnits(units.reduce((a, b) => (b > a ? b : a)));
    case 'latest':
      return counted.reduce((a, b) => (isLater(b, a) ? b : a)).value!;
  }
}

/** Rounded half away from zero. */
function quotient(sum: bigint, count: bigint): bigint {
  const size = sum < 0n ? -sum : sum;
  const rounded = (2n * size + count) / (2n * count);
  return sum < 0n ? -rounded : rounded;
}

function isLater(a: Counted, b: Counted): boolean {
  return a.tsMicros === b.tsMicros ? a.eventId > b.eventId : a.tsMicros > b.tsMicros;
}
