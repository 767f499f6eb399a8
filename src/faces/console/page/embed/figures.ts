import { sumOf } from '../format/sumOf.ts';
import type { MeterFacts, Portal, RawRow } from './ask.ts';
import type { Span } from './times.ts';

/** One window of one group. */
export interface Row {
  /** ms since the epoch. */
  start: number;
  end: number;
  /** Values of what it is grouped by, in that order. */
  groups: string[];
  /** Exact texts, in the order of the columns; null: there is no value. */
  values: (string | null)[];
}

/** All that is shown. */
export interface Figures {
  title: string;
  /** What the rows are grouped by. */
  groupBy: string[];
  columns: string[];
  /** Which of the columns is drawn. */
  drawn: number;
  rows: Row[];
  /** Whether there are more rows than are shown. */
  more: boolean;
  /** Of all of it, exact; null: there is no value. */
  total: string | null;
  totalName: string;
  /** Whether values of groups make a sum, and so may be stacked. */
  additive: boolean;
}

/** What is asked for besides a span. */
export interface Wish {
  /** Slug; null: usage. */
  meter: string | null;
  /** Of usage, what is drawn. */
  measure: string;
  groupBy: string[];
  zone: string;
}

const MEASURES: Record<string, string> = {
  calls: 'Calls',
  tokens: 'Tokens',
  inputTokens: 'Input tokens',
  outputTokens: 'Output tokens',
  value: 'Value',
};

const TOTALS: Record<MeterFacts['aggregation'], string> = {
  count: 'Total',
  sum: 'Total',
  avg: 'Average',
  min: 'Lowest',
  max: 'Highest',
  latest: 'Latest',
  uniqueCount: 'Distinct',
};

/** What is shown for a value of a group that is not there. */
const NONE = '–';

/** @throws {RangeError} where there is no such measure; {Refused}. */
export function figuresOf(portal: Portal, wish: Wish, span: Span): Promise<Figures> {
  return wish.meter === null
    ? usageFigures(portal, wish, span)
    : meterFigures(portal, wish.meter, wish, span);
}

function rangeOf({ from, to }: Span): Record<string, string> {
  return { from, ...(to !== null && { to }) };
}

async function usageFigures(portal: Portal, { measure, groupBy, zone }: Wish, span: Span): Promise<Figures> {
  const drawnName = MEASURES[measure];
  if (drawnName === undefined) {
    throw new RangeError(`measure "${measure}" is none of ${Object.keys(MEASURES).join(', ')}`);
  }
  const shown = [...new Set(['calls', 'tokens', measure])];
  const { data, nextCursor } = await portal.rows('usage', {
    ...rangeOf(span),
    granularity: span.granularity,
    timezone: zone,
    ...(groupBy.length > 0 && { groupBy: groupBy.join(',') }),
  });
  const rows = data.map((row) => ({
    start: momentOf(row.bucket),
    end: momentOf(row.bucketEnd),
    groups: groupBy.map((name) => textOf(row[name])),
    values: shown.map((name) => String(row[name])),
  }));
  const drawn = shown.indexOf(measure);
  return {
    title: drawnName,
    groupBy,
    columns: shown.map((name) => MEASURES[name]!),
    drawn,
    rows,
    more: nextCursor !== null,
    total: sumOf(rows.map(({ values }) => values[drawn]!)),
    totalName: 'Total',
    additive: true,
  };
}

async function meterFigures(
  portal: Portal,
  slug: string,
  { groupBy, zone }: Wish,
  span: Span,
): Promise<Figures> {
  const path = `meters/${encodeURIComponent(slug)}`;
  const grouped: Record<string, string> = groupBy.length > 0 ? { groupBy: groupBy.join(',') } : {};
  const common = { ...rangeOf(span), timezone: zone };
  const [facts, page, whole] = await Promise.all([
    portal.meter(slug),
    portal.rows(path, { ...common, granularity: span.granularity, ...grouped }),
    portal.rows(path, common),
  ]);
  const aggregation = facts?.aggregation ?? 'sum';
  return {
    title: facts?.name ?? slug,
    groupBy,
    columns: ['Value'],
    drawn: 0,
    rows: page.data.map((row) => toRow(row, groupBy)),
    more: page.nextCursor !== null,
    total: decimalOf(whole.data[0]?.value),
    totalName: TOTALS[aggregation],
    additive: aggregation === 'count' || aggregation === 'sum',
  };
}

function toRow(row: RawRow, groupBy: string[]): Row {
  const dimensions = (row.dimensions ?? {}) as Record<string, unknown>;
  return {
    start: momentOf(row.windowStart),
    end: momentOf(row.windowEnd),
    groups: groupBy.map((name) => textOf(dimensions[name])),
    values: [decimalOf(row.value)],
  };
}

function decimalOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function textOf(value: unknown): string {
  return value === null || value === undefined ? NONE : String(value);
}

function momentOf(text: unknown): number {
  return Date.parse(String(text));
}
