import type { UsageEvent } from '../../model/usageEvent.ts';
import { WINDOW_MICROS, WINDOW_MS, windowStart } from '../../model/window.ts';
import type { LiveIncrement, LiveSums } from './liveCounters.ts';

/** Further ahead than this no event is counted, ms. Ingest accepts at most a day (ACCEPT_AHEAD_SECONDS). */
const AHEAD_MS = 86_400_000;

interface Cell {
  calls: number;
  tokens: number;
}

class Counter {
  calls = 0;
  tokens = 0;
  inputTokens = 0;
  outputTokens = 0;
  /** Whole microseconds add up exactly, fractions of a millisecond would not. */
  latencyMicros = 0;
  latencyCount = 0;
  readonly byEndpoint = new Map<string, Cell>();
  readonly byModel = new Map<string, Cell>();
}

type Customers = Map<string, Counter>;
type Tenants = Map<string, Customers>;

/**
 * Sums the new rows of one batch, so that the live counters get one increment per counter and not one per event.
 *
 * Counted are the current window, the two before it and all that the acceptance horizon allows ahead: an event a
 * few minutes ahead has to be there when its window becomes the current one. The second window before is spare: for
 * an instance whose clock is behind ours it is still the previous one.
 */
export class BatchSums {
  readonly #windows = new Map<number, Tenants>();
  readonly #fromMicros: number;
  readonly #toMicros: number;
  /** The window of the event before: nearly always that of the next one. */
  #startMicros = 0;
  #endMicros = 0;
  #tenants: Tenants = new Map();

  /** @param nowMs the clock, ms since the epoch. */
  constructor(nowMs: number) {
    this.#fromMicros = (windowStart(nowMs) - 2 * WINDOW_MS) * 1_000;
    this.#toMicros = (nowMs + AHEAD_MS) * 1_000;
  }

  /** Counts one event; does nothing when no live read can ask for its window. */
  add(event: UsageEvent): void {
    const micros = event.tsMicros;
    if (micros < this.#fromMicros || micros > this.#toMicros) return;
    if (micros < this.#startMicros || micros >= this.#endMicros) this.#enterWindow(micros);

    let customers = this.#tenants.get(event.tenantId);
    if (customers === undefined) {
      customers = new Map();
      this.#tenants.set(event.tenantId, customers);
    }
    let counter = customers.get(event.customerId);
    if (counter === undefined) {
      counter = new Counter();
      customers.set(event.customerId, counter);
    }
    const tokens = event.tokens ?? 0;
    counter.calls += 1;
    counter.tokens += tokens;
    counter.inputTokens += event.inputTokens ?? 0;
    counter.outputTokens += event.outputTokens ?? 0;
    if (event.latencyMs !== null) {
      counter.latencyMicros += Math.round(event.latencyMs * 1_000);
      counter.latencyCount += 1;
    }
    if (event.endpoint !== null) addTo(counter.byEndpoint, event.endpoint, 1, tokens);
    if (event.model !== null) addTo(counter.byModel, event.model, 1, tokens);
  }

  /** One increment per customer and window, and one per tenant and window. */
  increments(): LiveIncrement[] {
    const result: LiveIncrement[] = [];
    for (const [start, tenants] of this.#windows) {
      for (const [tenantId, customers] of tenants) {
        const total = new Counter();
        for (const [customerId, counter] of customers) {
          addCounter(total, counter);
          result.push({ tenantId, customerId, windowStart: start, sums: toSums(counter) });
        }
        result.push({ tenantId, customerId: null, windowStart: start, sums: toSums(total) });
      }
    }
    return result;
  }

  #enterWindow(micros: number): void {
    this.#startMicros = Math.floor(micros / WINDOW_MICROS) * WINDOW_MICROS;
    this.#endMicros = this.#startMicros + WINDOW_MICROS;
    const start = this.#startMicros / 1_000;
    let tenants = this.#windows.get(start);
    if (tenants === undefined) {
      tenants = new Map();
      this.#windows.set(start, tenants);
    }
    this.#tenants = tenants;
  }
}

function addTo(cells: Map<string, Cell>, name: string, calls: number, tokens: number): void {
  const cell = cells.get(name);
  if (cell === undefined) {
    cells.set(name, { calls, tokens });
  } else {
    cell.calls += calls;
    cell.tokens += tokens;
  }
}

function addCounter(total: Counter, counter: Counter): void {
  total.calls += counter.calls;
  total.tokens += counter.tokens;
  total.inputTokens += counter.inputTokens;
  total.outputTokens += counter.outputTokens;
  total.latencyMicros += counter.latencyMicros;
  total.latencyCount += counter.latencyCount;
  for (const [name, cell] of counter.byEndpoint) addTo(total.byEndpoint, name, cell.calls, cell.tokens);
  for (const [name, cell] of counter.byModel) addTo(total.byModel, name, cell.calls, cell.tokens);
}

function toSums(counter: Counter): LiveSums {
  return {
    calls: counter.calls,
    tokens: counter.tokens,
    inputTokens: counter.inputTokens,
    outputTokens: counter.outputTokens,
    latencySumMs: counter.latencyMicros / 1_000,
    latencyCount: counter.latencyCount,
    byEndpoint: toRecord(counter.byEndpoint),
    byModel: toRecord(counter.byModel),
  };
}

function toRecord(cells: Map<string, Cell>): Record<string, Cell> {
  const record: Record<string, Cell> = Object.create(null);
  for (const [name, cell] of cells) record[name] = cell;
  return record;
}
