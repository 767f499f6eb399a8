import { describe, expect, test } from 'vitest';
import { TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { BATCH_DAYS, ImportCounts, importRows } from './importRows.ts';
import type { Row } from './row.ts';

const DAY = 86_400_000_000;

/** Stores rows whose events are on the days of the list; `refuse` says of a transaction that it is too large. */
async function run(days: number[], refuse: (days: number[]) => boolean = () => false) {
  const transactions: number[][] = [];
  async function* rows(): AsyncGenerator<Row<unknown>[]> {
    yield days.map((day, i) => ({ line: i + 2, text: 'x', values: day }));
  }
  const counts = new ImportCounts();
  const stop = await importRows(
    {
      rows: rows(),
      toEvent: ({ line, values }) => ({
        event: { eventId: String(line), tsMicros: (values as number) * DAY + line } as UsageEvent,
        made: true,
      }),
      async store(events) {
        const touched = events.map(({ tsMicros }) => Math.floor(tsMicros / DAY));
        if (refuse(touched)) {
          const code = events.length > 1 ? 'transaction_too_large' : 'database_unavailable';
          throw new TidemarkError(code, 'out of shared memory');
        }
        transactions.push(touched);
        return { accepted: events.length, duplicates: 0, duplicateFlags: null };
      },
      fromLine: 1,
      maxErrors: 0,
      onBadLine: () => undefined,
      signal: new AbortController().signal,
    },
    counts,
  );
  return { stop, counts, transactions };
}

const shuffled = (count: number, rowsPerDay = 1) =>
  Array.from({ length: count * rowsPerDay }, (_, i) => ((i * 7_919) % (count * rowsPerDay)) % count);
const daysOf = (transaction: number[]) => new Set(transaction).size;

describe('a transaction touches few days', () => {
  test('each row is stored once, on each day in one transaction', async () => {
    const { stop, counts, transactions } = await run(shuffled(1_000, 3));
    expect(stop).toBeNull();
    expect(counts.stored).toBe(3_000);
    expect(transactions.map(daysOf)).toEqual(Array.from({ length: 1_000 / BATCH_DAYS }, () => BATCH_DAYS));
    expect(transactions.flat().sort((a, b) => a - b)).toEqual(shuffled(1_000, 3).sort((a, b) => a - b));
  });

  test('few days are one transaction, in the order of the file', async () => {
    const days = shuffled(BATCH_DAYS, 10);
    expect((await run(days)).transactions).toEqual([days]);
  });

  test('what is still too much is halved', async () => {
    const { stop, counts, transactions } = await run(shuffled(200), (days) => daysOf(days) > 7);
    expect(stop).toBeNull();
    expect(counts.stored).toBe(200);
    expect(Math.max(...transactions.map(daysOf))).toBeLessThanOrEqual(7);
  });

  test('where a single row is too much, it resumes from the first that is not stored', async () => {
    const days = shuffled(200);
    const { stop, counts } = await run(days, (touched) => touched.some((day) => day >= 150));
    expect(stop).toMatchObject({ reason: 'failed', resumeLine: days.findIndex((day) => day >= 150) + 2 });
    expect(counts.stored).toBe(150);
  });
});
