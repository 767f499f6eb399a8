import { ask, Problem } from '../../api/request.ts';
import { eventMaker, type Verdict } from './event.ts';
import { cellAt, type Mapping, meaningOf } from './mapping.ts';
import { type Row, readCsv } from './reading/csv.ts';
import type { Fault } from './reading/lines.ts';
import { filePrefix } from './reading/rowId.ts';

/** Of a request, far from what the service takes: 10,000 and 8 MiB. */
const BATCH = { rows: 5_000, length: 2_000_000 };
/** Rejected rows that are shown; all are in the file of them. */
export const SHOWN = 100;
const MAX_WAIT_S = 30;

export interface Rejected extends Fault {
  line: number;
  /** What the row has there; '' where no column is meant. */
  cell: string;
}

/** How far an import, or a dry run, is. */
export interface Progress {
  state: 'running' | 'paused' | 'waiting' | 'done' | 'cancelled' | 'failed';
  /** Whether nothing is sent. */
  dry: boolean;
  /** Where the events are staged; null: they count. */
  backfill: string | null;
  /** Of the file. */
  bytes: number;
  rows: number;
  /** Rows that are events as far as can be told here. */
  good: number;
  /** Or staged. */
  accepted: number;
  duplicates: number;
  rejected: number;
  /** Of the rejected those that the service finds too old. */
  tooOld: number;
  /** µs since 1970. */
  first: number | null;
  last: number | null;
  /** The line of the row that the file ends in, and that was left out. */
  unfinished: number | null;
  faults: Rejected[];
  /** The rejected rows as CSV, without a header. */
  file: Blob;
  /** Begins the ids of rows that have none. */
  prefix: string;
  /** What went wrong; with `waiting` it is tried again. */
  problem: Problem | null;
}

export interface Job {
  file: File;
  mapping: Mapping;
  delimiter: string;
  /** Whether a last line without an end is a whole row. */
  whole: boolean;
  /** Only look whether the rows are events. */
  dry: boolean;
  /** Where they are staged and not counted; null: they count. */
  backfill: string | null;
}

/** An import that goes on until it is done, pauses, and can be given up. Sending a row again counts nothing twice. */
export class Run {
  readonly progress: Progress;
  private readonly job: Job;
  private readonly onProgress: (progress: Progress) => void;
  private readonly stop = new AbortController();
  private goOn: (() => void) | null = null;
  private rejects: string[] = [];

  /** @param onProgress called whenever there is more to tell. */
  constructor(job: Job, onProgress: (progress: Progress) => void) {
    this.job = job;
    this.onProgress = onProgress;
    const counts = { bytes: 0, rows: 0, good: 0, accepted: 0, duplicates: 0, rejected: 0, tooOld: 0 };
    const nothing = { first: null, last: null, unfinished: null, faults: [], problem: null };
    const { dry, backfill } = job;
    this.progress = { state: 'running', dry, backfill, ...counts, ...nothing, file: new Blob(), prefix: '' };
  }

  async start(): Promise<void> {
    try {
      await this.read();
      this.tell('done');
    } catch (error) {
      if (this.stop.signal.aborted) return this.tell('cancelled');
      const problem =
        error instanceof Problem
          ? error
          : new Problem(0, { code: 'unreadable', detail: String((error as Error).message) });
      this.progress.problem = problem;
      this.tell('failed');
    }
  }

  /** Batches under way are finished. */
  pause(): void {
    if (this.progress.state === 'running') this.tell('paused');
  }

  resume(): void {
    this.tell('running');
    this.goOn?.();
  }

  cancel(): void {
    this.stop.abort();
    this.goOn?.();
  }

  private tell(state: Progress['state'] = this.progress.state): void {
    this.progress.state = state;
    this.progress.file = new Blob([this.progress.file, ...this.rejects]);
    this.rejects = [];
    this.onProgress({ ...this.progress });
  }

