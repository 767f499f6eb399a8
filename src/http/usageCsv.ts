import { GROUP_FIELD, type Grouping, type UsagePoint } from '../rollups/usageSeries.ts';

/** The series as CSV (RFC 4180) with a header line. */
export function usageCsv(points: UsagePoint[], groupBy: Grouping[]): string {
  const groups = groupBy.map((group) => GROUP_FIELD[group]);
  const sums = ['calls', 'tokens', 'inputTokens', 'outputTokens', 'value'] as const;
  const latencies = ['avgMs', 'maxMs', 'p50Ms', 'p95Ms', 'p99Ms'] as const;
  const header = [
    'bucket',
    'bucketEnd',
    ...groups,
    ...sums,
    'latencyCount',
    ...latencies.map((name) => `latency${name[0]!.toUpperCase()}${name.slice(1)}`),
  ];
  const lines = points.map((point) => [
    point.bucket,
    point.bucketEnd,
    ...groups.map((field) => point[field]),
    ...sums.map((field) => point[field]),
    point.latency.count,
    ...latencies.map((name) => point.latency[name]),
  ]);
  return [header, ...lines].map((line) => `${line.map(cell).join(',')}\r\n`).join('');
}

/** A text that a spreadsheet would take for a formula is led by an apostrophe (OWASP, "CSV Injection"). */
function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = String(value);
  const safe = /^[=+@\t\r]|^-(?![\d.]+$)/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
