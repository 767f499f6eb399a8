import { median } from '../support/percentiles.ts';
import type { Engine } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';
import { type Verdict, verdictTable } from '../support/verdicts.ts';
import type { Row, Sample, Who } from './sample.ts';

/** Everything measured on one engine, in the order it was measured: of each figure a sample a round. */
export interface EngineReport {
  engine: Engine;
  server: Record<string, string>;
  samples: Sample[];
}

const TITLES: Record<Row, string> = {
  batches: 'batches 500 × 8, events/s',
  single: 'single events × 64, requests/s',
  import: 'import, rows/s',
  disk: 'disk, bytes/event',
  windows: 'window query, p99 ms',
};

/** What the present build is to reach: its figure over that of another. */
interface Aim {
  row: Row;
  over: Who;
  engines: readonly Engine[];
  /** Of which of a row's variants; of each where it names none. */
  variant?: string;
  least?: number;
  most?: number;
}

const BOTH: readonly Engine[] = ['postgres', 'timescale'];
const AIMS: readonly Aim[] = [
  { row: 'batches', over: 'earlier', engines: ['timescale'], least: 1.7 },
  { row: 'batches', over: 'c', engines: ['timescale'], least: 1.5 },
  { row: 'batches', over: 'a', engines: ['timescale'], least: 0.6 },
  { row: 'batches', over: 'earlier', engines: ['postgres'], least: 1.6 },
  { row: 'batches', over: 'c', engines: ['postgres'] },
  { row: 'batches', over: 'a', engines: ['postgres'] },
  { row: 'single', over: 'earlier', engines: BOTH, least: 1.6 },
  { row: 'single', over: 'b', engines: BOTH, least: 0.45 },
  { row: 'single', over: 'c', engines: BOTH },
  { row: 'import', variant: 'until all is stored', over: 'earlier', engines: ['timescale'], least: 2 },
  { row: 'import', variant: 'with its refresh', over: 'earlier', engines: ['timescale'] },
  { row: 'disk', over: 'earlier', engines: ['timescale'], most: 0.35 },
  { row: 'windows', over: 'earlier', engines: BOTH, most: 1 },
];
/** MB of the service. */
const MEMORY = 250;

export function formatEngine(report: EngineReport): string {
  const { engine, server, samples } = report;
  const facts = Object.entries(server).map(([name, value]) => `${name} ${value}`);
  const parts = [`## ${engine}`, facts.join(', '), sampleTable(samples), verdictTable(verdictsOf(report))];
  const problems = problemsOf(report);
  if (problems.length > 0) parts.push(`INVALID:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
  return parts.join('\n\n');
}

/** What makes figures invalid, each with the figure it belongs to. */
export function problemsOf({ samples }: EngineReport): string[] {
  return samples.flatMap(({ row, variant, who, problems }) =>
    problems.map((problem) => `${[row, variant].filter(Boolean).join(', ')} (${who}): ${problem}`),
  );
}

/** The ratios of the table, each with its aim where it has one; those without both sides measured are left out. */
export function verdictsOf({ engine, samples }: EngineReport): Verdict[] {
  const ratios = AIMS.filter((aim) => aim.engines.includes(engine)).flatMap((aim) => {
    const variants = [...new Set(samples.filter(({ row }) => row === aim.row).map(({ variant }) => variant))];
    return variants
      .filter((variant) => variant === (aim.variant ?? variant))
      .flatMap((variant) => ratio(samples, aim, variant));
  });
  return [...ratios, ...memory(samples)];
}

function ratio(samples: Sample[], { row, over, least, most }: Aim, variant: string): Verdict[] {
  const of = (who: Who) =>
    samples.filter((sample) => sample.row === row && sample.variant === variant && sample.who === who);
  const above = of('present').map(({ value }) => value);
  const below = of(over).map(({ value }) => value);
  if (above.length === 0 || below.length === 0) return [];
  const value = median(above) / median(below);
  const each = above.map((one, round) => one / below[round]!);
  const verdict = (aim: string | null, reached: boolean | null): Verdict[] => [
    {
      what: `${TITLES[row]}${variant && `, ${variant}`}: present / ${nameOf(over)}`,
      value,
      range: each.length > 1 ? [Math.min(...each), Math.max(...each)] : null,
      aim,
      reached,
    },
  ];
  if (least !== undefined) return verdict(`≥ ${least}`, value >= least);
  if (most !== undefined) return verdict(`≤ ${most}`, value <= most);
  return verdict(null, null);
}

function memory(samples: Sample[]): Verdict[] {
  const peaks = samples
    .filter(({ who, row }) => who === 'present' && row !== 'import')
    .map(({ peakRssMb }) => peakRssMb)
    .filter((mb) => mb !== null);
  if (peaks.length === 0) return [];
  const value = Math.max(...peaks);
  const what = 'peak RSS of the service, MB';
  return [{ what, value, range: null, aim: `< ${MEMORY}`, reached: value < MEMORY }];
}

function sampleTable(samples: Sample[]): string {
  const figures = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = `${sample.row} ${sample.variant} ${sample.who}`;
    figures.set(key, [...(figures.get(key) ?? []), sample]);
  }
  const rows = [...figures.values()].map((all) => {
    const { row, variant, who } = all[0]!;
    const over = (pick: (sample: Sample) => number | null) => {
      const known = all.map(pick).filter((value) => value !== null);
      return known.length === 0 ? null : median(known);
    };
    const values = all.map(({ value }) => value);
    return [
      `${TITLES[row]}${variant && `, ${variant}`}: ${nameOf(who)}`,
      figure(median(values)),
      values.length > 1 ? `${figure(Math.min(...values))}–${figure(Math.max(...values))}` : '',
      figure(over(({ micros }) => micros.service)),
      figure(over(({ micros }) => micros.postgres)),
      figure(over(({ micros }) => micros.generator)),
      figure(over(({ busy }) => (busy === null ? null : busy * 100))),
      figure(over(({ otherCores }) => otherCores)),
      figure(Math.max(...all.map(({ peakRssMb }) => peakRssMb ?? Number.NaN))),
      all.every(({ problems }) => problems.length === 0) ? 'exact' : 'INVALID',
    ];
  });
  const head = [
    ...['', 'median', 'min–max', 'service µs', 'PostgreSQL µs', 'generator µs'],
    ...['machine busy %', 'other cores', 'peak RSS MB', 'counts'],
  ];
  return table(head, rows);
}

function nameOf(who: Who): string {
  return {
    a: '(a) raw COPY',
    b: '(b) Hono that only parses',
    c: '(c) naive',
    earlier: 'earlier',
    present: 'present',
  }[who];
}
