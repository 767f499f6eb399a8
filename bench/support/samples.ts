import type { Costs } from './costs.ts';
import { median } from './percentiles.ts';
import type { Engine } from './servers.ts';
import { figure, table } from './table.ts';
import { type Verdict, verdictTable } from './verdicts.ts';

/** One figure of one round. */
export interface Sample extends Costs {
  /** What was asked: a row of the room's table of aims. */
  row: string;
  /** Where a row has several. */
  variant: string;
  /** Which of those that are set against each other. */
  who: string;
  value: number;
  problems: string[];
}

/** Everything measured on one engine, in the order it was measured: of each figure a sample a round. */
export interface EngineReport<Of extends Sample> {
  engine: Engine;
  server: Record<string, string>;
  samples: Of[];
}

/** How a room says what it has measured. */
export interface Wording<Of extends Sample> {
  nameOf(sample: Of): string;
  /** Behind a value; left out: nothing. */
  unitOf?(sample: Of): string;
}

/** A table of all figures, one of the verdicts, and what makes figures invalid. */
export function formatEngine<Of extends Sample>(
  report: EngineReport<Of>,
  wording: Wording<Of>,
  verdicts: Verdict[],
): string {
  const { engine, server, samples } = report;
  const facts = Object.entries(server).map(([name, value]) => `${name} ${value}`);
  const parts = [`## ${engine}`, facts.join(', '), sampleTable(samples, wording), verdictTable(verdicts)];
  const problems = problemsOf(report);
  if (problems.length > 0) parts.push(`INVALID:\n${problems.map((problem) => `- ${problem}`).join('\n')}`);
  return parts.join('\n\n');
}

/** What makes figures invalid, each with the figure it belongs to. */
export function problemsOf({ samples }: Pick<EngineReport<Sample>, 'samples'>): string[] {
  return samples.flatMap(({ row, variant, who, problems }) =>
    problems.map((problem) => `${[row, variant].filter(Boolean).join(', ')} (${who}): ${problem}`),
  );
}

/** A line of each figure, over all its rounds: medians, and the greatest memory. */
function sampleTable<Of extends Sample>(samples: Of[], { nameOf, unitOf }: Wording<Of>): string {
  const figures = new Map<string, Of[]>();
  for (const sample of samples) {
    const key = `${sample.row} ${sample.variant} ${sample.who}`;
    figures.set(key, [...(figures.get(key) ?? []), sample]);
  }
  const rows = [...figures.values()].map((all) => {
    const over = (pick: (sample: Of) => number | null) => {
      const known = all.map(pick).filter((value) => value !== null);
      return known.length === 0 ? null : median(known);
    };
    const values = all.map(({ value }) => value);
    return [
      nameOf(all[0]!),
      [figure(median(values)), unitOf?.(all[0]!)].filter(Boolean).join(' '),
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
