import { TidemarkError } from '../errors.ts';
import type { EventVerdict } from '../events/finishEvent.ts';
import type { UsageEvent } from '../events/usageEvent.ts';
import type { WriteResult } from '../ingest/ingest.ts';
import type { Row } from './row.ts';

/** Events per transaction. */
export const BATCH_ROWS = 5_000;
/** Text per transaction, in UTF-16 code units. */
const BATCH_LENGTH = 4_194_304;
/** Batches that are read ahead of the writers. */
export const BATCHES_IN_FLIGHT = 4;

export interface BadLine {
  line: number;
  pointer: string;
  code: string;
  message: string;
}

export interface ImportRowsOptions {
  rows: AsyncIterable<Row<unknown>>;
  toEvent(row: Row<unknown>): EventVerdict;
  /** Stores all or none of the events. */
  store(events: UsageEvent[], length: number): Promise<WriteResult>;
  /** Rows that begin before this line are passed over. */
  fromLine: number;
  /** Bad lines after which the import goes on. */
  maxErrors: number;
  /** Told of every fault of every bad line, as it is found. */
  onBadLine(fault: BadLine): void;
  signal: AbortSignal;
}

/** How far an import is; kept up while it runs. */
export class ImportCounts {
  rows = 0;
  stored = 0;
  duplicates = 0;
  badLines = 0;
  /** From the earliest event to the latest, in µs since the epoch; null while there are none. */
  range: { from: number; to: number } | null = null;
}

export interface Stop {
  reason: 'interrupted' | 'bad-lines' | 'failed';
  /** Every row that begins before this line is stored, or was reported as bad. */
  resumeLine: number;
  /** With `failed`. */
  error?: unknown;
}

interface Batch {
  events: UsageEvent[];
  /** The line of each event. */
  lines: number[];
  length: number;
}

/**
 * Reads rows and stores their events, several batches at a time; reading waits while too many are under way. When it
 * stops early, batches under way are finished first.
 *
 * @returns null at the end of the file, else why it stopped.
 */
export async function importRows(options: ImportRowsOptions, counts: ImportCounts): Promise<Stop | null> {
  const inFlight = new Set<Promise<void>>();
  let batch = emptyBatch();
  let nextLine = options.fromLine;
  let failure: { line: number; error: unknown } | null = null;

  const bad = (faults: BadLine[]) => {
    counts.badLines++;
    for (const fault of faults) options.onBadLine(fault);
  };
  const tooManyBad = () => counts.badLines > options.maxErrors;

  async function write({ events, lines, length }: Batch): Promise<void> {
    try {
      const result = await options.store(events, length);
      counts.stored += result.accepted;
      counts.duplicates += result.duplicates;
    } catch (error) {
      const rejected = error instanceof TidemarkError && error.code === 'event_rejected_by_database';
      if (rejected && events.length === 1) {
        bad([{ line: lines[0]!, pointer: '', code: error.code, message: reasonOf(error) }]);
      } else if (rejected) {
        const half = events.length >> 1;
        await write({ events: events.slice(0, half), lines: lines.slice(0, half), length });
        await write({ events: events.slice(half), lines: lines.slice(half), length });
      } else if (failure === null || lines[0]! < failure.line) {
        failure = { line: lines[0]!, error };
      }
    }
  }

  async function flush(): Promise<void> {
    if (batch.events.length === 0) return;
    const writing = write(batch).finally(() => inFlight.delete(writing));
    inFlight.add(writing);
    batch = emptyBatch();
    if (inFlight.size >= BATCHES_IN_FLIGHT) await Promise.race(inFlight);
  }

  let stop: Stop | null = null;
  try {
    for await (const row of options.rows) {
      if (row.line < options.fromLine) continue;
      if (options.signal.aborted) stop = { reason: 'interrupted', resumeLine: row.line };
      else if (tooManyBad()) stop = { reason: 'bad-lines', resumeLine: row.line };
      if (stop || failure) break;
      counts.rows++;
      const { event, faults } = options.toEvent(row);
      if (faults) {
        bad(faults.map(({ pointer, code, message }) => ({ line: row.line, pointer, code, message })));
        if (tooManyBad()) {
          stop = { reason: 'bad-lines', resumeLine: row.line };
          break;
        }
      } else {
        extend(counts, event.tsMicros);
        batch.events.push(event);
        batch.lines.push(row.line);
        batch.length += row.text.length;
        if (batch.events.length >= BATCH_ROWS || batch.length >= BATCH_LENGTH) await flush();
      }
      nextLine = row.line + 1;
    }
  } catch (error) {
    stop = { reason: 'failed', resumeLine: nextLine, error };
  }
  await flush();
  await Promise.all(inFlight);
  const failed = failure as { line: number; error: unknown } | null; // set by `write`, behind the compiler's back
  if (failed) return { reason: 'failed', resumeLine: failed.line, error: failed.error };
  return stop ?? (tooManyBad() ? { reason: 'bad-lines', resumeLine: nextLine } : null);
}

function emptyBatch(): Batch {
  return { events: [], lines: [], length: 0 };
}

function extend(counts: ImportCounts, micros: number): void {
  if (counts.range === null) {
    counts.range = { from: micros, to: micros };
    return;
  }
  if (micros < counts.range.from) counts.range.from = micros;
  if (micros > counts.range.to) counts.range.to = micros;
}

function reasonOf(error: TidemarkError): string {
  return error.cause instanceof Error ? error.cause.message : error.message;
}