  private async read(): Promise<void> {
    const { file, delimiter, whole, mapping, dry } = this.job;
    const { progress } = this;
    const { header, rows } = await readCsv(file, delimiter, whole, (bytes) => {
      progress.bytes += bytes;
    });
    let toEvent: ((row: Row) => Verdict) | null = null;
    let batch: { row: Row; json: string }[] = [];
    let length = 0;
    const flush = async () => {
      if (batch.length > 0) await this.send(batch);
      [batch, length] = [[], 0];
    };
    for await (const block of rows) {
      for (const row of block) {
        if (toEvent === null) {
          const customer = mapping.columns.includes('customerId')
            ? null
            : mapping.constants.customerId || null;
          progress.prefix = filePrefix(header, row.text, customer, meaningOf(mapping));
          toEvent = eventMaker(mapping, progress.prefix);
        }
        if (row.fault?.code === 'unfinished') {
          progress.unfinished = row.line;
          continue;
        }
        progress.rows++;
        const verdict = toEvent(row);
        if (verdict.faults) {
          this.reject(row, verdict.faults);
          continue;
        }
        const { json, micros } = verdict;
        progress.good++;
        progress.first = Math.min(progress.first ?? micros, micros);
        progress.last = Math.max(progress.last ?? micros, micros);
        if (dry) continue;
        batch.push({ row, json });
        length += json.length;
        if (batch.length >= BATCH.rows || length >= BATCH.length) await flush();
      }
      if (dry) await this.turn();
    }
    await flush();
  }

  /** Lets the page be drawn, and waits while the run is paused. */
  private async turn(): Promise<void> {
    this.tell();
    if (this.progress.state === 'paused') {
      await new Promise<void>((resolve) => {
        this.goOn = resolve;
      });
    } else await new Promise((resolve) => setTimeout(resolve));
    this.stop.signal.throwIfAborted();
  }

  /** Sends a batch until the service has answered. */
  private async send(batch: { row: Row; json: string }[]): Promise<void> {
    const { progress, job } = this;
    for (let failed = 0; ; failed++) {
      await this.turn();
      try {
        const answer = await ask<Answer>(
          {
            method: 'POST',
            path: '/v1/events',
            query: { onInvalid: 'skip', backfill: job.backfill },
            headers: { 'Content-Type': 'application/x-ndjson' },
            body: batch.map(({ json }) => json).join('\n'),
          },
          this.stop.signal,
        );
        progress.problem = null;
        return this.take(batch, answer);
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        const { status, code, told } = error;
        if (told.results) return this.take(batch, told as unknown as Answer);
        const tooMuch = status === 413 || code === 'event_rejected_by_database';
        if (tooMuch && batch.length === 1) {
          return this.reject(batch[0]!.row, [{ pointer: '', code, message: error.detail }]);
        }
        if (tooMuch) {
          const half = batch.length >> 1;
          await this.send(batch.slice(0, half));
          return this.send(batch.slice(half));
        }
        if (status !== 0 && status !== 429 && status !== 503) throw error;
        progress.problem = error;
        this.tell('waiting');
        const seconds = error.retryAfter ?? Math.min(MAX_WAIT_S, 2 ** failed);
        await new Promise<void>((resolve) => {
          this.goOn = resolve;
          setTimeout(resolve, seconds * 1_000);
        });
        if (progress.state === 'waiting') progress.state = 'running';
      }
    }
  }

  private take(batch: { row: Row }[], { accepted, staged, duplicates, results = [] }: Answer): void {
    this.progress.accepted += accepted ?? staged ?? 0;
    this.progress.duplicates += duplicates;
    for (const { index, status, errors = [] } of results) {
      if (status === 'invalid') this.reject(batch[index]!.row, errors);
    }
  }

  private reject(row: Row, faults: Fault[]): void {
    const { progress } = this;
    progress.rejected++;
    if (faults.some(({ code }) => code === 'timestamp_too_old')) progress.tooOld++;
    for (const { pointer, code, message } of faults) {
      const { line } = row;
      if (progress.faults.length < SHOWN) {
        const cell = cellAt(this.job.mapping, row.values ?? [], pointer);
        progress.faults.push({ line, pointer, code, message, cell });
      }
      const cells = [String(line), pointer, code, message, ...(row.values ?? [])];
      this.rejects.push(`${cells.map(quoted).join()}\n`);
    }
  }
}

interface Answer {
  accepted?: number;
  staged?: number;
  duplicates: number;
  results?: { index: number; status: string; errors?: Fault[] }[];
}

const quoted = (cell: string) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

/** The rejected rows, each once for each of its faults, below a header. */
export function rejectedCsv({ file }: Progress, header: string[]): Blob {
  const head = ['line', 'pointer', 'code', 'message', ...header].map(quoted).join();
  return new Blob([`${head}\n`, file], { type: 'text/csv' });
}
