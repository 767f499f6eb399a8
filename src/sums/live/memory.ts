import {
  emptySums,
  type LiveCounterId,
  type LiveCounters,
  type LiveIncrement,
  type LiveSums,
  nextWindow,
  OTHER,
  oldestWindow,
} from './liveCounters.ts';

/** Roughly what one counter and one name in it take on the heap, without the texts, bytes. */
const COUNTER_BYTES = 700;
const CELL_BYTES = 120;

export interface MemoryOptions {
  /** Cap on distinct endpoints, and on distinct models, per counter. */
  maxFields: number;
  /** Cap on all counters together, in bytes, estimated. Default: 48 MiB. */
  maxBytes?: number | undefined;
  /** The clock, ms since the epoch. Default: Date.now. */
  now?: (() => number) | undefined;
  /** Latest event (ms since the epoch) acknowledged before this process began, when it lies ahead of the clock. */
  latestEventMs?: number | undefined;
}

interface Cells {
  byName: Map<string, { calls: number; tokens: number }>;
  /** Names that count towards the cap. */
  names: number;
}

interface Counter {
  calls: number;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  latencyMicros: number;
  latencyCount: number;
  endpoints: Cells;
  models: Cells;
  /** Something in it has been taken back. */
  distrusted: boolean;
}

interface Window {
  /** Counters by tenant and customer; null is the tenant's total. */
  tenants: Map<string, Map<string | null, Counter>>;
  bytes: number;
  /** Some counter found no room: one that is missing may have had events. */
  full: boolean;
}

/** Live counters of a single process. */
export class MemoryLiveCounters implements LiveCounters {
  readonly store = 'memory';
  readonly #maxFields: number;
  readonly #maxBytes: number;
  readonly #now: () => number;
  readonly #windows = new Map<number, Window>();
  #bytes = 0;
  /** Windows that start earlier (ms) are not complete: the process was not there yet, or they have been dropped. */
  #since: number;
  #closed = false;

  constructor(options: MemoryOptions) {
    this.#maxFields = options.maxFields;
    this.#maxBytes = options.maxBytes ?? 48 * 1_024 * 1_024;
    this.#now = options.now ?? Date.now;
    this.#since = nextWindow(Math.max(this.#now(), options.latestEventMs ?? 0));
  }

  async add(increments: LiveIncrement[]): Promise<void> {
    if (this.#closed) return;
    this.#dropOldWindows();
    for (const increment of increments) {
      // Earlier windows are never answered for, so they need no room.
      if (increment.windowStart >= this.#since) this.#addOne(increment);
    }
  }

  async read(
    tenantId: string,
    customerId: string | null,
    windowStarts: number[],
  ): Promise<LiveSums[] | null> {
    if (this.#closed) return null;
    this.#dropOldWindows();
    const result: LiveSums[] = [];
    for (const start of windowStarts) {
      if (start < this.#since) return null;
      const window = this.#windows.get(start);
      const counter = window?.tenants.get(tenantId)?.get(customerId);
      if (counter === undefined && window?.full) return null;
      const sums = toSums(counter);
      if (sums === null) return null;
      result.push(sums);
    }
    return result;
  }

  async distrust(counters: LiveCounterId[]): Promise<void> {
    if (this.#closed) return;
    for (const id of counters) {
      if (id.windowStart < this.#since) continue;
      this.#addOne({ ...id, sums: emptySums() });
      const counter = this.#windows.get(id.windowStart)?.tenants.get(id.tenantId)?.get(id.customerId);
      if (counter) counter.distrusted = true;
    }
  }

  healthy(): boolean {
    return !this.#closed;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#windows.clear();
  }

  #addOne({ tenantId, customerId, windowStart, sums }: LiveIncrement): void {
    let window = this.#windows.get(windowStart);
    if (window === undefined) {
      window = { tenants: new Map(), bytes: 0, full: false };
      this.#windows.set(windowStart, window);
    }
    let customers = window.tenants.get(tenantId);
    let counter = customers?.get(customerId);
    if (counter === undefined) {
      if (!this.#take(window, COUNTER_BYTES + 2 * (tenantId.length + (customerId?.length ?? 0)))) {
        window.full = true;
        return;
      }
      if (customers === undefined) {
        customers = new Map();
        window.tenants.set(tenantId, customers);
      }
      counter = newCounter();
      customers.set(customerId, counter);
    }
    counter.calls += sums.calls;
    counter.tokens += sums.tokens;
    counter.inputTokens += sums.inputTokens;
    counter.outputTokens += sums.outputTokens;
    counter.latencyMicros += Math.round(sums.latencySumMs * 1_000);
    counter.latencyCount += sums.latencyCount;
    this.#addCells(window, counter.endpoints, sums.byEndpoint);
    this.#addCells(window, counter.models, sums.byModel);
  }

  #addCells(window: Window, cells: Cells, increments: LiveSums['byEndpoint']): void {
    for (const name in increments) {
      const { calls, tokens } = increments[name]!;
      let cell = cells.byName.get(name);
      if (cell === undefined) {
        if (cells.names < this.#maxFields && this.#take(window, CELL_BYTES + 2 * name.length)) {
          cells.names += 1;
          cell = { calls: 0, tokens: 0 };
          cells.byName.set(name, cell);
        } else {
          cell = cells.byName.get(OTHER) ?? { calls: 0, tokens: 0 };
          cells.byName.set(OTHER, cell);
        }
      }
      cell.calls += calls;
      cell.tokens += tokens;
    }
  }

  #take(window: Window, bytes: number): boolean {
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    window.bytes += bytes;
    return true;
  }

  #dropOldWindows(): void {
    const oldest = oldestWindow(this.#now());
    if (oldest <= this.#since) return;
    // Should the clock be set back, a dropped window must not come back as an empty one.
    this.#since = oldest;
    for (const [start, window] of this.#windows) {
      if (start >= oldest) continue;
      this.#windows.delete(start);
      this.#bytes -= window.bytes;
    }
  }
}

function newCounter(): Counter {
  return {
    calls: 0,
    tokens: 0,
    inputTokens: 0,
    outputTokens: 0,
    latencyMicros: 0,
    latencyCount: 0,
    endpoints: { byName: new Map(), names: 0 },
    models: { byName: new Map(), names: 0 },
    distrusted: false,
  };
}

/** Null: a sum has outgrown what a number holds exactly, or is not that of what counts. */
function toSums(counter: Counter = newCounter()): LiveSums | null {
  const { calls, tokens, inputTokens, outputTokens, latencyMicros, latencyCount } = counter;
  if (counter.distrusted) return null;
  if (![tokens, inputTokens, outputTokens, latencyMicros].every(Number.isSafeInteger)) return null;
  return {
    calls,
    tokens,
    inputTokens,
    outputTokens,
    latencySumMs: latencyMicros / 1_000,
    latencyCount,
    byEndpoint: toRecord(counter.endpoints),
    byModel: toRecord(counter.models),
  };
}

function toRecord(cells: Cells): LiveSums['byEndpoint'] {
  const record: LiveSums['byEndpoint'] = Object.create(null);
  for (const [name, { calls, tokens }] of cells.byName) record[name] = { calls, tokens };
  return record;
}
