import {
  COST_FIELD,
  type CostGrouping,
  type CostPoint,
  type Costs,
} from '../../sums/costs/reading/costQuery.ts';
import type { UsageWithCosts } from '../../sums/costs/reading/usageWithCosts.ts';
import { TOKEN_KINDS } from '../../sums/meters/definition/usageSeries.ts';
import type { Grouping } from '../../sums/rollups/usageSeries.ts';
import { csvLine } from './csvLine.ts';
import { usageCsvLine, usageHeader } from './usageCsv.ts';

const kindColumns = (prefix: string) =>
  TOKEN_KINDS.map((kind) => `${prefix}${kind[0]!.toUpperCase()}${kind.slice(1)}`);

const COLUMNS = ['currency', 'cost', 'pricedCalls', 'unpricedCalls', 'unknownCalls'];
const COLUMN_NAMES = [...COLUMNS, ...kindColumns('tokens'), ...kindColumns('unpricedTokens')];

/** Costs as CSV with a header line: a line for each currency of a bucket and group, one without where there is none. */
export function costCsv(points: readonly CostPoint[], groupBy: readonly CostGrouping[]): string {
  const header = [
    'bucket',
    'bucketEnd',
    ...groupBy.map((group) => COST_FIELD[group]),
    'calls',
    ...COLUMN_NAMES,
  ];
  const lines = points.flatMap((point) => {
    const place = [point.bucket, point.bucketEnd, ...groupBy.map((group) => point[COST_FIELD[group]])];
    return costCells(point).map((cells) => csvLine([...place, point.calls, ...cells]));
  });
  return csvLine(header) + lines.join('');
}

/** Usage with its costs, likewise: what is usage stands on each of the lines. */
export function usageCostCsv(points: readonly UsageWithCosts[], groupBy: Grouping[]): string {
  const header = joined(usageHeader(groupBy), csvLine(['aiCalls', ...COLUMN_NAMES]));
  const lines = points.flatMap((point) => {
    const usage = usageCsvLine(point, groupBy);
    return costCells(point.cost).map((cells) => joined(usage, csvLine([point.cost.calls, ...cells])));
  });
  return header + lines.join('');
}

function costCells({ costs, tokens, unpriced, unknownCalls }: Costs): unknown[][] {
  const counts = [
    unpriced.calls,
    unknownCalls,
    ...TOKEN_KINDS.map((kind) => tokens[kind] ?? '0'),
    ...TOKEN_KINDS.map((kind) => unpriced.tokens[kind] ?? '0'),
  ];
  if (costs.length === 0) return [[null, null, 0, ...counts]];
  return costs.map(({ currency, amount, calls }) => [currency, amount, calls, ...counts]);
}

/** Two lines as one. */
function joined(first: string, second: string): string {
  return `${first.slice(0, -'\r\n'.length)},${second}`;
}
