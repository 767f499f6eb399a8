import type pg from 'pg';
import type { Engine } from '../../../ground/db/engine.ts';
import { instant } from '../../../ground/db/sqlParameters.ts';
import { errorCode, gaveWay, LOCK_NOT_AVAILABLE } from '../../../ground/db/sqlstate.ts';
import { seriesFromJson } from '../definition/meterDefinition.ts';
import { literals } from '../rules/sqlOfSeries.ts';
import type { FillPace } from './fillPace.ts';
import { unpacksAll } from './foldMeters.ts';
import { partsOfEvents } from './partsOfEvents.ts';

/** After which a step is given up for a smaller one, in ms. */
const MOST_STEP_MS = 20_000;
const WINDOW_MS = 30_000;
const HOUR_MS = 3_600_000;
const CANCELED = '57014';

/** A step of a fill. */
export interface FillStep {
  /** Events counted. */
  events: number;
  /** How long the transaction took, in ms. */
  ms: number;
}

/** A series whose past is not kept yet. Times in ms since the epoch, or ±Infinity. */
interface Filling {
  id: number;
  tenantId: string;
  definition: string;
  filledFrom: number;
  floor: number;
  /** What `filled_from` becomes once all is filled. */
  end: string;
}

interface StartOfStep {
  /** In ms since the epoch. */
  from: number;
  /** Events of the tenant, as far as is known. */
  expected: number;
}

/**
 * Brings a step of a series' past from the events into its levels, the newest first: of the series that has the most
 * before it. One REPEATABLE READ transaction, alone, whose snapshot comes after the lock: it adds up the events that it
 * sees and deletes the parts of the same windows, and a part and its event are seen together or not at all. From its
 * commit on these windows are read from the levels.
 *
 * @returns null where nothing is to be filled, another folds or fills, or the step has to be done again.
 * @throws what ends the round.
 */
export async function fillSeries(
  client: pg.ClientBase,
  engine: Engine,
  pace: FillPace,
  signal: AbortSignal,
): Promise<FillStep | null> {
  const began = performance.now();
  let spanMs = Number.POSITIVE_INFINITY;
  const workers = pace.sparing ? 'set local max_parallel_workers_per_gather = 0;' : '';
  await client.query(
    `begin isolation level repeatable read; set local work_mem = '64MB'; ${workers} ${unpacksAll(engine)}`,
  );
  try {
    await client.query('lock table meter_fold in exclusive mode nowait');
    const series = await nextSeries(client);
    if (!series) {
      await client.query('rollback');
      return null;
    }
    const { from, expected } = await startOfStep(client, series, pace);
    spanMs = series.filledFrom - from;
    if (pace.canDivide(spanMs)) await client.query(`set local statement_timeout = ${MOST_STEP_MS}`);
    const events = await addUp(client, series, from);
    await client.query(`delete from meter_part where series_id = $1 and bucket >= $2 and bucket < $3`, [
      series.id,
      timestamp(from),
      timestamp(series.filledFrom),
    ]);
    await client.query('update meter_series set filled_from = $2 where id = $1', [
      series.id,
      from <= series.floor ? series.end : timestamp(from),
    ]);
    if (engine === 'timescale') await client.query('select require_unmoved_chunks()');
    await client.query('commit');
    const ms = performance.now() - began;
    pace.took(ms, expected);
    return { events, ms };
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    if (errorCode(error) === CANCELED && !signal.aborted) {
      pace.tookTooLong(Math.min(spanMs, 365 * 24 * HOUR_MS));
      return null;
    }
    if (errorCode(error) === LOCK_NOT_AVAILABLE || gaveWay(error)) return null;
    throw error;
  }
}

async function nextSeries(client: pg.ClientBase): Promise<Filling | null> {
  const { rows } = await client.query<{
    id: number;
    tenant_id: string;
    definition: string;
    from_ms: string;
    floor_ms: string;
    end: string;
  }>(
    `select id, tenant_id, definition::text, extract(epoch from filled_from) * 1000 as from_ms,
       extract(epoch from fill_floor) * 1000 as floor_ms,
       -- Before its first event there is nothing to read anywhere.
       case when fill_floor = date_bin('30 seconds', event_from, 'epoch'::timestamptz) then '-infinity'
            else fill_floor::text end as end
     from meter_series where retired_at is null and filled_from > fill_floor
     order by filled_from desc, id limit 1`,
  );
  const row = rows[0];
  return row
    ? {
        id: row.id,
        tenantId: row.tenant_id,
        definition: row.definition,
        filledFrom: Number(row.from_ms),
        floor: Number(row.floor_ms),
        end: row.end,
      }
    : null;
}

