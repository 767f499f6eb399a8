import type { Queryable } from '../../ground/db/queryable.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';

/** Rows at the beginning of a file that are looked at. */
export const SAMPLE_ROWS = 500;
/** Events that are compared. */
const COMPARED = 100;

/**
 * Whether an earlier version has imported a file, under ids that say nothing of its mapping, and meant the same by it: some of
 * the events were known before there were other ids, and those are stored exactly as they would be now. Another column of a wide table has the ids,
 * and is another event.
 *
 * @param events of the first rows, under the ids in question.
 */
export async function wasImported(db: Queryable, events: readonly UsageEvent[]): Promise<boolean> {
  const [first] = events;
  if (!first) return false;
  const { rows } = await db.query<{ event_id: string }>(
    `select id as event_id from unnest($2::uuid[]) as id, identity_salt($1) as salt
     where exists (select from event_key, installation
                   where salted_identity(id, salt) in (key_0, key_1, key_2, key_3, key_4, key_5, key_6)
                     and received_at < import_ids_since)
        or exists (select from event_identity i, installation
                   where i.event_id = id and i.tenant_id = $1 and received_at < import_ids_since)`,
    [first.tenantId, events.map(({ eventId }) => eventId)],
  );
  const known = new Set(rows.map(({ event_id: id }) => id));
  const compared = events.filter(({ eventId }) => known.has(eventId)).slice(0, COMPARED);
  for (const event of compared) {
    if (!(await isStored(db, event))) return false;
  }
  return compared.length > 0;
}

/** One at a time, with its time: only the chunk of it is planned for. */
async function isStored(db: Queryable, event: UsageEvent): Promise<boolean> {
  const { rows } = await db.query(
    `select from event
     where tenant_id = $1 and customer_id = $2 and ts = $3::timestamptz and event_id = $4
       and event_type = $5
       and source_id is not distinct from $6
       and endpoint is not distinct from $7
       and model is not distinct from $8
       and reference is not distinct from $9
       and unit is not distinct from $10
       and value is not distinct from $11::numeric
       and tokens is not distinct from $12::bigint
       and input_tokens is not distinct from $13::bigint
       and output_tokens is not distinct from $14::bigint
       and latency_ms is not distinct from $15::float8
       and metadata is not distinct from $16::jsonb`,
    [
      event.tenantId,
      event.customerId,
      formatTimestamp(event.tsMicros),
      event.eventId,
      event.eventType,
      event.sourceId,
      event.endpoint,
      event.model,
      event.reference,
      event.unit,
      event.value,
      event.tokens,
      event.inputTokens,
      event.outputTokens,
      event.latencyMs,
      event.metadata,
    ],
  );
  return rows.length > 0;
}
