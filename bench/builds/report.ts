import type { Room } from '../support/measureSamples.ts';
import { median } from '../support/percentiles.ts';
import type { EngineReport } from '../support/samples.ts';
import type { Engine } from '../support/servers.ts';
import type { Verdict } from '../support/verdicts.ts';
import type { BuildSample, Row, Who } from './sample.ts';

const TITLES: Record<Row, string> = {
  batches: 'batches 500 × 8, events/s',
  single: 'single events × 64, requests/s',
  import: 'import, rows/s',
  disk: 'disk, bytes/event',
  windows: 'window query, p99 ms',
};

const NAMES: Record<Who, string> = {
  a: '(a) raw COPY',
  b: '(b) Hono that only parses',
  c: '(c) naive',
  earlier: 'earlier',
  present: 'present',
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

export const BUILDS: Room<BuildSample> = {
  name: 'builds',
  nameOf: ({ row, variant, who }) => `${TITLES[row]}${variant && `, ${variant}`}: ${NAMES[who]}`,
  verdictsOf,
};

/** The ratios of the table, each with its aim where it has one; those without both sides measured are left out. */
function verdictsOf({ engine, samples }: EngineReport<BuildSample>): Verdict[] {
  const ratios = AIMS.filter((aim) => aim.engines.includes(engine)).flatMap((aim) => {
    const variants = [...new Set(samples.filter(({ row }) => row === aim.row).map(({ variant }) => variant))];
    return variants
      .filter((variant) => variant === (aim.variant ?? variant))
      .flatMap((variant) => ratio(samples, aim, variant));
  });
  return [...ratios, ...memory(samples)];
}

function ratio(samples: BuildSample[], { row, over, least, most }: Aim, variant: string): Verdict[] {
  const of = (who: Who) =>
    samples.filter((sample) => sample.row === row && sample.variant === variant && sample.who === who);
  const above = of('present').map(({ value }) => value);
  const below = of(over).map(({ value }) => value);
  if (above.length === 0 || below.length === 0) return [];
  const value = median(above) / median(below);
  const each = above.map((one, round) => one / below[round]!);
  const verdict = (aim: string | null, reached: boolean | null): Verdict[] => [
    {
      what: `${TITLES[row]}${variant && `, ${variant}`}: present / ${NAMES[over]}`,
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

function memory(samples: BuildSample[]): Verdict[] {
  const peaks = samples
    .filter(({ who, row }) => who === 'present' && row !== 'import')
    .map(({ peakRssMb }) => peakRssMb)
    .filter((mb) => mb !== null);
  if (peaks.length === 0) return [];
  const value = Math.max(...peaks);
  const what = 'peak RSS of the service, MB';
  return [{ what, value, range: null, aim: `< ${MEMORY}`, reached: value < MEMORY }];
}
