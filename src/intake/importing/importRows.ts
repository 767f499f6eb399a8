import { TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { utcDay } from '../../model/utcDay.ts';
import type { WriteResult } from '../ingest/ingest.ts';
import type { Row, RowVerdict } from './row.ts';

/** Events per transaction. */
export const BATCH_ROWS = 5_000;
/** Text per transaction, in UTF-16 code units. */
const BATCH_LENGTH = 4_194_304;
/** Days that one transaction touches: each is a chunk to be locked, and often to be made. */
export const BATCH_DAYS = 50;
/** Batches that are read ahead of the writers. */
export const BATCHES_IN_FLIGHT = 4;

export interface BadLine {
  line: number;
  pointer: string;
  code: string;
  message: string;
}

export interface ImportRowsOptions {
  /** In blocks of any size. */
  rows: AsyncIterable<Row<unknown>[]>;
  toEvent(row: Row<unknown>): RowVerdict;
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
  /** Of the duplicates, those whose id was made of their row. */
  knownRows = 0;
  badLines = 0;
  /** The line at which a row begins that the file ends in, and that is left to the next run. */
  leftLine: number | null = null;
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
  /** Whether its id was made of its row. */
  made: boolean[];
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

  async function write(batch: Batch): Promise<void> {
    const { events, lines, made, length } = batch;
    try {
      const result = await options.store(events, length);
      counts.stored += result.accepted;
      counts.duplicates += result.duplicates;
      counts.knownRows += made.filter((its, i) => its && result.duplicateFlags?.[i]).length;
    } catch (error) {
      const code = error instanceof TidemarkError ? error.code : undefined;
      const rejected = code === 'event_rejected_by_database';
      if (rejected && events.length === 1) {
        bad([{ line: lines[0]!, pointer: '', code, message: reasonOf(error as TidemarkError) }]);
      } else if ((rejected || code === 'transaction_too_large') && events.length > 1) {
        const half = events.length >> 1;
        await write(partOf(batch, 0, half));
        await write(partOf(batch, half, events.length));
      } else {
        const line = Math.min(...lines);
        if (failure === null || line < failure.line) failure = { line, error };
      }
    }
  }

  /** One after another: each of them may take many locks. */
  async function writeParts(parts: Batch[]): Promise<void> {
    for (const part of parts) await write(part);
  }

  async function flush(): Promise<void> {
    if (batch.events.length === 0) return;
    const writing = writeParts(byDays(batch)).finally(() => inFlight.delete(writing));
    inFlight.add(writing);
    batch = emptyBatch();
    if (inFlight.size >= BATCHES_IN_FLIGHT) await Promise.race(inFlight);
  }

  /** Takes a row in, or tells what is wrong with it. */
  function take(row: Row<unknown>): void {
    counts.rows++;
    const { event, made, faults } = options.toEvent(row);
    if (faults) {
      bad(faults.map(({ pointer, code, message }) => ({ line: row.line, pointer, code, message })));
      return;
    }
    extend(counts, event.tsMicros);
    batch.events.push(event);
    batch.lines.push(row.line);
    batch.made.push(made);
    batch.length += row.text.length;
  }

  let stop: Stop | null = null;
  try {
    reading: for await (const block of options.rows) {
      for (const row of block) {
        if (row.line < options.fromLine) continue;
        if (options.signal.aborted) stop = { reason: 'interrupted', resumeLine: row.line };
        else if (tooManyBad()) stop = { reason: 'bad-lines', resumeLine: row.line };
        if (stop || failure) break reading;
        if (row.unfinished) {
          counts.leftLine = row.line;
          continue;
        }
        take(row);
        if (tooManyBad()) {
          stop = { reason: 'bad-lines', resumeLine: row.line };
          break reading;
        }
        nextLine = row.line + 1;
        if (batch.events.length >= BATCH_ROWS || batch.length >= BATCH_LENGTH) await flush();
      }
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
  return { events: [], lines: [], made: [], length: 0 };
}

function partOf({ events, lines, made, length }: Batch, from: number, to: number): Batch {
  return { events: events.slice(from, to), lines: lines.slice(from, to), made: made.slice(from, to), length };
}

/** The batch as it is, or in the order of time and cut where it touches too many days. */
function byDays(batch: Batch): Batch[] {
  const days = batch.events.map(({ tsMicros }) => utcDay(tsMicros));
  if (new Set(days).size <= BATCH_DAYS) return [batch];
  const order = days.map((_, i) => i).sort((a, b) => days[a]! - days[b]! || a - b);
  const sorted: Batch = {
    events: order.map((i) => batch.events[i]!),
    lines: order.map((i) => batch.lines[i]!),
    made: order.map((i) => batch.made[i]!),
    length: batch.length,
  };
  const parts: Batch[] = [];
  let from = 0;
  let touched = 0;
  for (const [at, i] of order.entries()) {
    if (at > 0 && days[i] === days[order[at - 1]!]) continue;
    if (++touched <= BATCH_DAYS) continue;
    parts.push(partOf(sorted, from, at));
    from = at;
    touched = 1;
  }
  return [...parts, partOf(sorted, from, order.length)];
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
