import { CUSTOMER, type MeterPoint } from '../../sums/meters/reading/meterQuery.ts';
import { csvLine } from './csvLine.ts';

/** Rows of a meter as CSV with a header line; groups in the order in which they were asked for. */
export function meterCsv(points: MeterPoint[], groupBy: string[]): string {
  const header = csvLine([
    'windowStart',
    'windowEnd',
    ...groupBy.map((name) => (name === CUSTOMER ? 'customerId' : name)),
    'value',
    'events',
    'ignored',
    'state',
    'revision',
  ]);
  const lines = points.map((point) =>
    csvLine([
      point.windowStart,
      point.windowEnd,
      ...groupBy.map((name) => (name === CUSTOMER ? point.customerId : point.dimensions![name])),
      point.value,
      point.events,
      point.ignored,
      point.state,
      point.revision,
    ]),
  );
  return header + lines.join('');
}
