import { describe } from './compare.ts';
import type { Run } from './readRun.ts';
import type { Percentiles, Ran } from './runArtillery.ts';
import type { Scenario } from './scenario.ts';
import type { Memory } from './serviceMemory.ts';
import type { Sums } from './sums.ts';
import type { Verified } from './verify.ts';

/** Part of a rate that may be missing: a user that starts at the end of a phase goes on after it. */
const TOLERANCE = 0.03;
/** Differences that are shown; the report has all. */
const SHOWN = 5;

/** What is known once a run is over. */
export interface Findings {
  scenario: Scenario;
  name: string;
  started: Date;
  ran: Ran;
  run: Run;
  memory: Memory | null;
  /** Compared as soon as the last request was answered; null when nothing was sent. */
  atOnce: Verified | null;
  /** Compared again when all windows had closed; null when they did not. */
  closed: Verified | null;
  interrupted: boolean;
}

/** New events/s over as long as the measured phase is. */
interface Rate {
  target: number | null;
  posted: number;
  acknowledged: number;
}

export interface Report {
  scenario: string;
  run: string;
  started: string;
  verdict: 'passed' | 'failed';
  reasons: string[];
  eventsPerSecond: Rate;
  measuredSeconds: number;
  requests: { sent: number; refused: number; unanswered: number };
  /** In the bodies of all requests, and what was answered to them. */
  events: { posted: number; accepted: number; duplicates: number };
  acknowledged: Sums;
  counted: Sums | null;
  compared: { customers: number; windowsAtOnce: object | null; windowsClosed: object | null };
  reads: { compared: number; wrong: number };
  latencyMs: { write: Percentiles | null; read: Percentiles | null };
  /** p99 of writes in ms, every 10 s. */
  writeP99Ms: (number | null)[];
  generator: Run['generator'];
  machineBusy: number;
  serviceMemoryMb: Memory | null;
  differences: string[];
}

export function makeReport(findings: Findings): Report {
  const { scenario, ran, run, atOnce, closed } = findings;
  const { ledger } = run;
  const eventsPerSecond = rateOf(findings);
  const acknowledged = ledger.total('acknowledged');
  const reasons = reasonsOf(findings, eventsPerSecond, acknowledged);
  return {
    scenario: scenario.name,
    run: findings.name,
    started: findings.started.toISOString(),
    verdict: reasons.length === 0 ? 'passed' : 'failed',
    reasons,
    eventsPerSecond,
    measuredSeconds: scenario.measuredSeconds,
    requests: { sent: ledger.requests, refused: ledger.refused, unanswered: ledger.unanswered },
    events: { posted: ledger.posted, accepted: ledger.accepted, duplicates: ledger.duplicates },
    acknowledged,
    counted: (closed ?? atOnce)?.counted ?? null,
    compared: {
      customers: ledger.customers.size,
      windowsAtOnce: atOnce?.windows ?? null,
      windowsClosed: closed?.windows ?? null,
    },
    reads: {
      compared: ran.aggregate?.counters['tidemark.reads'] ?? 0,
      wrong: ran.aggregate?.counters['tidemark.wrong_reads'] ?? 0,
    },
    latencyMs: { write: percentiles(ran.aggregate, 'write'), read: percentiles(ran.aggregate, 'read') },
    writeP99Ms: ran.intermediate.map((period) => percentiles(period, 'write')?.p99 ?? null),
    generator: run.generator,
    machineBusy: ran.machineBusy,
    serviceMemoryMb: findings.memory,
    differences: [...(atOnce?.differences ?? []), ...(closed?.differences ?? [])].map(describe),
  };
}

function rateOf({ scenario, run }: Findings): Rate {
  const durationMs = 1_000 * scenario.measuredSeconds;
  return {
    target: scenario.eventsPerSecond ?? null,
    posted: run.posted.highest(durationMs),
    acknowledged: run.acknowledged.highest(durationMs),
  };
}

