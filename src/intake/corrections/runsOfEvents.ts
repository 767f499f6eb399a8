import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant } from '../../ground/db/sqlParameters.ts';
import type { EventPlace } from './locateEvents.ts';

/**
 * Rows of a tenant between two events of a packed chunk that are taken out by one statement. It unpacks what lies between its
 * first and its last, in batches of up to 1,000 rows, each of which costs about two statements; with fewer between them than a
 * batch has, it unpacks none that either would not.
 */
const ROWS_BETWEEN = 1_000;
/** Where it is not worth looking how many rows there are: so far apart (ms), or nearer. */
const NEAR_MS = 1_000;
/** Events in a day from which on it is. */
const WORTH_LOOKING = 20;
const HOUR_MICROS = 3_600_000_000;
const DAY_MICROS = 24 * HOUR_MICROS;

/** Events in the order of their time, in runs: each is of one day of UTC, and is taken out by one statement. */
export async function runsOf(
  db: Queryable,
  engine: Engine,
  tenantId: string,
  places: readonly EventPlace[],
): Promise<EventPlace[][]> {
  const packed = engine === 'timescale' ? await packedRanges(db) : [];
  const runs: EventPlace[][] = [];
  for (const day of byDay(places)) {
    const first = day[0]!.tsMicros;
    const last = day.at(-1)!.tsMicros;
    const isPacked = packed.some(({ from, to }) => from <= last && first < to);
    if (isPacked) runs.push(...split(day, await nearness(db, tenantId, day)));
    else runs.push(day);
  }
  return runs;
}

/** Chunks of events that have columns, in µs since the epoch, the end excluded. */
async function packedRanges(db: Queryable): Promise<{ from: number; to: number }[]> {
  const { rows } = await db.query<{ from_micros: string; to_micros: string }>(
    `select (extract(epoch from range_start) * 1000000)::bigint as from_micros,
       (extract(epoch from range_end) * 1000000)::bigint as to_micros
     from retention_chunk where relation = 'event' and state <> 0`,
  );
  return rows.map(({ from_micros, to_micros }) => ({ from: Number(from_micros), to: Number(to_micros) }));
}

/** Whether two neighbours, µs since the epoch, belong into one statement. */
type Near = (before: number, after: number) => boolean;

async function nearness(db: Queryable, tenantId: string, day: readonly EventPlace[]): Promise<Near> {
  if (day.length < WORTH_LOOKING) return (before, after) => after - before <= NEAR_MS * 1_000;
  const hourOf = ({ tsMicros }: EventPlace) => Math.floor(tsMicros / HOUR_MICROS);
  const from = instant((hourOf(day[0]!) * HOUR_MICROS) / 1_000);
  const to = instant(((hourOf(day.at(-1)!) + 1) * HOUR_MICROS) / 1_000);
  const { rows } = await db.query<{ hour: string; count: string }>(
    `select floor(extract(epoch from date_bin('1 hour', ts, 'epoch'::timestamptz)) / 3600)::bigint as hour, count(*) as count
     from event
     where tenant_id = $1 and ts >= ${from} and ts < ${to}
     group by 1`,
    [tenantId],
  );
  const hours = new Map(rows.map(({ hour, count }) => [Number(hour), Number(count)]));
  return (before, after) => rowsBetween(hours, before, after) <= ROWS_BETWEEN;
}

/** About how many rows lie between two moments, by how many each hour (since the epoch) has. */
export function rowsBetween(hours: ReadonlyMap<number, number>, before: number, after: number): number {
  let rows = 0;
  for (let hour = Math.floor(before / HOUR_MICROS); hour * HOUR_MICROS < after; hour++) {
    const from = Math.max(before, hour * HOUR_MICROS);
    const to = Math.min(after, (hour + 1) * HOUR_MICROS);
    rows += ((hours.get(hour) ?? 0) * (to - from)) / HOUR_MICROS;
  }
  return rows;
}

function byDay(places: readonly EventPlace[]): EventPlace[][] {
  const sorted = [...places].sort((a, b) => a.tsMicros - b.tsMicros);
  return split(sorted, (before, after) => Math.floor(before / DAY_MICROS) === Math.floor(after / DAY_MICROS));
}

/** Cuts what is sorted where two neighbours are not near. */
function split(places: readonly EventPlace[], near: Near): EventPlace[][] {
  const runs: EventPlace[][] = [];
  for (const place of places) {
    const run = runs.at(-1);
    if (run && near(run.at(-1)!.tsMicros, place.tsMicros)) run.push(place);
    else runs.push([place]);
  }
  return runs;
}