/**
 * Where the step begins, and how many events of the tenant are about to be in it. That is taken from the activity tables,
 * which need not have all of them: how long it takes decides in the end.
 */
async function startOfStep(client: pg.ClientBase, series: Filling, pace: FillPace): Promise<StartOfStep> {
  const { tenantId, filledFrom, floor } = series;
  const { rows } = await client.query<{ oldest: string | null; newest: string; covered: string }>(
    `select extract(epoch from (select min(ts) from event)) * 1000 as oldest,
       extract(epoch from greatest(now(), (select max(ts) from event))) * 1000 as newest,
       case when exists (select from late_window where activity_revision < revision and bucket < covered_until) then 'Infinity'
            else extract(epoch from covered_from) * 1000 end as covered
     from window_coverage`,
  );
  const { oldest, newest } = rows[0]!;
  const all = { from: floor, expected: 0 };
  if (oldest === null) return all;
  const covered = Number(rows[0]!.covered);
  const lowest = Math.max(floor, windowOf(Number(oldest)));
  const below = Math.min(filledFrom, windowOf(Number(newest)) + WINDOW_MS);
  if (below <= lowest) return all;
  let start: StartOfStep = { from: below - pace.blindMs, expected: 0 };
  if (below - WINDOW_MS >= covered) {
    start = await startByActivity(client, tenantId, below, pace.events);
    start.from = Math.max(start.from, windowOf(covered + WINDOW_MS - 1));
  }
  start.from = windowOf(Math.min(below - WINDOW_MS, Math.max(start.from, below - pace.mostMs)));
  return start.from <= lowest ? { ...start, from: floor } : start;
}

/** From where there are about so many events before a moment; -Infinity where there are fewer. */
async function startByActivity(
  client: pg.ClientBase,
  tenantId: string,
  below: number,
  events: number,
): Promise<StartOfStep> {
  const start = { from: below, expected: 0 };
  for (const [level, length, most] of [
    ['30s', WINDOW_MS, 240],
    ['1h', HOUR_MS, 1_000],
  ] as const) {
    const until = Math.floor(start.from / length) * length;
    const { rows } = await client.query<{ ms: string; calls: string }>(
      `select extract(epoch from bucket) * 1000 as ms, sum(calls)::bigint as calls from activity_calls
       where tenant_id = $1 and level = $2 and bucket < $3
       group by bucket order by bucket desc limit ${most}`,
      [tenantId, level, timestamp(until)],
    );
    for (const { ms, calls } of rows) {
      if (start.expected > 0 && start.expected + Number(calls) > events) return start;
      start.expected += Number(calls);
      start.from = Number(ms);
    }
    if (rows.length < most) return { ...start, from: Number.NEGATIVE_INFINITY };
  }
  return start;
}

/**
 * Adds the events of [from, filledFrom) to the levels of the series. What they add up to goes by way of this process: a
 * statement that writes has one worker only.
 *
 * @returns how many.
 */
async function addUp(client: pg.ClientBase, series: Filling, from: number): Promise<number> {
  const { rows } = await client.query<{ events: string; parts: string | null }>(partsStatement(series, from));
  const { events, parts } = rows[0]!;
  if (parts !== null) await client.query('select add_to_meters($1::meter_part[])', [parts]);
  return Number(events);
}

function partsStatement({ id, tenantId, filledFrom, definition }: Filling, from: number): string {
  const range = [
    ...(Number.isFinite(from) ? [`and e.ts >= ${instant(from)}`] : []),
    ...(Number.isFinite(filledFrom) ? [`and e.ts < ${instant(filledFrom)}`] : []),
  ].join(' ');
  const where = `e.tenant_id = ${literals(tenantId, 'text')} ${range}`;
  const parts = partsOfEvents(id, tenantId, seriesFromJson(definition), { from: 'event e', where });
  return `
    select coalesce(sum((part).events), 0)::bigint as events, array_agg(part)::text as parts
    from (select row(parts.*)::meter_part as part from (${parts}) as parts) as part`;
}

function windowOf(ms: number): number {
  return Math.floor(ms / WINDOW_MS) * WINDOW_MS;
}

/** As PostgreSQL reads it. */
function timestamp(ms: number): string {
  if (Number.isFinite(ms)) return new Date(ms).toISOString();
  return ms > 0 ? 'infinity' : '-infinity';
}
