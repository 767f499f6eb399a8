import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import {
  BATCH_ROWS,
  BATCHES_IN_FLIGHT,
  type BadLine,
  ImportCounts,
  type ImportRowsOptions,
  importRows,
} from './importRows.ts';
import type { Row } from './row.ts';

/** Rows in lines 2 … count + 1, in blocks of that many. */
async function* rowsOf(count: number, atATime = 700): AsyncGenerator<Row<unknown>[]> {
  for (let from = 2; from < count + 2; from += atATime) {
    const length = Math.min(atATime, count + 2 - from);
    yield Array.from({ length }, (_, i) => ({ line: from + i, text: 'x', values: from + i }));
  }
}

async function run(options: Partial<ImportRowsOptions> & { count?: number; bad?: number[] } = {}) {
  const counts = new ImportCounts();
  const badLines: BadLine[] = [];
  const stored: number[] = [];
  const { count = 10, bad = [], store, ...rest } = options;
  const stop = await importRows(
    {
      rows: rowsOf(count),
      toEvent: ({ line }) =>
        bad.includes(line)
          ? { faults: [{ index: line, pointer: '/x', code: 'bad', message: 'is bad' }] }
          : { event: { eventId: String(line), tsMicros: line } as UsageEvent, made: line % 2 === 0 },
      async store(events, length) {
        const result = store && (await store(events, length));
        stored.push(...events.map(({ eventId }) => Number(eventId)));
        return result ?? { accepted: events.length, duplicates: 0, duplicateFlags: null };
      },
      fromLine: 1,
      maxErrors: 100,
      onBadLine: (fault) => badLines.push(fault),
      signal: new AbortController().signal,
      ...rest,
    },
    counts,
  );
  return { stop, counts, badLines, stored: stored.toSorted((a, b) => a - b) };
}

const lines = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test('everything is stored, and counted', async () => {
  const { stop, counts, stored } = await run({ count: BATCH_ROWS * 2 + 3 });
  expect(stop).toBeNull();
  expect(stored).toEqual(lines(2, BATCH_ROWS * 2 + 4));
  expect(counts).toMatchObject({ rows: BATCH_ROWS * 2 + 3, stored: BATCH_ROWS * 2 + 3, badLines: 0 });
  expect(counts.range).toEqual({ from: 2, to: BATCH_ROWS * 2 + 4 });
});

test('reading waits for the writers', async () => {
  let running = 0;
  let most = 0;
  let batches = 0;
  const { stop } = await run({
    count: BATCH_ROWS * (BATCHES_IN_FLIGHT + 6),
    async store(events) {
      batches++;
      most = Math.max(most, ++running);
      await sleep(5);
      running--;
      return { accepted: events.length, duplicates: 0, duplicateFlags: null };
    },
  });
  expect(stop).toBeNull();
  expect(batches).toBe(BATCHES_IN_FLIGHT + 6);
  expect(most).toBe(BATCHES_IN_FLIGHT);
});

test('a huge row makes a batch of its own size', async () => {
  const sizes: number[] = [];
  async function* rows(): AsyncGenerator<Row<unknown>[]> {
    yield lines(2, 21).map((line) => ({ line, text: 'x'.repeat(1_000_000), values: line }));
  }
  await run({
    rows: rows(),
    async store(events) {
      sizes.push(events.length);
      return { accepted: events.length, duplicates: 0, duplicateFlags: null };
    },
  });
  expect(sizes).toEqual([5, 5, 5, 5]);
});

test('bad lines are told and passed over; one too many stops', async () => {
  const within = await run({ bad: [3, 5], maxErrors: 2 });
  expect(within.stop).toBeNull();
  expect(within.badLines).toEqual([
    { line: 3, pointer: '/x', code: 'bad', message: 'is bad' },
    { line: 5, pointer: '/x', code: 'bad', message: 'is bad' },
  ]);
  expect(within.counts).toMatchObject({ rows: 10, stored: 8, badLines: 2 });

  const beyond = await run({ bad: [3, 5, 8], maxErrors: 2 });
  expect(beyond.stop).toEqual({ reason: 'bad-lines', resumeLine: 8 });
  expect(beyond.stored).toEqual([2, 4, 6, 7]);
  expect((await run({ bad: [2], maxErrors: 0 })).stop).toEqual({ reason: 'bad-lines', resumeLine: 2 });
});

