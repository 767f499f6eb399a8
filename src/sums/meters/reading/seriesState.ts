import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../ground/db/queryable.ts';
import { noSuchMeter } from '../catalog/meter.ts';
import { type SeriesDefinition, seriesFromJson } from '../definition/meterDefinition.ts';
import { USAGE_SERIES } from '../definition/usageSeries.ts';

/** A series as it stands at the moment of a read. Moments in ms since the epoch. */
export interface SeriesState {
  id: number;
  definition: SeriesDefinition;
  /** Windows from here on are in its levels and parts; Infinity: none are, -Infinity: all. */
  filledFrom: number;
  /** What tells of the time that this one cannot: it has fewer dimensions. */
  predecessor: SeriesState | null;
}

/** What a read goes by, all of one moment. */
export interface MeterMoment {
  series: SeriesState;
  /** Since when single events are kept; -Infinity: all are. */
  eventsKeptFrom: number;
  /** Up to where hours and days have the members of distinct series. */
  membersUntil: { '1h': number; '1d': number };
}

/** The same with what revisions are added up from. */
export interface QueryMoment extends MeterMoment {
  /** Whole hours and days from here on have what `late_window_sum` says: Infinity: none, -Infinity: all. */
  revisionsSummedFrom: number;
}

interface Row {
  id: number;
  definition: string;
  filled_from: string;
  events_kept_from: string | null;
  members_1h_until: string;
  members_1d_until: string;
  summed_from?: string;
}

/** In ms, or ±Infinity. */
const ms = (moment: string) => `extract(epoch from ${moment}) * 1000`;

const COLUMNS = `id, definition::text as definition, ${ms('filled_from')} as filled_from,
      (select ${ms('kept_from')} from tenant_data.retention where relation = 'event') as events_kept_from,
      ${ms('members_1h_until')} as members_1h_until, ${ms('members_1d_until')} as members_1d_until`;

const STATEMENT = {
  name: 'meter moment',
  text: `
    with recursive line as (
      select id, definition, filled_from, predecessor, 0 as step from tenant_data.meter_series
      where tenant_id = $1 and id = $2
      union all
      select s.id, s.definition, s.filled_from, s.predecessor, line.step + 1
      from line join tenant_data.meter_series s on s.id = line.predecessor
      where s.tenant_id = $1
    )
    select ${COLUMNS},
      (select ${ms('greatest(summed_from, kept_from)')} from tenant_data.late_window_summed, tenant_data.retention
       where relation = 'usage_30s') as summed_from
    from line, tenant_data.meter_fold
    order by step`,
};

const USAGE_STATEMENT = {
  name: 'usage moment',
  text: `
    select ${COLUMNS}
    from tenant_data.meter_series, tenant_data.meter_fold
    where tenant_id = $1 and event_type = '' and retired_at is null`,
};

/**
 * Reads how far a series and those before it are filled. In the same snapshot as what is then read of them.
 *
 * @throws {TidemarkError} `not_found`.
 */
export async function readMeterMoment(
  db: Queryable,
  context: TenantContext,
  seriesId: number,
): Promise<QueryMoment> {
  const { rows } = await db.query<Row>({ ...STATEMENT, values: [context.tenantId, seriesId] });
  if (!rows[0]) throw noSuchMeter();
  return { ...momentOf(rows), revisionsSummedFrom: Number(rows[0].summed_from) };
}

/**
 * The same of all AI usage of the tenant (`USAGE_SERIES`). Where no series of it is kept, one of which nothing is filled: all of
 * it is read from the events.
 */
export async function readUsageMoment(db: Queryable, context: TenantContext): Promise<MeterMoment> {
  const { rows } = await db.query<Row>({ ...USAGE_STATEMENT, values: [context.tenantId] });
  if (rows[0]) return momentOf(rows);
  return {
    series: { id: 0, definition: USAGE_SERIES, filledFrom: Number.POSITIVE_INFINITY, predecessor: null },
    eventsKeptFrom: Number.NEGATIVE_INFINITY,
    membersUntil: { '1h': Number.NEGATIVE_INFINITY, '1d': Number.NEGATIVE_INFINITY },
  };
}

const USAGE_BEGINS = {
  name: 'usage begins',
  text: `
    select (select ${ms('filled_from')} from tenant_data.meter_series
            where tenant_id = $1 and event_type = '' and retired_at is null) as filled_from,
      (select ${ms('kept_from')} from tenant_data.retention where relation = 'event') as events_kept_from`,
};

/**
 * Since when all AI usage of the tenant can be told, in ms since the epoch; -Infinity: since ever. Of what is older no series knows,
 * and its events are gone.
 */
export async function usageBegins(db: Queryable, { tenantId }: TenantContext): Promise<number> {
  const { rows } = await db.query<{ filled_from: string | null; events_kept_from: string | null }>({
    ...USAGE_BEGINS,
    values: [tenantId],
  });
  const { filled_from: filled, events_kept_from: kept } = rows[0]!;
  return Math.min(Number(filled ?? 'Infinity'), Number(kept ?? '-Infinity'));
}

/**
 * Since when all of a meter can be told, in ms since the epoch; -Infinity: since ever, or since it counts. Of what is older
 * neither it nor a series before it knows, and its events are gone.
 */
export async function meterBegins(db: Queryable, context: TenantContext, seriesId: number): Promise<number> {
  const { series, eventsKeptFrom } = await readMeterMoment(db, context, seriesId);
  let first = series;
  while (first.predecessor !== null) first = first.predecessor;
  const begins = Math.min(first.filledFrom, eventsKeptFrom);
  const { eventFromMicros } = series.definition;
  return eventFromMicros !== null && eventFromMicros >= begins * 1_000 ? Number.NEGATIVE_INFINITY : begins;
}

/** @param rows of a series and those before it. */
function momentOf(rows: Row[]): MeterMoment {
  const [first] = rows;
  const series = rows.reduceRight<SeriesState | null>(
    (predecessor, row) => ({
      id: row.id,
      definition: seriesFromJson(row.definition),
      filledFrom: Number(row.filled_from),
      predecessor,
    }),
    null,
  );
  return {
    series: series!,
    eventsKeptFrom: Number(first!.events_kept_from ?? '-Infinity'),
    membersUntil: { '1h': Number(first!.members_1h_until), '1d': Number(first!.members_1d_until) },
  };
}
