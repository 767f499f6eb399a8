import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import { WINDOW_MS } from '../../src/model/window.ts';
import { CUSTOMERS, seededRandom, TENANT } from '../load/workload.ts';
import { askAgainAndAgain, type Question, rangeOf } from '../services/asking.ts';
import { MeterCalls, type MeterPoint } from '../services/meterCalls.ts';
import { packDue, type StoredHistory, storeHistory } from '../services/storedHistory.ts';
import { interruption } from '../support/interruption.ts';
import { relationBytes } from '../support/relationSizes.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { FIVE_METERS, SERIES } from './definitions.ts';
import { checkMetered } from './metered.ts';
import type { Options } from './options.ts';
import { type MeterSample, NO_COSTS } from './sample.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const MONTH_DAYS = 30;
const REQUESTS = 2_000;
const COMPARED = 25;

/**
 * p99 of queries of five meters at each number of events, and the bytes that their numbers take: all numbers are stored
 * first, and asked in turn.
 */
export async function measureQueries(
  server: BenchServer,
  options: Options,
  folder: string,
  log: (line: string) => void,
): Promise<MeterSample[]> {
  const histories: StoredHistory[] = [];
  const samples: MeterSample[] = [];
  try {
    const to = Date.now();
    for (const events of options.events) {
      const days = (options.days * events) / options.events[0]!;
      const from = Math.floor((to - days * DAY_MS) / WINDOW_MS) * WINDOW_MS;
      log(`queries: ${figure(events)} events of ${figure(days)} days`);
      const history = await storeHistory(server, { events, from, to }, folder);
      histories.push(history);
      const calls = new MeterCalls(history.service, TENANT);
      for (const meter of FIVE_METERS) await calls.create(meter);
      await calls.filled(FIVE_METERS.map(({ slug }) => slug));
      await packDue(history.database);
    }
    for (let round = 1; round <= options.rounds; round++) {
      for (const history of histories) {
        for (const question of questionsOf(history)) {
          interruption.throwIfAborted();
          const sample = await askAgainAndAgain(history.service, server.postmaster, question, options);
          log(`round ${round}: ${sample.variant}, ${sample.who}: p99 ${figure(sample.value)} ms`);
          samples.push(sample);
        }
      }
    }
    for (const history of histories) samples.push(...(await bytesOf(history)));
    for (const history of histories) {
      const problems = await withClient(history.database.url, async (client) => [
        ...(await compare(client, history)),
        ...(await checkMetered(client, SERIES)),
      ]);
      samples.at(-1)!.problems.push(...problems);
    }
    return samples;
  } finally {
    for (const history of histories) samples.at(-1)?.problems.push(...(await history.end()));
  }
}

interface Asked {
  slug: string;
  from: number;
  to: number;
  customerId?: string;
}

function questionsOf(history: StoredHistory): Question<'queries'>[] {
  const who = `${figure(history.events)} events`;
  return [
    {
      ...{ row: 'queries', variant: 'an hour by 30 s of one customer', who },
      paths: hours(history, REQUESTS).map((asked) => pathOf(asked)),
    },
    {
      ...{ row: 'queries', variant: 'a month by day by one dimension', who },
      paths: months(history).map((asked) => pathOf(asked)),
    },
  ];
}

/** Hours of random customers anywhere in what is stored, on the bounds of windows. */
function hours({ events, from, to }: StoredHistory, count: number): Asked[] {
  const random = seededRandom(events + count);
  const choices = Math.floor((to - from - HOUR_MS) / WINDOW_MS);
  return Array.from({ length: count }, () => {
    const start = from + Math.floor(random() * choices) * WINDOW_MS;
    const customerId = CUSTOMERS[Math.floor(random() * CUSTOMERS.length)]!;
    return { slug: 'sum', from: start, to: start + HOUR_MS, customerId };
  });
}

/** All stretches of thirty whole days in what is stored. */
function months({ from, to }: StoredHistory): Asked[] {
  const first = Math.ceil(from / DAY_MS);
  const last = Math.floor(to / DAY_MS) - MONTH_DAYS;
  return Array.from({ length: last - first + 1 }, (_, i) => ({
    slug: 'sum',
    from: (first + i) * DAY_MS,
    to: (first + i + MONTH_DAYS) * DAY_MS,
  }));
}

function pathOf(asked: Asked): string {
  return `/v1/meters/${asked.slug}/query?${parametersOf(asked)}`;
}

function parametersOf({ from, to, customerId }: Asked): string {
  const how =
    customerId === undefined ? 'granularity=1d&groupBy=region' : `granularity=30s&customerId=${customerId}`;
  return `${rangeOf(from, to)}&${how}&limit=10000`;
}

/** Some of the answers against a GROUP BY over the events. */
async function compare(client: pg.Client, history: StoredHistory): Promise<string[]> {
  const calls = new MeterCalls(history.service, TENANT);
  let found = 0;
  for (const asked of [...hours(history, COMPARED), months(history)[0]!]) {
    const served = (await calls.query(asked.slug, parametersOf(asked))).map(said);
    const { rows } = await client.query<{ start: string; region: string | null; gb: string; events: string }>(
      `select to_char(date_bin($4::interval, ts, 'epoch'::timestamptz) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') as start,
         case when $5::text is null then metadata ->> 'region' end as region,
         trim_scale(sum((metadata ->> 'gb')::numeric))::text as gb, count(*) as events
       from event where tenant_id = $1 and ts >= $2 and ts < $3 and ($5::text is null or customer_id = $5)
       group by 1, 2 order by 1, 2`,
      [
        TENANT,
        new Date(asked.from).toISOString(),
        new Date(asked.to).toISOString(),
        asked.customerId === undefined ? '1 day' : '30 seconds',
        asked.customerId ?? null,
      ],
    );
    const counted = rows.map(({ start, region, gb, events }) => [start, region, gb, Number(events)]);
    found += counted.length;
    if (!isDeepStrictEqual(served, counted)) {
      return [`${pathOf(asked)} is not what GROUP BY says`];
    }
  }
  return found > COMPARED ? [] : ['hardly any of the answers compared has an event'];
}

function said({ windowStart, dimensions, value, events }: MeterPoint) {
  return [windowStart.slice(0, 19), dimensions?.region ?? null, value, events];
}

const LEVELS = ['meter_30s', 'meter_1h', 'meter_1d'];

/** Bytes of the numbers of all meters, with indexes and as far as they are packed, for each event and meter. */
async function bytesOf({ database, events }: StoredHistory): Promise<MeterSample[]> {
  const timescale = database.engine === 'timescale';
  const bytes = await withClient(database.url, async (client) => {
    let sum = 0;
    for (const level of LEVELS) sum += await relationBytes(client, level, timescale);
    return sum;
  });
  const per = (what: string, count: number): MeterSample => ({
    ...{ row: 'disk', variant: `bytes per event and ${what}`, who: `${figure(events)} events` },
    ...{ value: bytes / events / count, unit: 'bytes', ...NO_COSTS, problems: [] },
  });
  return [per('meter', FIVE_METERS.length), per('series', SERIES)];
}
