import type pg from 'pg';
import { fromUnits, toUnits } from '../../src/model/decimal.ts';
import {
  type MeterDefinition,
  seriesDigest,
  seriesJson,
  seriesOf,
} from '../../src/sums/meters/definition/meterDefinition.ts';
import { memberKey } from '../../src/sums/meters/rules/memberKey.ts';
import { until } from './service.ts';

const WINDOW = 30_000;
const LENGTHS = { '30s': WINDOW, '1h': 3_600_000, '1d': 86_400_000 };

/** A posted event, of which everything that meters read is metadata. */
export interface MeteredEvent {
  eventId: string;
  timestamp: string;
  customerId: string;
  eventType: string;
  metadata: Record<string, unknown>;
}

/** What an event is to a series, said by hand: undefined where it does not match. */
export type ByHand = (event: MeteredEvent) =>
  | {
      dims: (string | null)[];
      value?: string;
      member?: string;
      ignored?: 'missing' | 'null' | 'type' | 'range';
    }
  | undefined;

/** Makes the meter of a definition, and its series, as the service does. @returns the id of the series. */
export async function makeMeter(
  sql: pg.Pool,
  tenantId: string,
  slug: string,
  definition: Partial<MeterDefinition> & Pick<MeterDefinition, 'aggregation'>,
): Promise<number> {
  const whole: MeterDefinition = {
    eventType: 'upload',
    eventFromMicros: null,
    value: null,
    dimensions: {},
    filter: [],
    ...definition,
  };
  const series = seriesOf(whole);
  const client = await sql.connect();
  try {
    await client.query('begin');
    const { rows } = await client.query('select create_series($1, $2, $3, null) as id', [
      tenantId,
      seriesJson(series),
      seriesDigest(series),
    ]);
    await client.query(
      `insert into meter (tenant_id, slug, name, event_type, aggregation, value_path, dimensions, filter, series_id)
       values ($1, $2, $2, $3, $4, $5, $6, $7, $8)`,
      [
        tenantId,
        slug,
        whole.eventType,
        whole.aggregation,
        whole.value,
        JSON.stringify(whole.dimensions),
        JSON.stringify(whole.filter),
        rows[0].id,
      ],
    );
    await client.query('commit');
    return rows[0].id;
  } finally {
    client.release();
  }
}

/** Archives it, and with it a series that nobody else reads. */
export async function archiveMeter(sql: pg.Pool, tenantId: string, slug: string): Promise<void> {
  const client = await sql.connect();
  try {
    await client.query('begin');
    await client.query('update meter set archived_at = now() where tenant_id = $1 and slug = $2', [
      tenantId,
      slug,
    ]);
    await client.query('select retire_unused_series($1)', [tenantId]);
    await client.query('commit');
  } finally {
    client.release();
  }
}

/** Waits until the first round of a service's upkeep is over, so that a test has the next minute to itself. */
export function upkeepRests(sql: pg.Pool): Promise<void> {
  return until(async () => {
    const { rows } = await sql.query(
      `select from pg_stat_activity where application_name = 'tidemark meters' and state = 'idle'
         and datname = current_database() and state_change < clock_timestamp() - interval '150 milliseconds'`,
    );
    return rows.length === 1;
  });
}

interface Sums {
  events: number;
  counted: number;
  sum: bigint | null;
  min: bigint | null;
  max: bigint | null;
  latest: string | null;
  ignored: Record<'missing' | 'null' | 'type' | 'range', number>;
  members: Set<string>;
}

/** Rows by bucket, customer and dimension values, as texts that can be compared. */
export type Kept = Record<string, string>;

