import type { Answer } from '../../api/useAnswer.ts';
import { short, whole } from '../../format/numbers.ts';
import { bucketOf } from '../../format/times.ts';
import { counts, decimals } from '../../parts/columns.tsx';
import { Empty } from '../../parts/Empty.tsx';
import { LineChart } from '../../parts/LineChart.tsx';
import { SAMPLE_EVENT, SENDS_EVENT } from '../../parts/sample.ts';
import { type Column, Table } from '../../parts/Table.tsx';
import { WindowState } from '../../parts/WindowState.tsx';
import { bucketsOf, type Granularity } from '../usage/buckets.ts';
import type { Meter, MeterPoint } from './meter.ts';

/** How events are called that have no value of a dimension. */
export const NONE = '(none)';
/** Rows that are asked for. */
export const LIMIT = 10_000;
const DRAWN = 8;

/** Rows of a meter's query. */
export interface Points {
  data: MeterPoint[];
  nextCursor: string | null;
}

export const COUNTS: Column<MeterPoint>[] = [
  decimals('Value', 'value'),
  counts('Events', 'events'),
  counts('Ignored', 'ignored'),
];

/** What a row is of: the value of the dimension, or the customer, that rows are told apart by. */
export const groupOf = ({ customerId, dimensions }: MeterPoint, by: string) =>
  (by === 'customer' ? customerId : dimensions?.[by]) ?? NONE;
/** The greatest first, as far as doubles tell. */
export const inOrder = (rows: MeterPoint[]) =>
  [...rows].sort((a, b) => Number(b.value ?? 0) - Number(a.value ?? 0));

interface OverTimeProps {
  meter: Meter;
  by: string;
  granularity: Granularity;
  zone: string;
  page: Points;
  from: Date;
  to: Date;
  groups: Answer<Points>;
}

/** Values of a meter by window: as a chart, and as a table. */
export function OverTime({ meter, by, granularity, zone, page, from, to, groups }: OverTimeProps) {
  const { data } = page;
  if (data.length === 0) {
    const { eventType } = meter;
    const body = { ...SAMPLE_EVENT, eventId: 'one-more', eventType };
    return (
      <Empty question={{ ...SENDS_EVENT, body }}>
        Nothing is counted in this range. Events of type <code>{eventType}</code> are:
      </Empty>
    );
  }
  const times = bucketsOf(from, to, granularity, zone);
  const at = new Map(times.map((ms, i) => [ms, i]));
  const sums = ['sum', 'count', 'uniqueCount'].includes(meter.aggregation);
  const drawn =
    by === ''
      ? [meter.name]
      : inOrder(groups.data?.data ?? [])
          .slice(0, DRAWN)
          .map((row) => groupOf(row, by));
  const series = drawn.map((label) => ({ label, values: times.map((): number | null => (sums ? 0 : null)) }));
  for (const point of data) {
    const line = series[by === '' ? 0 : drawn.indexOf(groupOf(point, by))];
    const i = at.get(Date.parse(point.windowStart));
    if (line && i !== undefined && point.value !== null) line.values[i] = Number(point.value);
  }
  const more = (groups.data?.data.length ?? 0) - drawn.length;
  return (
    <>
      {page.nextCursor !== null && (
        <p class="warn">
          More than {whole(LIMIT)} rows: these are the first. Take a coarser granularity, or a filter.
        </p>
      )}
      {series.length > 0 && (
        <LineChart
          label={`${meter.name} over time`}
          {...{ times, series, zone }}
          format={short}
          tabled
          bars={sums && series.length === 1}
          zooms
        />
      )}
      {more > 0 && (
        <p class="muted">
          The first {DRAWN} are drawn; {whole(more)} more are in the tables.
        </p>
      )}
      <Table
        label={`${meter.name} by window`}
        rows={data.toReversed()}
        capped
        id={(point) => `${point.windowStart} ${by && groupOf(point, by)}`}
        columns={[
          { head: 'From', cell: ({ windowStart }) => bucketOf(windowStart, granularity, zone) },
          ...(by === '' ? [] : [{ head: by, cell: (point: MeterPoint) => groupOf(point, by), wide: true }]),
          ...COUNTS,
          {
            head: 'State',
            cell: ({ state, revision }) => <WindowState {...{ state, revision }} />,
          },
        ]}
      />
    </>
  );
}
