import { isDeepStrictEqual } from 'node:util';
import type pg from 'pg';
import { generate } from '../load/generate.ts';
import { seededRandom } from '../load/workload.ts';
import { caughtUp } from '../services/caughtUp.ts';
import { startTidemark } from '../services/tidemark.ts';
import { interruption } from '../support/interruption.ts';
import type { Percentiles } from '../support/percentiles.ts';
import { Meter, type Usage } from '../support/processStats.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { CROWD, loadCrowd, userOf } from './crowd.ts';
import { type FeedTarget, whileFed } from './feed.ts';

export interface ActivityPlan {
  events: number;
  users: number;
  hours: number;
  durationMs: number;
  connections: number;
}

export interface ActivityReport {
  cases: { name: string; latency: Percentiles; requestsPerSecond: number; usage: Usage }[];
  /** Seconds that loading took, and seconds until the service had closed, refreshed and covered everything. */
  loadSeconds: number;
  catchUpSeconds: number;
  problems: string[];
}

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Different requests of a case, where there are so many. */
const REQUESTS = 500;

/** Loads a crowd into a database of its own and asks a service for its activity, while events of the present come in. */
export async function measureActivity(
  server: BenchServer,
  plan: ActivityPlan,
  folder: string,
  log: (line: string) => void,
): Promise<ActivityReport> {
  const { events, users, hours, durationMs, connections } = plan;
  const database = await server.createDatabase('migrated');
  try {
    const to = Date.now();
    const from = Math.floor((to - hours * HOUR_MS) / HOUR_MS) * HOUR_MS;
    log(`loading ${events} events`);
    let started = performance.now();
    const key = await loadCrowd(database.url, { events, users, from, to });
    const loadSeconds = (performance.now() - started) / 1_000;
    log(`loaded in ${Math.round(loadSeconds)} s; closing and covering`);
    started = performance.now();
    const service = await startTidemark({ url: database.url, folder });
    let stopped = false;
    try {
      await caughtUp(database);
      const catchUpSeconds = (performance.now() - started) / 1_000;
      // What autovacuum would have done by the time that so much has been stored.
      await withClient(database.url, (client) => client.query('vacuum analyze'));
      await withClient(database.url, (client) => client.query('checkpoint'));

      const fed: FeedTarget = { port: service.port, key, users, perSecond: (events * 1_000) / (to - from) };
      const cases: ActivityReport['cases'] = [];
      const problems: string[] = [];
      let stored = events;
      for (const { name, paths, late } of casesOf(from, to, users)) {
        interruption.throwIfAborted();
        const { result, accepted } = await whileFed({ ...fed, ...(late && { late }) }, () =>
          generate(
            {
              host: '127.0.0.1',
              port: service.port,
              headers: { Authorization: `Bearer ${key}` },
              connections,
              warmupMs: Math.min(2_000, durationMs),
              durationMs,
              get: { paths: paths() },
            },
            new Meter({ service: service.pid, postmaster: server.postmaster }),
          ),
        );
        stored += accepted;
        const { latency, requests, seconds, usage } = result;
        if (result.failures > 0) problems.push(`${result.failures} requests failed: ${result.firstFailure}`);
        log(`${name}: p50 ${latency.p50.toFixed(1)} p99 ${latency.p99.toFixed(1)} ms`);
        cases.push({ name, latency, requestsPerSecond: requests / seconds, usage });
      }
      problems.push(
        ...(await withClient(database.url, (client) => compare(client, service.port, key, stored))),
      );
      stopped = true;
      problems.push(...(await service.stop()));
      return { cases, loadSeconds, catchUpSeconds, problems };
    } finally {
      if (!stopped) await service.stop();
    }
  } finally {
    await database.drop();
  }
}

interface Case {
  name: string;
  paths(): string[];
  late?: { from: number; to: number };
}

/** @param from start of an hour. */
function casesOf(from: number, to: number, users: number): Case[] {
  const random = seededRandom(1);
  const currentHour = () => Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  const closed = Array.from(
    { length: (Math.floor(to / HOUR_MS) * HOUR_MS - from) / HOUR_MS },
    (_, i) => from + i * HOUR_MS,
  );
  const late = { from, to: from + HOUR_MS };
  const hour = (start: number, filter = '') => hourly(start, start + HOUR_MS, filter);
  return [
    { name: 'a closed hour', paths: () => closed.map((start) => hour(start)) },
    { name: 'an hour with 10 late events/s', paths: () => [hour(from)], late },
    { name: 'the open hour', paths: () => [hour(currentHour())] },
    { name: 'the last 24 hours', paths: () => ['/v1/summaries/hourly'] },
    { name: 'the day', paths: () => [daily(Math.floor(Date.now() / DAY_MS) * DAY_MS)] },
    {
      name: 'an hour of one user',
      paths: () =>
        Array.from({ length: REQUESTS }, () => {
          const start = closed[Math.floor(random() * closed.length)]!;
          return hour(start, `&customerId=${userOf(random, users)}`);
        }),
    },
    {
      name: 'an hour but its first ms, counted',
      paths: () => closed.map((start) => hourly(start + 1, start + HOUR_MS)),
    },
  ];
}

function hourly(from: number, to: number, filter = ''): string {
  return `/v1/summaries/hourly?from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}${filter}`;
}

function daily(from: number): string {
  return `/v1/summaries/daily?from=${new Date(from).toISOString()}&to=${new Date(from + DAY_MS).toISOString()}`;
}

/** Every hour and day against the events, and the events against what was acknowledged. */
async function compare(client: pg.Client, port: number, key: string, stored: number): Promise<string[]> {
  const problems: string[] = [];
  for (const [path, unit] of [
    ['hourly', 'hour'],
    ['daily', 'day'],
  ]) {
    const { rows } = await client.query(
      `select to_char(date_trunc($2, ts, 'UTC') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS".000Z"') as bucket,
         count(distinct customer_id)::int as "uniqueUsers", count(*) filter (where event_type = 'click')::int as "totalClicks",
         count(*) filter (where event_type = 'impression')::int as "totalImpressions", count(*)::int as "totalEvents"
       from event where tenant_id = $1 group by 1 order by 1`,
      [CROWD, unit],
    );
    const range = `from=${new Date(Date.now() - 60 * DAY_MS).toISOString()}&limit=1000`;
    const answer = await fetch(`http://127.0.0.1:${port}/v1/summaries/${path}?${range}`, {
      headers: { Authorization: `Bearer ${key}` },
    });
    const { data } = (await answer.json()) as { data: ({ byType: unknown } & Record<string, unknown>)[] };
    const served = data.map(({ byType: _, ...summary }) => summary);
    if (!isDeepStrictEqual(served, rows)) problems.push(`${path} is not what the events add up to`);
    const total = rows.reduce((sum, row) => sum + row.totalEvents, 0);
    if (total !== stored) problems.push(`${total} events where ${stored} were acknowledged`);
  }
  return problems;
}
