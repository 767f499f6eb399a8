import { median } from '../support/percentiles.ts';
import type { Engine } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';
import { type Verdict, verdictTable } from '../support/verdicts.ts';
import type { Row, Sample } from './sample.ts';

/** Everything measured on one engine, in the order it was measured: of each figure a sample a round. */
export interface EngineReport {
  engine: Engine;
  server: Record<string, string>;
  samples: Sample[];
}

/** What a figure is to reach: by itself, or over that of another in the same round. */
interface Aim {
  row: Row;
  /** Which variants; all that begin so. */
  variant: string;
  who?: string;
  over?: string;
  least?: number;
  most?: number;
}

const AIMS: readonly Aim[] = [
  { row: 'ingest', variant: 'usual events', who: 'present', over: 'earlier', least: 0.99 },
  { row: 'ingest', variant: 'metadata', who: 'present', over: 'earlier', least: 0.99 },
  { row: 'ingest', variant: 'metadata', who: 'five meters', over: 'present', least: 0.75 },
  { row: 'queries', variant: 'an hour', most: 10 },
  { row: 'queries', variant: 'a month', most: 20 },
  { row: 'unique', variant: 'an hour', most: 50 },
  { row: 'unique', variant: 'sixty minutes' },
  { row: 'fill', variant: 'first answer', most: 5 },
  { row: 'fill', variant: 'rollups complete', least: 300_000 },
  { row: 'fill', variant: 'ingest', who: 'beside a fill', over: 'alone', least: 0.9 },
  { row: 'disk', variant: 'bytes' },
];
/** How much longer a query may take with more events, and MB of the service. */
const SCALE = 1.2;

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
    problems.map((problem) => `${row}, ${variant} (${who}): ${problem}`),
  );
}

/** The figures of the table, each with its aim where it has one; what was not measured is left out. */
export function verdictsOf({ samples }: Pick<EngineReport, 'samples'>): Verdict[] {
  const variants = new Map(samples.map(({ row, variant }) => [`${row} ${variant}`, { row, variant }]));
  const verdicts = AIMS.flatMap((aim) =>
    [...variants.values()]
      .filter(({ row, variant }) => row === aim.row && variant.startsWith(aim.variant))
      .flatMap(({ variant }) => verdictOf(samples, aim, variant)),
  );
  return [...verdicts, ...scaling(samples)];
}

function verdictOf(samples: Sample[], { row, who, over, least, most }: Aim, variant: string): Verdict[] {
  const named = (name: string) =>
    samples.filter((one) => one.row === row && one.variant === variant && one.who === name);
  const names =
    who === undefined
      ? [...new Set(samples.filter((one) => one.row === row && one.variant === variant).map((s) => s.who))]
      : [who];
  return names.flatMap((name) => {
    const above = named(name);
    const below = over === undefined ? null : named(over);
    if (above.length === 0 || below?.length === 0) return [];
    const values = above.map(({ value }) => value);
    const divisors = below?.map(({ value }) => value);
    const each = divisors ? values.map((value, round) => value / divisors[round]!) : values;
    const value = divisors ? median(values) / median(divisors) : median(values);
    const aim = least !== undefined ? `≥ ${figure(least)}` : most !== undefined ? `≤ ${figure(most)}` : null;
    return [
      {
        what: `${row}, ${variant}: ${name}${over === undefined ? `, ${above[0]!.unit}` : ` / ${over}`}`,
        value,
        range: each.length > 1 ? ([Math.min(...each), Math.max(...each)] as [number, number]) : null,
        aim,
        reached: aim === null ? null : value >= (least ?? -Infinity) && value <= (most ?? Infinity),
      },
    ];
  });
}

/** Each query at the largest number of events over the first, where there are several. */
function scaling(samples: Sample[]): Verdict[] {
  const asked = samples.filter(({ row }) => row === 'queries');
  const sizes = [...new Set(asked.map(({ who }) => who))];
  if (sizes.length < 2) return [];
  const variants = [...new Set(asked.map(({ variant }) => variant))];
  const aim = { row: 'queries' as const, who: sizes.at(-1)!, over: sizes[0]!, most: SCALE };
  return variants.flatMap((variant) => verdictOf(samples, { ...aim, variant }, variant));
}

function sampleTable(samples: Sample[]): string {
  const figures = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = `${sample.row} ${sample.variant} ${sample.who}`;
    figures.set(key, [...(figures.get(key) ?? []), sample]);
  }
  const rows = [...figures.values()].map((all) => {
    const { row, variant, who, unit } = all[0]!;
    const over = (pick: (sample: Sample) => number | null) => {
      const known = all.map(pick).filter((value) => value !== null);
      return known.length === 0 ? null : median(known);
    };
    const values = all.map(({ value }) => value);
    return [
      `${row}, ${variant}: ${who}`,
      `${figure(median(values))} ${unit}`,
      values.length > 1 ? `${figure(Math.min(...values))}–${figure(Math.max(...values))}` : '',
      figure(over(({ micros }) => micros.service)),
      figure(over(({ micros }) => micros.postgres)),
      figure(over(({ micros }) => micros.generator)),
      figure(over(({ busy }) => (busy === null ? null : busy * 100))),
      figure(over(({ otherCores }) => otherCores)),
      figure(over(({ peakRssMb }) => peakRssMb)),
      all.every(({ problems }) => problems.length === 0) ? 'exact' : 'INVALID',
    ];
  });
  const head = [
    ...['', 'median', 'min–max', 'service µs', 'PostgreSQL µs', 'generator µs'],
    ...['machine busy %', 'other cores', 'peak RSS MB', 'counts'],
  ];
  return table(head, rows);
}
