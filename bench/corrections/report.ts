import type { Room } from '../support/measureSamples.ts';
import { median } from '../support/percentiles.ts';
import type { EngineReport } from '../support/samples.ts';
import type { Verdict } from '../support/verdicts.ts';
import type { CorrectionSample, Row } from './sample.ts';

const TITLES: Record<Row, string> = {
  one: 'void of one event',
  many: 'void of many events',
  asOf: 'as of, p99',
  ingest: 'ingest without corrections',
};

/** The most that a figure may be, by what is measured. Seconds, ms. */
const MOST: Partial<Record<Row, (sample: CorrectionSample) => number | null>> = {
  one: ({ who }) => (who === 'until refreshed' ? 2 : null),
  many: ({ who }) => (who === 'until answered' ? 10 : null),
  asOf: ({ variant }) => (variant.includes('as of') ? 100 : null),
};
const LEAST_INGEST = 0.99;

export const CORRECTIONS: Room<CorrectionSample> = {
  name: 'corrections',
  nameOf: ({ row, variant, who }) => `${[TITLES[row], variant].filter(Boolean).join(', ')}: ${who}`,
  unitOf: ({ unit }) => unit,
  verdictsOf,
};

function verdictsOf({ samples }: EngineReport<CorrectionSample>): Verdict[] {
  const figures = new Map<string, CorrectionSample[]>();
  for (const sample of samples) {
    if (sample.row === 'ingest') continue;
    const name = CORRECTIONS.nameOf(sample);
    figures.set(name, [...(figures.get(name) ?? []), sample]);
  }
  const bounds = [...figures].map(([name, all]): Verdict => {
    const values = all.map(({ value }) => value);
    const value = median(values);
    const most = MOST[all[0]!.row]?.(all[0]!) ?? null;
    return {
      what: `${name}, ${all[0]!.unit}`,
      value,
      range: [Math.min(...values), Math.max(...values)],
      aim: most === null ? null : `≤ ${most}`,
      reached: most === null ? null : value <= most,
    };
  });
  return [...bounds, ...ingest(samples)];
}

/** The present build over that without corrections. */
function ingest(samples: readonly CorrectionSample[]): Verdict[] {
  const of = (who: string) =>
    samples.filter((sample) => sample.row === 'ingest' && sample.who === who).map(({ value }) => value);
  const [above, below] = [of('present'), of('earlier')];
  if (above.length === 0 || above.length !== below.length) return [];
  const value = median(above) / median(below);
  const each = above.map((one, round) => one / below[round]!);
  return [
    {
      what: `${TITLES.ingest}, batches 500 × 8: present / earlier`,
      value,
      range: [Math.min(...each), Math.max(...each)],
      aim: `≥ ${LEAST_INGEST}`,
      reached: value >= LEAST_INGEST,
    },
  ];
}
