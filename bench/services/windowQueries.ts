import { isDeepStrictEqual } from 'node:util';
import { WINDOW_MS } from '../../src/model/window.ts';
import type { WindowSummary } from '../../src/sums/rollups/windowSummary.ts';
import { generate } from '../load/generate.ts';
import type { Timing } from '../load/measurement.ts';
import { CUSTOMERS, seededRandom } from '../load/workload.ts';
import { median, type Percentiles, percentilesOf } from '../support/percentiles.ts';
import { Meter, type Usage } from '../support/processStats.ts';
import { type BenchDatabase, withClient } from '../support/servers.ts';
import { caughtUp } from './caughtUp.ts';
import { rawWindows } from './rawWindows.ts';
import type { Tidemark } from './tidemark.ts';

/** (e) at one size. */
export interface WindowQueryReport {
  events: number;
  /** Of a request for one hour of one customer, 120 windows, in ms: the median over the rounds. */
  sequential: Percentiles;
  concurrent: Percentiles;
  /** The same answers by GROUP BY over the events, on one connection, without HTTP. */
  raw: Percentiles;
  requestsPerSecond: { sequential: number; concurrent: number };
  usage: Usage;
  /** Seconds that loading took, and seconds until the service had closed and refreshed everything. */
  loadSeconds: number;
  catchUpSeconds: number;
  problems: string[];
}

const HOUR_MS = 3_600_000;
const CONCURRENT = 8;
/** Different requests, so that what is measured is not one page in the cache. */
const REQUESTS = 2_000;
const COMPARED = 50;
const RAW_QUERIES = 300;

/** A service whose history is closed and refreshed. */
export interface Loaded {
  /** For the log. */
  name: string;
  events: number;
  database: BenchDatabase;
  service: Tidemark;
  /** What is stored, [from, to) in ms. */
  from: number;
  to: number;
  loadSeconds: number;
  catchUpSeconds: number;
}

/**
 * Loads everything first and measures it in turn: the machine drifts, and it is the ratios that count. In the end the
 * services are stopped and their databases dropped.
 *
 * @param rounds of each.
 * @param log told of each step.
 */
export async function measureLoaded(
  loads: readonly (() => Promise<Loaded>)[],
  postmaster: number | null,
  timing: Timing,
  rounds: number,
  log: (line: string) => void,
): Promise<WindowQueryReport[]> {
  const loaded: Loaded[] = [];
  try {
    for (const load of loads) loaded.push(await load());
    return await measureInTurn(loaded, postmaster, timing, rounds, log);
  } finally {
    for (const { service, database } of loaded) {
      await service.stop();
      await database.drop();
    }
  }
}

/** Lets the service catch up with what is stored, and does what autovacuum would have done by that time. */
export async function settle(database: BenchDatabase): Promise<void> {
  await caughtUp(database);
  await withClient(database.url, async (client) => {
    await client.query('vacuum analyze');
    await client.query('checkpoint');
  });
}

async function measureInTurn(
  loaded: readonly Loaded[],
  postmaster: number | null,
  timing: Timing,
  rounds: number,
  log: (line: string) => void,
): Promise<WindowQueryReport[]> {
  const measured: Awaited<ReturnType<typeof measureRound>>[][] = loaded.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, one] of loaded.entries()) {
      log(`e: ${one.name}, round ${round + 1} of ${rounds}`);
      measured[i]!.push(await measureRound(one, postmaster, timing));
    }
  }
  const reports: WindowQueryReport[] = [];
  for (const [i, one] of loaded.entries()) {
    const problems = [...(await compare(one)), ...measured[i]!.flatMap((round) => round.problems)];
    reports.push({ ...summary(one, measured[i]!), problems: [...problems, ...(await one.service.stop())] });
  }
  return reports;
}

async function measureRound(size: Loaded, postmaster: number | null, timing: Timing) {
  const meter = () => new Meter({ service: size.service.pid, postmaster });
  const common = {
    host: '127.0.0.1',
    port: size.service.port,
    headers: { Authorization: `Bearer ${size.service.key}` },
    get: { paths: hours(size, REQUESTS).map(pathOf) },
    ...timing,
  };
  const sequential = await generate({ ...common, connections: 1 }, meter());
  const concurrent = await generate({ ...common, connections: CONCURRENT }, meter());
  const raw = await timeRaw(size);
  const problems = [sequential, concurrent]
    .filter(({ failures }) => failures > 0)
    .map(({ failures, firstFailure }) => `${failures} requests failed: ${firstFailure}`);
  return { sequential, concurrent, raw, problems };
}

async function timeRaw(size: Loaded): Promise<Percentiles> {
  return withClient(size.database.url, async (client) => {
    const durations: number[] = [];
    const wanted = hours(size, RAW_QUERIES + COMPARED);
    for (const [i, { customerId, from, to }] of wanted.entries()) {
      const started = performance.now();
      await rawWindows(client, customerId, from, to);
      if (i >= COMPARED) durations.push(performance.now() - started); // those before warm up
    }
    return percentilesOf(durations);
  });
}

type Rounds = Awaited<ReturnType<typeof measureRound>>[];

function summary(size: Loaded, rounds: Rounds): Omit<WindowQueryReport, 'problems'> {
  const over = (pick: (round: Rounds[number]) => number) => median(rounds.map(pick));
  const both = (pick: (round: Rounds[number]) => Percentiles) => ({
    p50: over((round) => pick(round).p50),
    p99: over((round) => pick(round).p99),
  });
  return {
    events: size.events,
    sequential: both(({ sequential }) => sequential.latency),
    concurrent: both(({ concurrent }) => concurrent.latency),
    raw: both(({ raw }) => raw),
    requestsPerSecond: {
      sequential: over(({ sequential }) => sequential.requests / sequential.seconds),
      concurrent: over(({ concurrent }) => concurrent.requests / concurrent.seconds),
    },
    usage: rounds.at(-1)!.concurrent.usage,
    loadSeconds: size.loadSeconds,
    catchUpSeconds: size.catchUpSeconds,
  };
}

interface Hour {
  customerId: string;
  from: number;
  to: number;
}

/** Hours of random customers anywhere in what is stored, on window boundaries. */
function hours(size: Loaded, count: number): Hour[] {
  const random = seededRandom(size.events + count);
  const choices = Math.floor((size.to - size.from - HOUR_MS) / WINDOW_MS);
  return Array.from({ length: count }, () => {
    const from = size.from + Math.floor(random() * choices) * WINDOW_MS;
    return { customerId: CUSTOMERS[Math.floor(random() * CUSTOMERS.length)]!, from, to: from + HOUR_MS };
  });
}

function pathOf({ customerId, from, to }: Hour): string {
  const range = `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`;
  return `/v1/windows?customerId=${customerId}&${range}&limit=${HOUR_MS / WINDOW_MS}`;
}

/** Some of the answers against a GROUP BY over the events. */
async function compare(size: Loaded): Promise<string[]> {
  return withClient(size.database.url, async (client) => {
    for (const hour of hours(size, COMPARED)) {
      const answer = await fetch(`http://127.0.0.1:${size.service.port}${pathOf(hour)}`, {
        headers: { Authorization: `Bearer ${size.service.key}` },
      });
      const { data } = (await answer.json()) as { data: WindowSummary[] };
      const served = new Map(data.map((window) => [window.windowStart, window.aggregations]));
      const raw = await rawWindows(client, hour.customerId, hour.from, hour.to);
      if (served.size === 0 || !isDeepStrictEqual(served, raw)) {
        return [`${pathOf(hour)} is not what GROUP BY says`];
      }
    }
    return [];
  });
}
