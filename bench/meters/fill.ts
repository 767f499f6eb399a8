import { isDeepStrictEqual } from 'node:util';
import { measurePosts } from '../load/measurement.ts';
import { TENANT } from '../load/workload.ts';
import { rangeOf } from '../services/asking.ts';
import { type MeterBody, MeterCalls } from '../services/meterCalls.ts';
import { type StoredHistory, storeHistory } from '../services/storedHistory.ts';
import { costsOf } from '../support/costs.ts';
import { interruption } from '../support/interruption.ts';
import { Meter } from '../support/processStats.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { SUM_OF_COLUMN, SUM_OF_MEMBER } from './definitions.ts';
import type { Options } from './options.ts';
import { type MeterSample, NO_COSTS } from './sample.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const OTHER = 'other';

/** A meter that is made over stored events, and the same sum in SQL. */
interface NewMeter {
  name: string;
  body: Omit<MeterBody, 'slug'>;
  sql: string;
}

const NEW_METERS: NewMeter[] = [
  { name: 'sum of a column', body: SUM_OF_COLUMN, sql: 'tokens' },
  {
    name: 'sum of a member by two dimensions',
    body: SUM_OF_MEMBER,
    sql: `(metadata ->> 'gb')::numeric`,
  },
];

/**
 * Makes meters over stored events: how long it takes until they answer, how fast their past is filled, and what a fill
 * costs another tenant's ingest.
 */
export async function measureFill(
  server: BenchServer,
  options: Options,
  days: number,
  folder: string,
  log: (line: string) => void,
): Promise<MeterSample[]> {
  const to = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  log(`fill: ${figure(options.fillEvents)} events of ${days} days`);
  const history = await storeHistory(
    server,
    { events: options.fillEvents, from: to - days * DAY_MS, to },
    folder,
  );
  const samples: MeterSample[] = [];
  try {
    const of = days === 1 ? 'of a day' : `of ${days} days`;
    const keep = (sample: MeterSample) => {
      log(`${sample.variant}, ${sample.who}: ${figure(sample.value)} ${sample.unit}`);
      samples.push({ ...sample, variant: `${sample.variant}, events ${of}` });
    };
    for (const meter of NEW_METERS) {
      for (const sample of await firstAnswers(history, meter)) keep(sample);
      keep(await fillOnce(server, history, meter));
    }
    for (const sample of await besideFill(server, history, options)) keep(sample);
    return samples;
  } finally {
    const problems = await history.end();
    samples.at(-1)?.problems.push(...problems);
  }
}

/** Seconds from the request that makes a meter to its first answer: of the last day, and of all there is. */
async function firstAnswers(history: StoredHistory, { name, body, sql }: NewMeter): Promise<MeterSample[]> {
  const calls = new MeterCalls(history.service, TENANT);
  const samples: MeterSample[] = [];
  for (const [what, from, granularity, step] of [
    ['the last hour by 30 s', history.to - HOUR_MS, '30s', '30 seconds'],
    ['the last day by hour', history.to - DAY_MS, '1h', '1 hour'],
    ['all by hour', history.from, '1h', '1 hour'],
  ] as const) {
    interruption.throwIfAborted();
    const problems: string[] = [];
    const started = performance.now();
    await calls.create({ ...body, slug: 'new' });
    const points = await calls
      .query('new', `${rangeOf(from, history.to)}&granularity=${granularity}&limit=10000`)
      .catch((error: Error) => {
        problems.push(error.message);
        return [];
      });
    const seconds = (performance.now() - started) / 1_000;
    await calls.archive('new');
    const served = points.map(({ windowStart, value, events }) => [windowStart.slice(0, 19), value, events]);
    if (problems.length === 0 && !isDeepStrictEqual(served, await counted(history, from, step, sql))) {
      problems.push('the answer is not what GROUP BY says');
    }
    samples.push({
      ...{ row: 'fill', variant: `first answer, ${what}`, who: name },
      ...{ value: seconds, unit: 's', ...NO_COSTS, problems },
    });
  }
  return samples;
}

async function counted({ database, to }: StoredHistory, from: number, step: string, sql: string) {
  const { rows } = await withClient(database.url, (client) =>
    client.query<{ start: string; value: string; events: string }>(
      `select to_char(date_bin($4::interval, ts, 'epoch'::timestamptz) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') as start,
         trim_scale(sum(${sql})::numeric)::text as value, count(*) as events
       from event where tenant_id = $1 and ts >= $2 and ts < $3 group by 1 order by 1`,
      [TENANT, new Date(from).toISOString(), new Date(to).toISOString(), step],
    ),
  );
  return rows.map(({ start, value, events }) => [start, value, Number(events)]);
}

/** Events/s from the request that makes a meter until its past is in its levels. */
async function fillOnce(
  server: BenchServer,
  history: StoredHistory,
  { name, body, sql }: NewMeter,
): Promise<MeterSample> {
  const { service, events, from, to } = history;
  const calls = new MeterCalls(service, TENANT);
  const meter = new Meter({ service: service.pid, postmaster: server.postmaster });
  meter.begin();
  const started = performance.now();
  await calls.create({ ...body, slug: 'filled' });
  await calls.filled(['filled']);
  const rate = events / ((performance.now() - started) / 1_000);
  const usage = meter.end();
  const points = await calls.query('filled', `${rangeOf(from, to)}&granularity=1h&limit=10000`);
  const served = points.map(({ windowStart, value, events }) => [windowStart.slice(0, 19), value, events]);
  const exact = isDeepStrictEqual(served, await counted(history, from, '1 hour', sql));
  await calls.archive('filled');
  return {
    ...{ row: 'fill', variant: 'rollups complete', who: name, value: rate, unit: 'events/s' },
    ...costsOf({ ...usage, generatorCores: null }, rate),
    problems: exact ? [] : ['what was filled is not what GROUP BY says'],
  };
}

/** Events/s of another tenant, by turns with nothing else to do and beside a fill. */
async function besideFill(
  server: BenchServer,
  history: StoredHistory,
  options: Options,
): Promise<MeterSample[]> {
  const { service } = history;
  const key = await service.addTenant(OTHER);
  const calls = new MeterCalls(service, TENANT);
  const { durationMs, warmupMs, rounds } = options;
  const samples: MeterSample[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const filling of round % 2 === 0 ? [true, false] : [false, true]) {
      interruption.throwIfAborted();
      if (filling) await calls.create({ ...SUM_OF_MEMBER, slug: 'beside' });
      const measured = await measurePosts(
        'd',
        'batches',
        { port: service.port, pid: service.pid, key },
        server.postmaster,
        { durationMs, warmupMs },
        { tenants: [OTHER] },
      );
      const { eventsPerSecond, usage, generatorCores, problems } = measured;
      if (filling) {
        if (await calls.isFilled('beside')) problems.push('the fill ended before the measurement did');
        await calls.archive('beside');
      }
      samples.push({
        ...{ row: 'fill', variant: 'ingest of another tenant', who: filling ? 'beside a fill' : 'alone' },
        ...{ value: eventsPerSecond, unit: 'events/s' },
        ...costsOf({ ...usage, generatorCores }, eventsPerSecond),
        problems,
      });
    }
  }
  return samples;
}