/** The numbers of a series at a level, from the events. */
export function sumsByHand(
  events: readonly MeteredEvent[],
  byHand: ByHand,
  level: keyof typeof LENGTHS,
  { from, until, members = true }: { from: number; until: number; members?: boolean },
): Kept {
  const rows = new Map<string, { sums: Sums; last: string }>();
  for (const event of events) {
    const what = byHand(event);
    const ms = Date.parse(event.timestamp);
    if (!what || ms < from || ms >= until) continue;
    const bucket = Math.floor(ms / LENGTHS[level]) * LENGTHS[level];
    for (const customer of [event.customerId, '']) {
      const key = JSON.stringify([new Date(bucket).toISOString(), customer, what.dims]);
      let row = rows.get(key);
      if (!row) {
        row = { sums: nothing(), last: '' };
        rows.set(key, row);
      }
      const { sums } = row;
      sums.events++;
      if (what.ignored) {
        sums.ignored[what.ignored]++;
        continue;
      }
      sums.counted++;
      if (what.member !== undefined) sums.members.add(memberKey(what.member).toString('hex'));
      if (what.value === undefined) continue;
      const units = toUnits(what.value);
      sums.sum = (sums.sum ?? 0n) + units;
      sums.min = sums.min === null || units < sums.min ? units : sums.min;
      sums.max = sums.max === null || units > sums.max ? units : sums.max;
      const at = `${String(ms).padStart(16, '0')} ${event.eventId}`;
      if (at > row.last) {
        row.last = at;
        sums.latest = `${new Date(ms).toISOString()} ${event.eventId} ${what.value}`;
      }
    }
  }
  return Object.fromEntries([...rows].map(([key, { sums }]) => [key, textOf(sums, members)]));
}

/** The same as it is kept, all there is between two moments. */
export async function sumsKept(
  db: pg.Pool | pg.ClientBase,
  relation: string,
  seriesId: number,
  { from, until, members = true }: { from: number; until: number; members?: boolean },
): Promise<Kept> {
  const { rows } = await db.query(
    `select bucket, customer_id, dims, events, counted, sum, min, max, latest_at, latest_id, latest, ignored_missing,
       ignored_null, ignored_type, ignored_range, array(select replace(m::text, '-', '') from unnest(members) as m) as keys
     from ${relation} where series_id = $1 and bucket >= $2 and bucket < $3`,
    [seriesId, new Date(from), new Date(until)],
  );
  const found = new Map<string, Sums>();
  for (const row of rows) {
    const key = JSON.stringify([row.bucket.toISOString(), row.customer_id, row.dims]);
    const sums = found.get(key) ?? nothing();
    found.set(key, sums);
    sums.events += Number(row.events);
    sums.counted += Number(row.counted);
    sums.sum = row.sum === null ? sums.sum : (sums.sum ?? 0n) + unitsOf(row.sum);
    const [min, max] = [row.min, row.max].map((value) => (value === null ? null : unitsOf(value)));
    if (min != null && (sums.min === null || min < sums.min)) sums.min = min;
    if (max != null && (sums.max === null || max > sums.max)) sums.max = max;
    if (row.latest_at !== null) {
      const latest = `${row.latest_at.toISOString()} ${row.latest_id} ${fromUnits(unitsOf(row.latest))}`;
      if (sums.latest === null || latest > sums.latest) sums.latest = latest;
    }
    for (const reason of ['missing', 'null', 'type', 'range'] as const)
      sums.ignored[reason] += Number(row[`ignored_${reason}`]);
    for (const member of row.keys) sums.members.add(member);
  }
  return Object.fromEntries([...found].map(([key, sums]) => [key, textOf(sums, members)]));
}

/** As numeric prints it, with the zeros at the end that it keeps. */
function unitsOf(numeric: string): bigint {
  return toUnits(numeric.includes('.') ? numeric.replace(/\.?0+$/, '') : numeric);
}

function nothing(): Sums {
  return {
    events: 0,
    counted: 0,
    sum: null,
    min: null,
    max: null,
    latest: null,
    ignored: { missing: 0, null: 0, type: 0, range: 0 },
    members: new Set(),
  };
}

function textOf({ members, sum, min, max, ...rest }: Sums, withMembers: boolean): string {
  const decimals = [sum, min, max].map((units) => (units === null ? null : fromUnits(units)));
  return JSON.stringify({ ...rest, decimals, members: withMembers ? [...members].sort() : [] });
}
