import type pg from 'pg';
import type { Percentiles } from '../support/percentiles.ts';
import { Meter, type Usage } from '../support/processStats.ts';
import { generate } from './generate.ts';
import type { Load, LoadReport } from './generator.ts';
import type { Progress, SeriesOptions } from './series.ts';
import type { VirtualTime } from './virtualTime.ts';

/** How the events of an HTTP load come. */
export const SHAPES = {
  batches: { events: 500, connections: 8 },
  single: { events: 1, connections: 64 },
} as const;
export type Shape = keyof typeof SHAPES;

/** What is measured, as README.md names it. */
export type Letter = 'a' | 'b' | 'c' | 'd' | 'e';

/** One figure, and what has to be known to believe it. */
export interface Measurement {
  letter: Letter;
  name: string;
  /** Events stored (or for the HTTP floor parsed) per second of the measured time. */
  eventsPerSecond: number;
  /** Of a request, or for (a) of a commit, in ms. */
  latency: Percentiles;
  usage: Usage;
  /** Processor time of the load generator, in cores; null where it is the benchmark itself. */
  generatorCores: number | null;
  /** Whatever makes the figure invalid. */
  problems: string[];
  notes: Record<string, number>;
}

export interface Timing {
  warmupMs: number;
  durationMs: number;
  /** The clock that events are stamped with, where it is not the real one. */
  time?: VirtualTime | undefined;
}

/** What the events of a load are, where they are not the usual ones. */
export type Kind = Pick<NonNullable<Load['post']>, 'tenants' | 'customers' | 'members'>;

/** Posts events of one shape to a service and meters it. Says nothing yet of what was stored. */
export async function measurePosts(
  letter: Letter,
  shape: Shape,
  target: { port: number; pid: number; key?: string },
  postmaster: number | null,
  timing: Timing,
  kind: Kind = {},
): Promise<Measurement & { accepted: number; began: number }> {
  const { events, connections } = SHAPES[shape];
  const report = await generate(
    {
      host: '127.0.0.1',
      port: target.port,
      headers: target.key ? { Authorization: `Bearer ${target.key}` } : {},
      connections,
      ...timing,
      post: { path: '/v1/events', events, ...kind },
    },
    new Meter({ service: target.pid, postmaster }),
  );
  return {
    letter,
    name: shape,
    eventsPerSecond: (report.requests * events) / report.seconds,
    latency: report.latency,
    usage: report.usage,
    generatorCores: report.cores,
    problems: problemsOf(report),
    notes: {},
    accepted: report.accepted,
    began: report.began,
  };
}

/** A series of batches. */
export interface SeriesLoad extends Kind {
  key: string;
  series: SeriesOptions;
  /** As `generate` takes it. */
  steer?: (progress: Progress) => number;
}

/** Posts a series of events in batches and meters the service. Says nothing yet of what was stored. */
export async function postSeries(
  target: { port: number; pid: number },
  postmaster: number | null,
  { key, series, steer, ...whose }: SeriesLoad,
): Promise<LoadReport & { usage: Usage; problems: string[] }> {
  const { events, connections } = SHAPES.batches;
  const report = await generate(
    {
      host: '127.0.0.1',
      port: target.port,
      headers: { Authorization: `Bearer ${key}` },
      connections,
      warmupMs: 0,
      durationMs: 0,
      post: { path: '/v1/events', events, ...whose },
      series,
    },
    new Meter({ service: target.pid, postmaster }),
    steer,
  );
  const problems = problemsOf(report);
  if (report.accepted !== series.events) {
    problems.push(`${report.accepted} events were accepted of ${series.events}`);
  }
  return { ...report, problems };
}

function problemsOf({ failures, firstFailure, duplicates }: LoadReport): string[] {
  const problems: string[] = [];
  if (failures > 0) problems.push(`${failures} requests failed: ${firstFailure}`);
  if (duplicates > 0) problems.push(`${duplicates} events were taken for duplicates`);
  return problems;
}

/** Compares what is stored with what was acknowledged: each column of the query has to be `expected`. */
export async function checkCounts(client: pg.Client, query: string, expected: number): Promise<string[]> {
  const { rows } = await client.query<Record<string, string>>(query);
  return Object.entries(rows[0]!)
    .filter(([, count]) => Number(count) !== expected)
    .map(([what, count]) => `${what}: ${count} where ${expected} were acknowledged`);
}
