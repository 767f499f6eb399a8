import { figure, table } from '../support/table.ts';
import { type Verdict, verdictTable } from '../support/verdicts.ts';
import { KINDS, type QueryReport } from './queries.ts';

/** A part of the run. */
export interface PartReport {
  /** Events from the beginning to its end. */
  events: number;
  /** What it has stored and how long that took. */
  accepted: number;
  seconds: number;
  /** Share of the time that events waited for refreshing. */
  held: number;
  /** Hours of the events' time that refreshing is behind at its end. */
  behindHours: number;
  /** Processor time for an event, in µs. */
  micros: { service: number | null; postgres: number | null; generator: number };
  otherCores: number | null;
  peakRssMb: number | null;
  /** Bytes of all that is stored, by relation, at its end. */
  bytes: Record<string, number>;
}

/** What was asked at one size. */
export interface SizeReport {
  events: number;
  queries: QueryReport[];
}

export interface ScaleReport {
  server: Record<string, string>;
  parts: PartReport[];
  sizes: SizeReport[];
  packedChunks: number;
  catchUpSeconds: number;
  problems: string[];
}

export function formatScale(report: ScaleReport): string {
  const { server, parts, sizes, packedChunks, catchUpSeconds, problems } = report;
  const facts = Object.entries(server).map(([name, value]) => `${name} ${value}`);
  const last = parts.at(-1);
  return [
    `## timescale\n\n${facts.join(', ')}`,
    partTable(parts),
    ...(last ? [diskTable(last)] : []),
    queryTable(sizes),
    verdictTable(verdictsOf(report)),
    `${packedChunks} chunks packed; caught up ${figure(catchUpSeconds)} s after the last event`,
    ...(problems.length > 0 ? [`INVALID:\n${problems.map((problem) => `- ${problem}`).join('\n')}`] : []),
  ].join('\n\n');
}

/** The aims of the project beside what was measured. */
export function verdictsOf({ parts, sizes }: ScaleReport): Verdict[] {
  const verdicts: Verdict[] = [];
  const add = (what: string, value: number, aim: string, reached: boolean) =>
    verdicts.push({ what, value, range: null, aim, reached });
  const rate = (part: PartReport) => part.accepted / part.seconds;
  const [second, last] = [parts[1], parts.at(-1)];
  if (second && last && parts.length > 2) {
    const value = rate(last) / rate(second);
    add('events/s of the last tenth / of the second', value, '≥ 0.9', value >= 0.9);
  }
  const [small, large] = sizes;
  for (const kind of small && large ? KINDS : []) {
    const p99 = (size: SizeReport) => size.queries.find((query) => query.kind === kind)!.latency.p99;
    const value = p99(large!) / p99(small!);
    add(
      `${kind}: p99 at ${figure(large!.events)} / at ${figure(small!.events)}`,
      value,
      '≤ 1.2',
      value <= 1.2,
    );
  }
  const peak = Math.max(...parts.map(({ peakRssMb }) => peakRssMb ?? Number.NaN));
  add('peak RSS of the service, MB', peak, '< 250', peak < 250);
  return verdicts;
}

export function partTable(parts: PartReport[]): string {
  const rows = parts.map((part) => [
    figure(part.events),
    figure(part.accepted / part.seconds),
    figure(part.held * 100),
    figure(part.behindHours),
    figure(part.micros.service),
    figure(part.micros.postgres),
    figure(part.micros.generator),
    figure(part.otherCores),
    figure(part.peakRssMb),
    figure(sum(part.bytes) / part.events),
  ]);
  const head = [
    ...['up to', 'events/s', 'held back %', 'hours behind', 'service µs', 'PostgreSQL µs'],
    ...['generator µs', 'other cores', 'peak RSS MB', 'bytes/event'],
  ];
  return table(head, rows);
}

function diskTable({ bytes, events }: PartReport): string {
  const rows = Object.entries(bytes).map(([relation, size]) => [
    relation,
    figure(size / 1_000_000),
    figure(size / events),
  ]);
  return table(['on disk', 'MB', 'bytes/event'], rows);
}

function queryTable(sizes: SizeReport[]): string {
  const rows = sizes.flatMap(({ events, queries }) =>
    queries.map(({ kind, requests, latency }) => [
      `${kind}, ${figure(events)} events`,
      figure(requests),
      figure(latency.p50),
      figure(latency.p99),
    ]),
  );
  return table(['an hour', 'requests', 'p50 ms', 'p99 ms'], rows);
}

function sum(bytes: Record<string, number>): number {
  return Object.values(bytes).reduce((all, size) => all + size, 0);
}
