import type { Letter, Measurement } from '../load/measurement.ts';
import type { WindowQueryReport } from '../services/windowQueries.ts';
import { median } from '../support/percentiles.ts';
import type { Engine } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';
import { type Verdict, verdictTable } from '../support/verdicts.ts';

/** Everything measured on one engine. */
export interface EngineReport {
  engine: Engine;
  server: Record<string, string>;
  /** The measurements of each round, in the order they were made. */
  rounds: Measurement[][];
  windowQueries: WindowQueryReport[];
}

export function formatEngine(report: EngineReport): string {
  const { engine, server, rounds, windowQueries } = report;
  const facts = Object.entries(server).map(([name, value]) => `${name} ${value}`);
  const parts = [`## ${engine}`, facts.join(', ')];
  if (rounds.length > 0) parts.push(ingestTable(rounds));
  if (windowQueries.length > 0) parts.push(queryTable(windowQueries));
  const verdicts = verdictsOf(report);
  if (verdicts.length > 0) parts.push(verdictTable(verdicts));
  const problems = problemsOf(report);
  if (problems.length > 0) parts.push(`INVALID:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
  return parts.join('\n\n');
}

/** What makes figures invalid, each with the measurement it belongs to. */
export function problemsOf({ rounds, windowQueries }: EngineReport): string[] {
  return [
    ...rounds
      .flat()
      .flatMap(({ letter, name, problems }) => problems.map((p) => `(${letter}) ${name}: ${p}`)),
    ...windowQueries.flatMap(({ events, problems }) => problems.map((p) => `(e) ${events} events: ${p}`)),
  ];
}

function ingestTable(rounds: Measurement[][]): string {
  const rows = rounds[0]!.map(({ letter, name }) => {
    const all = series(rounds, letter, name);
    const over = (pick: (measured: Measurement) => number | null) => {
      const values = all.map(pick).filter((value) => value !== null);
      return values.length === 0 ? null : median(values);
    };
    const rates = all.map((measured) => measured.eventsPerSecond);
    const peaks = all.map((measured) => measured.usage.peakRssMb ?? Number.NaN);
    return [
      `(${letter}) ${name}`,
      figure(median(rates)),
      `${figure(Math.min(...rates))}–${figure(Math.max(...rates))}`,
      figure(over((measured) => measured.latency.p50)),
      figure(over((measured) => measured.latency.p99)),
      letter === 'a' ? '–' : figure(over((measured) => measured.usage.serviceCores)),
      figure(Math.max(...peaks)),
      letter === 'b' ? '–' : figure(over((measured) => measured.usage.postgresCores)),
      figure(over((measured) => measured.generatorCores ?? measured.usage.serviceCores)),
      figure(over((measured) => measured.usage.otherCores)),
      all.every((measured) => measured.problems.length === 0) ? 'exact' : 'INVALID',
    ];
  });
  const head = [
    ...['', 'events/s', 'min–max', 'p50 ms', 'p99 ms'],
    ...['service cores', 'peak RSS MB', 'PostgreSQL cores', 'generator cores', 'other cores', 'counts'],
  ];
  return table(head, rows);
}

function queryTable(reports: WindowQueryReport[]): string {
  const pair = ({ p50, p99 }: { p50: number; p99: number }) => `${figure(p50)} / ${figure(p99)}`;
  const rows = reports.map((report) => [
    `(e) ${figure(report.events)} events`,
    pair(report.sequential),
    pair(report.concurrent),
    figure(report.requestsPerSecond.concurrent),
    pair(report.raw),
    figure(report.usage.serviceCores),
    figure(report.usage.peakRssMb),
    figure(report.usage.postgresCores),
    figure(report.usage.otherCores),
    `${figure(report.loadSeconds)} + ${figure(report.catchUpSeconds)}`,
    report.problems.length === 0 ? 'equal' : 'INVALID',
  ]);
  const head = [
    ...['p50 / p99 ms', 'one at a time', '8 at a time', 'requests/s (8)', 'raw GROUP BY'],
    ...['service cores', 'peak RSS MB', 'PostgreSQL cores', 'other cores', 'load + catch-up s', 'answers'],
  ];
  return table(head, rows);
}

/** The aims of the project beside what was measured; those without both sides measured are left out. */
export function verdictsOf({ engine, rounds, windowQueries }: EngineReport): Verdict[] {
  const timescale = engine === 'timescale';
  const ratio = (over: [Letter, string], under: [Letter, string], least: number | null): Verdict[] => {
    const above = series(rounds, ...over).map((measured) => measured.eventsPerSecond);
    const below = series(rounds, ...under).map((measured) => measured.eventsPerSecond);
    if (above.length === 0 || below.length === 0) return [];
    const value = median(above) / median(below);
    const each = above.map((rate, round) => rate / below[round]!);
    return [
      {
        what: `(${over[0]}) ${over[1]} / (${under[0]}) ${under[1]}`,
        value,
        range: [Math.min(...each), Math.max(...each)],
        aim: least === null ? null : `≥ ${least}`,
        reached: least === null ? null : value >= least,
      },
    ];
  };
  return [
    ...ratio(['d', 'batches'], ['a', 'COPY'], timescale ? 0.5 : 0.25),
    ...ratio(['d', 'batches'], ['a', 'COPY without trigger'], null),
    ...ratio(['d', 'batches'], ['b', 'batches'], null),
    ...ratio(['d', 'batches'], ['c', 'batches'], timescale ? 1.2 : null),
    ...ratio(['d', 'single'], ['b', 'single'], 0.4),
    ...ratio(['d', 'single'], ['c', 'single'], 2),
    ...queryVerdicts(windowQueries),
    ...memoryVerdict(rounds, windowQueries),
  ];
}

function queryVerdicts(reports: WindowQueryReport[]): Verdict[] {
  const verdict = (what: string, value: number, aim: string, reached: boolean): Verdict => ({
    ...{ what, value, aim, reached },
    range: null,
  });
  const first = reports[0];
  const last = reports.at(-1);
  if (!first || !last) return [];
  const bounds = reports.flatMap(({ events, sequential, concurrent }) => [
    verdict(`(e) p99 at ${figure(events)}, ms`, sequential.p99, '< 10', sequential.p99 < 10),
    verdict(`(e) p99 at ${figure(events)}, 8 at a time, ms`, concurrent.p99, '< 10', concurrent.p99 < 10),
  ]);
  if (first === last) return bounds;
  const growth = (['p50', 'p99'] as const).flatMap((p) =>
    (['sequential', 'concurrent'] as const).map((load) => {
      const value = last[load][p] / first[load][p];
      const how = load === 'sequential' ? '' : ', 8 at a time';
      const what = `(e) ${p} at ${figure(last.events)} / at ${figure(first.events)}${how}`;
      return verdict(what, value, '≤ 1.3', value <= 1.3);
    }),
  );
  return [...bounds, ...growth];
}

function memoryVerdict(rounds: Measurement[][], windowQueries: WindowQueryReport[]): Verdict[] {
  const measured = rounds.flat().filter(({ letter }) => letter === 'd');
  const peaks = [...measured, ...windowQueries]
    .map(({ usage }) => usage.peakRssMb)
    .filter((mb) => mb !== null);
  if (peaks.length === 0) return [];
  const value = Math.max(...peaks);
  const what = 'peak RSS of the service, MB';
  return [{ what, value, range: null, aim: '< 250', reached: value < 250 }];
}

function series(rounds: Measurement[][], letter: Letter, name: string): Measurement[] {
  return rounds.flatMap((round) => round.filter((m) => m.letter === letter && m.name === name));
}
