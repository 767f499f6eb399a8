import { randomUUID } from 'node:crypto';
import { type Actor, COMMAND, writeEntries } from '../../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { errorCode, UNIQUE_VIOLATION } from '../../../ground/db/sqlstate.ts';
import { waitingForBatches } from '../../../ground/db/waitingForBatches.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { stringifyJson } from '../../../model/json.ts';
import { formatTimestamp } from '../../../model/timestamp.ts';
import { seriesOf } from '../definition/meterDefinition.ts';
import { findMeter, type Meter, meterState } from './meter.ts';
import type { NewMeter } from './newMeter.ts';
import { newSeries } from './newSeries.ts';

/**
 * Makes a meter. It answers for the past at once: from the events, until they are summed up.
 *
 * @param most live meters that a tenant may have.
 * @throws {TidemarkError} `meter_exists`, `limit_reached`, `overloaded`.
 */
export async function createMeter(
  db: Queryable,
  context: TenantContext,
  { slug, name, description, definition }: NewMeter,
  most: number,
  actor: Actor = COMMAND,
): Promise<Meter> {
  const { eventType, eventFromMicros, aggregation, value, dimensions, filter } = definition;
  const series = newSeries(seriesOf(definition), null);
  const { rows } = await waitingForBatches(() =>
    db.query<{ id: string }>(
      `with room as materialized (
         select where tenant_has_room($2, 'meters', $15)
       ), series as materialized (
         select create_series($2, $11::jsonb, $12, $13) as id from room
       ), made as (
         insert into meter (id, tenant_id, slug, name, description, event_type, event_from, aggregation, value_path,
           dimensions, filter, series_id)
         select $1, $2, $3, $4, $5, $6, $7::timestamptz, $8, $9, $10::jsonb, $14::jsonb, series.id from series
         returning *
       ), logged as (${writeEntries({
         from: 'made',
         action: 'meter.created',
         after: meterState('made'),
         actor: '$16',
       })})
       select id from made`,
      [
        randomUUID(),
        context.tenantId,
        slug,
        name,
        description,
        eventType,
        eventFromMicros === null ? null : formatTimestamp(eventFromMicros),
        aggregation,
        value,
        JSON.stringify(dimensions),
        series.definition,
        series.digest,
        series.predecessor,
        stringifyJson(filter),
        most,
        JSON.stringify(actor),
      ],
    ),
  ).catch((error) => {
    if (errorCode(error) !== UNIQUE_VIOLATION) throw error;
    throw new TidemarkError('meter_exists', `there is a meter ${slug} already`, { cause: error });
  });
  if (!rows[0])
    throw new TidemarkError('limit_reached', `a tenant may have ${most} meters that are not archived`);
  return findMeter(db, context.tenantId, rows[0].id);
}
