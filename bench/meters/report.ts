import type { Room } from '../support/measureSamples.ts';
import { median } from '../support/percentiles.ts';
import { figure } from '../support/table.ts';
import type { Verdict } from '../support/verdicts.ts';
import type { MeterSample, Row } from './sample.ts';

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
/** How much longer a query may take with more events. */
const SCALE = 1.2;

export const METERS: Room<MeterSample> = {
  name: 'meters',
  nameOf: ({ row, variant, who }) => `${row}, ${variant}: ${who}`,
  unitOf: ({ unit }) => unit,
  verdictsOf,
};

/** The figures of the table, each with its aim where it has one; what was not measured is left out. */
function verdictsOf({ samples }: { samples: MeterSample[] }): Verdict[] {
  const variants = new Map(samples.map(({ row, variant }) => [`${row} ${variant}`, { row, variant }]));
  const verdicts = AIMS.flatMap((aim) =>
    [...variants.values()]
      .filter(({ row, variant }) => row === aim.row && variant.startsWith(aim.variant))
      .flatMap(({ variant }) => verdictOf(samples, aim, variant)),
  );
  return [...verdicts, ...scaling(samples)];
}

function verdictOf(samples: MeterSample[], { row, who, over, least, most }: Aim, variant: string): Verdict[] {
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
function scaling(samples: MeterSample[]): Verdict[] {
  const asked = samples.filter(({ row }) => row === 'queries');
  const sizes = [...new Set(asked.map(({ who }) => who))];
  if (sizes.length < 2) return [];
  const variants = [...new Set(asked.map(({ variant }) => variant))];
  const aim = { row: 'queries' as const, who: sizes.at(-1)!, over: sizes[0]!, most: SCALE };
  return variants.flatMap((variant) => verdictOf(samples, { ...aim, variant }, variant));
}