/** Why a run has not passed. */
function reasonsOf(
  { ran, run, atOnce, closed, interrupted }: Findings,
  rate: Rate,
  acknowledged: Sums,
): string[] {
  const { ledger, misread } = run;
  const reasons: string[] = [];
  if (interrupted) reasons.push('interrupted before its end');
  if (acknowledged.calls === 0) reasons.push('nothing was acknowledged');
  if (ledger.refused > 0) reasons.push(`${ledger.refused} requests were not answered with 200`);
  if (ledger.unanswered > 0) reasons.push(`${ledger.unanswered} requests were not answered`);
  if (ledger.contradictions.length > 0) {
    reasons.push(`${ledger.contradictions.length} wrong answers: ${shown(ledger.contradictions)}`);
  }
  if (misread.length > 0) reasons.push(`${misread.length} faults in what was read: ${shown(misread)}`);
  if (atOnce && atOnce.differences.length > 0) {
    reasons.push(`not counted as acknowledged: ${shown(atOnce.differences.map(describe))}`);
  }
  if (closed && closed.differences.length > 0) {
    reasons.push(`not counted as acknowledged once closed: ${shown(closed.differences.map(describe))}`);
  }
  if (atOnce && !closed) reasons.push('the windows did not close');
  const least = (rate.target ?? 0) * (1 - TOLERANCE);
  if (rate.posted < least) {
    reasons.push(
      `the generator sent ${rate.posted.toFixed(0)} events/s instead of ${rate.target}: the target was not reached`,
    );
  } else if (rate.acknowledged < least) {
    reasons.push(`${rate.acknowledged.toFixed(0)} events/s were acknowledged of ${rate.target}`);
  }
  if (ran.code !== 0) reasons.push(`artillery ended with ${ran.code}: see its conditions above`);
  return reasons;
}

function percentiles(report: Ran['aggregate'], of: 'write' | 'read'): Percentiles | null {
  const summary = report?.summaries[`tidemark.${of}_ms`];
  if (!summary) return null;
  const { p50, p95, p99, max } = summary;
  return { p50, p95, p99, max };
}

function shown(faults: string[]): string {
  const more = faults.length > SHOWN ? `; and ${faults.length - SHOWN} more` : '';
  return faults.slice(0, SHOWN).join('; ') + more;
}

/** For people. */
export function formatReport(report: Report): string {
  const { eventsPerSecond: rate, requests, events, acknowledged, counted, generator } = report;
  const line = (name: string, text: string) => `${name.padEnd(14)}${text}`;
  const latency = (name: string, of: Percentiles | null) =>
    of ? [line(name, `p50 ${of.p50} ms, p95 ${of.p95} ms, p99 ${of.p99} ms, max ${of.max} ms`)] : [];
  const sums = ({ calls, inputTokens, outputTokens, clicks, impressions }: Sums) =>
    `${calls} events, ${inputTokens} input and ${outputTokens} output tokens, ${clicks} clicks, ${impressions} impressions`;
  const memory = report.serviceMemoryMb;
  return [
    line('scenario', `${report.scenario}, ${report.run}`),
    line(
      'rate',
      `${rate.posted.toFixed(0)} events/s posted, ${rate.acknowledged.toFixed(0)} acknowledged` +
        `${rate.target === null ? '' : ` (target ${rate.target})`}, over ${report.measuredSeconds} s`,
    ),
    line(
      'requests',
      `${requests.sent} with events, ${requests.refused} refused, ${requests.unanswered} unanswered`,
    ),
    line(
      'events',
      `${events.posted} posted, ${events.accepted} accepted, ${events.duplicates} known duplicates`,
    ),
    line('acknowledged', sums(acknowledged)),
    line('counted', counted ? sums(counted) : 'nothing'),
    line('compared', `${report.compared.customers} customers, ${windowsText(report)}`),
    ...(report.reads.compared > 0
      ? [line('reads', `${report.reads.compared} while writing, ${report.reads.wrong} wrong`)]
      : []),
    ...latency('write', report.latencyMs.write),
    ...latency('read', report.latencyMs.read),
    line(
      'generator',
      `${generator.cores?.toFixed(2) ?? '?'} cores, at most ${generator.longestDelayMs} ms behind; ` +
        `machine ${(100 * report.machineBusy).toFixed(0)} % busy`,
    ),
    ...(memory
      ? [
          line(
            'service',
            `${memory.first.toFixed(0)} MB at first, ${memory.last.toFixed(0)} at last, ${memory.largest.toFixed(0)} at most`,
          ),
        ]
      : []),
    '',
    ...(report.verdict === 'passed'
      ? ['PASSED: everything acknowledged is counted, once']
      : report.reasons.map((reason) => `FAILED: ${reason}`)),
  ].join('\n');
}

function windowsText({ compared: { windowsAtOnce, windowsClosed } }: Report): string {
  const text = (windows: object | null) =>
    windows
      ? Object.entries(windows)
          .map(([state, count]) => `${count} ${state}`)
          .join(', ')
      : 'not compared';
  return `windows at once: ${text(windowsAtOnce)}; when closed: ${text(windowsClosed)}`;
}
