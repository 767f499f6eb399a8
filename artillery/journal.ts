import { createReadStream, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { threadId } from 'node:worker_threads';
import type { Answered, Posted } from './ledger.ts';

/** What the generator has used, written once a second by each of its threads. */
export interface Effort {
  line: 'effort';
  at: number;
  /** Processor time of the whole process so far, ms. */
  cpuMs: number;
  /** Longest time the thread's event loop was late in the last second, ms: so far latencies may be the generator's. */
  delayMs: number;
}

/** What a virtual user was shown that is not what it was acknowledged. */
export interface Misread {
  line: 'misread';
  at: number;
  faults: string[];
}

export type Line = Posted | Answered | Misread | Effort;

const EFFORT_INTERVAL_MS = 1_000;
const DELAY_RESOLUTION_MS = 10;

/**
 * Artillery runs a scenario in several threads and ends them without a word, so each of them writes down at once what
 * it sends and what it is answered, in a file of its own.
 */
export class Journal {
  private readonly file: number;
  private readonly delay: IntervalHistogram;
  private effortAt = 0;

  constructor(folder: string) {
    this.file = openSync(join(folder, `${process.pid}-${threadId}.ndjson`), 'a');
    this.delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
    this.delay.enable();
  }

  write(line: Exclude<Line, Effort>): void {
    this.append(line);
    const at = Date.now();
    if (at - this.effortAt < EFFORT_INTERVAL_MS) return;
    this.effortAt = at;
    const { user, system } = process.cpuUsage();
    const delayMs = Math.max(0, this.delay.max / 1_000_000 - DELAY_RESOLUTION_MS);
    this.delay.reset();
    this.append({ line: 'effort', at, cpuMs: (user + system) / 1_000, delayMs: Math.round(delayMs) });
  }

  private append(line: Line): void {
    writeSync(this.file, `${JSON.stringify(line)}\n`);
  }
}

/** All lines of a run, file by file: what belongs to one virtual user is in one file and in order. */
export async function* readJournal(folder: string): AsyncGenerator<Line> {
  for (const name of readdirSync(folder)) {
    const input = createReadStream(join(folder, name));
    for await (const line of createInterface({ input })) yield JSON.parse(line) as Line;
  }
}
