import { median, percentilesOf } from '../support/percentiles.ts';
import type { Engine } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';
import type { ClosingMeasurement, Variant } from './measureClosing.ts';
import type { StallReport } from './stalledHolder.ts';

/** One part. A round holds its measurements in the order they were made, those with nobody closing among them. */
export interface ClosingSeries {
  title: string;
  rounds: ClosingMeasurement[][];
}

export interface ClosingEngineReport {
  engine: Engine;
  server: Record<string, string>;
  series: ClosingSeries[];
  stall: StallReport | null;
}

export interface ClosingSummary extends Variant {
  eventsPerSecond: number;
  /** Of a request, in ms: median over the rounds. */
  requestMs: { p50: number; p99: number };
  /** Share of the throughput lost to closing: median and range over the rounds. Null where it was not compared. */
  loss: { median: number; range: [number, number] } | null;
  closes: number;
  lagMs: { p50: number; p99: number };
  lockWaitMs: { p50: number; p99: number };
  refreshMs: { p50: number; p99: number };
  lost: number;
  /** Attempts given up for a batch that took too long. */
  heldUp: number;
  refreshConflicts: number;
  silent: number;
  wrong: number;
  /** Processor time of service, PostgreSQL and instances for each event, in µs; NaN where not all is known. */
  cpuMicros: number;
  closingCores: number;
  serviceCores: number | null;
  postgresCores: number | null;
  otherCores: number | null;
  problems: string[];
}

export function formatClosing({ engine, server, series, stall }: ClosingEngineReport): string {
  const facts = Object.entries(server).map(([name, value]) => `${name} ${value}`);
  const parts = [`## ${engine}`, facts.join(', ')];
  for (const { title, rounds } of series) parts.push(title, seriesTable(summariesOf(rounds)));
  if (stall) parts.push(stallText(stall));
  const problems = closingProblems({ engine, server, series, stall });
  if (problems.length > 0) parts.push(`INVALID:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
  return parts.join('\n\n');
}

export function closingProblems({ series, stall }: ClosingEngineReport): string[] {
  const measured = series.flatMap(({ rounds }) => rounds.flat());
  return [
    ...measured.flatMap((one) => one.problems.map((problem) => `${nameOf(one)}: ${problem}`)),
    ...(stall?.problems ?? []).map((problem) => `stalled holder: ${problem}`),
  ];
}

export function nameOf({ instances, lock }: Variant): string {
  return instances === 0 ? 'off' : `${instances} × ${lock}`;
}

/** One for each variant, in the order of the first round. */
export function summariesOf(rounds: ClosingMeasurement[][]): ClosingSummary[] {
  const names = [...new Set(rounds[0]!.map(nameOf))];
  return names.map((name) => {
    const all = rounds.flat().filter((one) => nameOf(one) === name);
    const losses = rounds.flatMap((round) => lossesIn(round, name));
    const sum = (pick: (one: ClosingMeasurement) => number) =>
      all.reduce((total, one) => total + pick(one), 0);
    const middle = (pick: (one: ClosingMeasurement) => number | null) =>
      median(all.map((one) => pick(one) ?? Number.NaN));
    const { instances, lock } = all[0]!;
    return {
      instances,
      lock,
      eventsPerSecond: middle((one) => one.eventsPerSecond),
      requestMs: { p50: middle((one) => one.latency.p50), p99: middle((one) => one.latency.p99) },
      loss:
        instances === 0 || losses.length === 0
          ? null
          : { median: median(losses), range: [Math.min(...losses), Math.max(...losses)] },
      closes: sum((one) => one.closes),
      lagMs: percentilesOf(all.flatMap((one) => one.lags)),
      lockWaitMs: percentilesOf(all.flatMap((one) => one.lockWaits)),
      refreshMs: percentilesOf(all.flatMap((one) => one.refreshes)),
      lost: sum((one) => one.counts.lost),
      heldUp: sum((one) => one.counts.held + one.counts.conflictsClosing),
      refreshConflicts: sum((one) => one.counts.conflictsRefresh),
      silent: sum((one) => one.faults.silent),
      wrong: sum((one) => one.faults.wrong),
      cpuMicros: middle(cpuMicros),
      closingCores: middle((one) => one.closingCores),
      serviceCores: middle((one) => one.usage.serviceCores),
      postgresCores: middle((one) => one.usage.postgresCores),
      otherCores: middle((one) => one.usage.otherCores),
      problems: all.flatMap((one) => one.problems),
    };
  });
}

function cpuMicros({ usage, closingCores, eventsPerSecond }: ClosingMeasurement): number {
  const cores = (usage.serviceCores ?? Number.NaN) + (usage.postgresCores ?? Number.NaN) + closingCores;
  return (1_000_000 * cores) / eventsPerSecond;
}

/** Against the mean of the two nearest measurements with nobody closing, one before and one after. */
function lossesIn(round: ClosingMeasurement[], name: string): number[] {
  const isOff = ({ instances }: Variant) => instances === 0;
  return round.flatMap((one, i) => {
    if (nameOf(one) !== name) return [];
    const around = [round.slice(0, i).findLast(isOff), round.slice(i + 1).find(isOff)].filter(
      (off) => off !== undefined,
    );
    if (around.length === 0) return [];
    const off = around.reduce((total, { eventsPerSecond }) => total + eventsPerSecond, 0) / around.length;
    return [1 - one.eventsPerSecond / off];
  });
}

function seriesTable(summaries: ClosingSummary[]): string {
  const rows = summaries.map((s) => {
    const off = s.instances === 0;
    const count = (value: number) => (off ? '–' : figure(value));
    return [
      nameOf(s),
      figure(s.eventsPerSecond),
      percent(s.loss?.median),
      s.loss ? `${percent(s.loss.range[0])} to ${percent(s.loss.range[1])}` : '–',
      figure(s.cpuMicros),
      figure(s.requestMs.p99),
      count(s.closes),
      figure(s.lagMs.p50),
      figure(s.lagMs.p99),
      figure(s.lockWaitMs.p50),
      figure(s.lockWaitMs.p99),
      count(s.lost),
      count(s.heldUp),
      count(s.silent),
      count(s.wrong),
      count(s.closingCores),
      figure(s.otherCores),
      s.problems.length === 0 ? 'exact' : 'INVALID',
    ];
  });
  const head = [
    ...[
      '',
      'events/s',
      'loss %',
      'min–max',
      'µs/event',
      'request p99 ms',
      'closes',
      'lag p50 ms',
      'p99',
      'lock wait p50 ms',
      'p99',
    ],
    ...['lost', 'held up', 'silent', 'wrong', 'closing cores', 'other cores', 'counts'],
  ];
  return table(head, rows);
}

function percent(share: number | undefined): string {
  return share === undefined ? '–' : (100 * share).toFixed(1);
}

function stallText({ ttlMs, stallMs, counts }: StallReport): string {
  const { acquired, beside, expired, tooLate } = counts;
  return [
    `Redis lock of ${figure(ttlMs)} ms, one of two holders stands still for ${figure(stallMs)} ms: taken`,
    `${acquired} times, ${beside} of them while another was at it; ${expired} holders no longer had it when they`,
    `were done, and ${tooLate} found that the windows had been moved meanwhile.`,
  ].join(' ');
}
