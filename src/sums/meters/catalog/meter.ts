import type { Queryable } from '../../../ground/db/queryable.ts';
import { TidemarkError } from '../../../model/errors.ts';
import { parseJson } from '../../../model/json.ts';
import { formatTimestamp } from '../../../model/timestamp.ts';
import type { Aggregation, Condition, MeterDefinition } from '../definition/meterDefinition.ts';

/** How far the past of a meter is summed up. Until it is, what is not comes from the events, as exact and slower. */
export interface MeterFill {
  state: 'filling' | 'complete';
  /** From here on it is; null: nothing of the past yet, or, when complete, all of it. */
  from: string | null;
  /** Down to where it is to be; null: as far back as there are events. */
  goal: string | null;
  /** Since when single events are kept: a meter reaches no further back when it is made. Null: all are. */
  eventsKeptFrom: string | null;
}

/** A tenant's definition of what is measured, as it is stored. */
export interface Meter {
  id: string;
  tenantId: string;
  slug: string;
  name: string;
  description: string | null;
  definition: MeterDefinition;
  /** What is kept for it; several meters may read one. */
  seriesId: number;
  fill: MeterFill;
  createdAt: string;
  updatedAt: string;
  /** Null: it is live. */
  archivedAt: string | null;
}

/** What a row says of what makes the numbers. JSON as text: the driver would make doubles of its numbers. */
export interface DefinitionRow {
  event_type: string;
  event_from_micros: string | null;
  aggregation: Aggregation;
  value_path: string | null;
  dimensions: string;
  filter: string;
}

/** A row of `METERS`. */
export interface MeterRow extends DefinitionRow {
  id: string;
  tenant_id: string;
  slug: string;
  name: string;
  description: string | null;
  series_id: number;
  created_at: Date;
  updated_at: Date;
  archived_at: Date | null;
  filled_from_micros: string | null;
  filled: boolean;
  fill_floor_micros: string | null;
  events_kept_from_micros: string | null;
}

const micros = (moment: string) =>
  `case when isfinite(${moment}) then (extract(epoch from ${moment}) * 1000000)::bigint end`;

/** Meters with how far each is filled, as an SQL `from` item. @param schema of the tables, or of a tenant's views, with a dot. */
const metersIn = (schema: '' | 'tenant_data.') => `(
  select m.*, ${micros('s.filled_from')} as filled_from_micros, ${micros('s.fill_floor')} as fill_floor_micros,
    coalesce(s.filled_from <= s.fill_floor, false) as filled,
    (select ${micros('kept_from')} from ${schema}retention where relation = 'event') as events_kept_from_micros
  from ${schema}meter m join ${schema}meter_series s on s.id = m.series_id
) as meters`;

/** For the service's own connections. */
export const METERS = metersIn('');
/** For a tenant's reads. */
const OWN_METERS = metersIn('tenant_data.');

/** Of a table or view that has the columns of `meter`. */
export const DEFINITION_COLUMNS = `event_type, ${micros('event_from')} as event_from_micros, aggregation, value_path,
  dimensions::text as dimensions, filter::text as filter`;

export const METER_COLUMNS = `id, tenant_id, slug, name, description, ${DEFINITION_COLUMNS}, series_id, created_at,
  updated_at, archived_at, filled_from_micros, fill_floor_micros, filled, events_kept_from_micros`;

/** What the audit log says of a row of `meter`, as SQL. */
export const meterState = (row: string) => `jsonb_build_object(
  'slug', ${row}.slug, 'name', ${row}.name, 'description', ${row}.description, 'eventType', ${row}.event_type,
  'eventFrom', iso8601_micros(${row}.event_from), 'aggregation', ${row}.aggregation, 'value', ${row}.value_path,
  'dimensions', ${row}.dimensions, 'filter', ${row}.filter)`;

export function toMeter(row: MeterRow): Meter {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    slug: row.slug,
    name: row.name,
    description: row.description,
    definition: toDefinition(row),
    seriesId: row.series_id,
    fill: {
      state: row.filled ? 'complete' : 'filling',
      from: momentOf(row.filled_from_micros),
      goal: momentOf(row.fill_floor_micros),
      eventsKeptFrom: momentOf(row.events_kept_from_micros),
    },
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    archivedAt: row.archived_at?.toISOString() ?? null,
  };
}

export function toDefinition(row: DefinitionRow): MeterDefinition {
  return {
    eventType: row.event_type,
    eventFromMicros: row.event_from_micros === null ? null : Number(row.event_from_micros),
    aggregation: row.aggregation,
    value: row.value_path,
    dimensions: JSON.parse(row.dimensions) as Record<string, string>,
    filter: parseJson(row.filter) as Condition[],
  };
}

function momentOf(value: string | null): string | null {
  return value === null ? null : formatTimestamp(Number(value));
}

/** @throws {TidemarkError} `not_found`. */
export function noSuchMeter(): TidemarkError {
  return new TidemarkError('not_found', 'there is no such meter');
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A meter by its id, or the live one by its slug. @throws {TidemarkError} `not_found`. */
export function findMeter(db: Queryable, tenantId: string, slugOrId: string): Promise<Meter> {
  return findIn(METERS, db, tenantId, slugOrId);
}

/**
 * The same through a tenant's reads, for what is to be asked.
 *
 * @throws {TidemarkError} `not_found` also where it is archived: it is fed no more, so it would not be exact.
 */
export async function findLiveMeter(db: Queryable, tenantId: string, slugOrId: string): Promise<Meter> {
  const meter = await findIn(OWN_METERS, db, tenantId, slugOrId);
  if (meter.archivedAt === null) return meter;
  throw new TidemarkError('not_found', 'the meter is archived');
}

async function findIn(meters: string, db: Queryable, tenantId: string, slugOrId: string): Promise<Meter> {
  const condition = UUID.test(slugOrId) ? 'id = $2::uuid' : 'slug = $2 and archived_at is null';
  const { rows } = await db.query<MeterRow>(
    `select ${METER_COLUMNS} from ${meters} where tenant_id = $1 and ${condition}`,
    [tenantId, slugOrId],
  );
  if (!rows[0]) throw noSuchMeter();
  return toMeter(rows[0]);
}
