import { type Actor, COMMAND, writeEntries } from '../../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { waitingForBatches } from '../../../ground/db/waitingForBatches.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { pointerTo } from '../definition/definitionFault.ts';
import {
  checkAddedDimensions,
  type DefinitionFault,
  type MeterDefinition,
  seriesOf,
} from '../definition/meterDefinition.ts';
import { findMeter, type Meter, meterState, noSuchMeter } from './meter.ts';
import { invalidMeter, MAX_DESCRIPTION, MAX_NAME, textFaults } from './newMeter.ts';
import { newSeries } from './newSeries.ts';
import { retireUnusedSeries } from './retireUnusedSeries.ts';

/** What is left out stays as it is. */
export interface MeterChanges {
  name?: string | undefined;
  description?: string | null | undefined;
  /** Those that are to be there besides; one that is there already may be named as it is. */
  dimensions?: Record<string, unknown> | undefined;
}

/** How often it is tried again when somebody else adds dimensions meanwhile. */
const TRIES = 5;

/**
 * Changes a meter. A dimension that is added has values from the first event that is kept; before that it has none.
 *
 * @throws {TidemarkError} `not_found` also where it is archived; `invalid_request`; `overloaded`.
 */
export async function updateMeter(
  db: Queryable,
  context: TenantContext,
  slugOrId: string,
  changes: MeterChanges,
  actor: Actor = COMMAND,
): Promise<Meter> {
  for (let tries = 1; tries <= TRIES; tries++) {
    const meter = await findMeter(db, context.tenantId, slugOrId);
    if (meter.archivedAt !== null) throw noSuchMeter();
    const changed = await change(db, context, meter, changes, actor);
    if (changed) return findMeter(db, context.tenantId, meter.id);
  }
  throw new TidemarkError('overloaded', 'the meter is being changed', { retryAfterSeconds: 1 });
}

/** @returns whether it was still as it was read. */
async function change(
  db: Queryable,
  context: TenantContext,
  meter: Meter,
  changes: MeterChanges,
  actor: Actor,
): Promise<boolean> {
  const definition = withDimensions(meter.definition, changes.dimensions);
  const series = newSeries(seriesOf(definition), meter.seriesId);
  const sameSeries = newSeries(seriesOf(meter.definition), meter.seriesId).definition === series.definition;
  const { rows } = await waitingForBatches(() =>
    db.query(
      `with old as materialized (
         select * from meter
         where tenant_id = $1 and id = $2 and archived_at is null and series_id = $3 and dimensions = $4::jsonb
         for update
       ), series as materialized (
         select case when $5 then old.series_id else create_series($1, $6::jsonb, $7, $3) end as id from old
       ), changed as (
         update meter m set
           name = coalesce($8, m.name),
           description = case when $9 then $10 else m.description end,
           dimensions = $11::jsonb,
           series_id = series.id,
           updated_at = now()
         from old, series where m.id = old.id returning m.*, ${meterState('old')} as before
       ), logged as (${writeEntries({
         from: 'changed',
         action: 'meter.updated',
         before: 'before',
         after: `(${meterState('changed')})`,
         actor: '$12',
       })})
       select id from changed`,
      [
        context.tenantId,
        meter.id,
        meter.seriesId,
        JSON.stringify(meter.definition.dimensions),
        sameSeries,
        series.definition,
        series.digest,
        changes.name ?? null,
        changes.description !== undefined,
        changes.description ?? null,
        JSON.stringify(definition.dimensions),
        JSON.stringify(actor),
      ],
    ),
  );
  if (rows.length > 0 && !sameSeries) await retireUnusedSeries(db, context);
  return rows.length > 0;
}

/** @throws {TidemarkError} `invalid_request` where one is there with another path, or there are too many. */
function withDimensions(
  definition: MeterDefinition,
  added: Record<string, unknown> | undefined,
): MeterDefinition {
  if (added === undefined) return definition;
  const { dimensions, faults } = checkAddedDimensions(definition, added);
  if (faults) throw invalidMeter(faults);
  return { ...definition, dimensions };
}

/** The members that cannot be changed, since they make the numbers. */
const IMMUTABLE = ['slug', 'eventType', 'eventFrom', 'aggregation', 'value', 'filter'];

/** Reads what is sent to change a meter. @throws {TidemarkError} `invalid_request` with every fault. */
export function requireMeterChanges(input: unknown): MeterChanges {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw invalidMeter([{ pointer: '', code: 'type_invalid', message: 'must be an object' }]);
  }
  const { name, description, dimensions, ...others } = input as Record<string, unknown>;
  const faults: DefinitionFault[] = [
    ...(name === undefined ? [] : textFaults('/name', name, MAX_NAME)),
    ...(description == null ? [] : textFaults('/description', description, MAX_DESCRIPTION)),
    ...Object.keys(others).map((member) =>
      IMMUTABLE.includes(member)
        ? {
            pointer: pointerTo(member),
            code: 'immutable',
            message: "cannot be changed: what makes a meter's numbers is for good; make another meter",
          }
        : { pointer: pointerTo(member), code: 'unknown_field', message: 'is no part of a meter' },
    ),
  ];
  if (faults.length > 0) throw invalidMeter(faults);
  return {
    name: name as string | undefined,
    description: description as string | null | undefined,
    dimensions: dimensions as Record<string, unknown> | undefined,
  };
}