test('begins where it is told to', async () => {
  const { stored, counts } = await run({ fromLine: 9, bad: [3] });
  expect(stored).toEqual([9, 10, 11]);
  expect(counts).toMatchObject({ rows: 3, badLines: 0 });
});

test('an event that the database refuses is found in its batch', async () => {
  const { stop, badLines, stored } = await run({
    async store(events) {
      if (events.some(({ eventId }) => eventId === '5' || eventId === '9')) {
        const cause = new Error('value out of range');
        throw new TidemarkError('event_rejected_by_database', 'refused', { cause });
      }
      return { accepted: events.length, duplicates: 0, duplicateFlags: null };
    },
  });
  expect(stop).toBeNull();
  expect(badLines).toEqual(
    [5, 9].map((line) => ({
      line,
      pointer: '',
      code: 'event_rejected_by_database',
      message: 'value out of range',
    })),
  );
  expect(stored).toEqual([2, 3, 4, 6, 7, 8, 10, 11]);
});

test('known rows are duplicates whose id was made of their row, however batches are divided', async () => {
  for (const most of [1, 3, 20]) {
    const { stop, counts } = await run({
      count: 20,
      async store(events) {
        if (events.length > most) throw new TidemarkError('transaction_too_large', 'too large');
        const duplicateFlags = events.map(({ eventId }) => Number(eventId) % 3 === 0);
        const duplicates = duplicateFlags.filter(Boolean).length;
        return { accepted: events.length - duplicates, duplicates, duplicateFlags };
      },
    });
    expect(stop).toBeNull();
    expect(counts).toMatchObject({ rows: 20, stored: 13, duplicates: 7, knownRows: 3 }); // lines 6, 12 and 18
  }
});

test('when a batch fails, it resumes from its first line, whatever came after', async () => {
  const error = new TidemarkError('database_unavailable', 'away');
  let batches = 0;
  let written = 0;
  let fail = () => {};
  const laterOnesWritten = new Promise<void>((resolve) => {
    fail = resolve;
  });
  const { stop, stored } = await run({
    count: BATCH_ROWS * 20,
    async store(events) {
      if (++batches === 2) {
        await laterOnesWritten;
        throw error;
      }
      await sleep(1);
      if (++written === 5) fail();
      return { accepted: events.length, duplicates: 0, duplicateFlags: null };
    },
  });
  expect(stop).toEqual({ reason: 'failed', resumeLine: BATCH_ROWS + 2, error });
  expect(stored.slice(0, BATCH_ROWS)).toEqual(lines(2, BATCH_ROWS + 1));
  expect(stored.length).toBeLessThan(BATCH_ROWS * 15);
});

test('when the file cannot be read on, what was read is stored', async () => {
  const error = new Error('unexpected end of file');
  async function* rows() {
    yield* rowsOf(3);
    throw error;
  }
  const { stop, stored } = await run({ rows: rows() });
  expect(stop).toEqual({ reason: 'failed', resumeLine: 5, error });
  expect(stored).toEqual([2, 3, 4]);
});

test('an interruption finishes what is under way', async () => {
  const controller = new AbortController();
  const { stop, stored } = await run({
    count: BATCH_ROWS * 10,
    signal: controller.signal,
    async store(events) {
      controller.abort();
      await sleep(5);
      return { accepted: events.length, duplicates: 0, duplicateFlags: null };
    },
  });
  expect(stop?.reason).toBe('interrupted');
  expect(stored).toEqual(lines(2, stop!.resumeLine - 1));
  expect(stored.length).toBeLessThan(BATCH_ROWS * 10);
});
