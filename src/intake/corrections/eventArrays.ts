import { formatTimestamp } from '../../model/timestamp.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';

/** Events as rows of a statement: the columns of `EVENT_COLUMNS`, of the parameters $1 to $17 (`arraysOf`). */
export const EVENTS_OF_ARRAYS = `unnest(
       $1::timestamptz[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
       $9::float8[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::numeric[], $17::jsonb[]
     )`;

/** Events as those parameters. */
export function arraysOf(events: readonly UsageEvent[]): unknown[][] {
  const column = <Value>(of: (event: UsageEvent) => Value) => events.map(of);
  return [
    column(({ tsMicros }) => formatTimestamp(tsMicros)),
    column(({ eventId }) => eventId),
    column(({ tenantId }) => tenantId),
    column(({ customerId }) => customerId),
    column(({ eventType }) => eventType),
    column(({ tokens }) => tokens),
    column(({ inputTokens }) => inputTokens),
    column(({ outputTokens }) => outputTokens),
    column(({ latencyMs }) => latencyMs),
    column(({ endpoint }) => endpoint),
    column(({ model }) => model),
    column(({ externalId }) => externalId),
    column(({ sourceId }) => sourceId),
    column(({ reference }) => reference),
    column(({ unit }) => unit),
    column(({ value }) => value),
    column(({ metadata }) => metadata),
  ];
}
