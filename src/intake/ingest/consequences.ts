import { addDecimals } from '../../model/decimal.ts';
import { COUNTER_INCREMENT, signedValue, type UsageEvent } from '../../model/usageEvent.ts';
import { WINDOW_MICROS } from '../../model/window.ts';
import type { CustomerRegistry } from './customerRegistry.ts';

/** Closed windows that a batch changes, as `revise_windows` takes them: each has its place in all of the lists. */
export interface LateWindows {
  tenants: string[];
  customers: string[];
  /** Counted from the epoch. */
  numbers: number[];
  /** Whether events with references are among those that come to it. */
  withReferences: boolean[];
  /** How many come to it, and what they add to its sums. */
  events: number[];
  tokens: number[];
  inputTokens: number[];
  outputTokens: number[];
  /** Decimals. Of events of type `negative` less than nothing. */
  values: string[];
}

/** A customer without a row yet, as `register_customers` takes it. */
export interface NewCustomer {
  tenant_id: string;
  external_id: string;
}

/** What a batch adds to a counter, as `add_to_counters` takes it. */
export interface CounterSum {
  tenant_id: string;
  key: string;
  /** A decimal: JSON numbers are doubles. */
  value: string;
}

/** An increment under an Idempotency-Key, as `add_to_counters` takes it. */
export interface IdempotentIncrement extends CounterSum {
  event_id: string;
}

/** What has to be done for some rows besides storing them. */
export interface Consequences {
  lateWindows: LateWindows;
  newCustomers: NewCustomer[];
  counterSums: CounterSum[];
  idempotentIncrements: IdempotentIncrement[];
  /** Rows that fall into a closed window. */
  lateEvents: number;
  /** Start (µs) of the earliest window that was taken for open; Infinity when all were late. */
  openFromMicros: number;
}

/** @param closedUntilMicros windows that end at or before this moment are closed. */
export function consequencesOf(
  rows: UsageEvent[],
  closedUntilMicros: number,
  registry: CustomerRegistry,
): Consequences {
  const late = new LateWindowList();
  const customers = new Map<string, NewCustomer>();
  const counters = new Map<string, CounterSum>();
  const idempotentIncrements: IdempotentIncrement[] = [];
  let lateEvents = 0;
  let openFromMicros = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    if (row.tsMicros < closedUntilMicros) {
      lateEvents++;
      late.add(row);
    } else if (row.tsMicros < openFromMicros) openFromMicros = row.tsMicros;
    if (!registry.has(row.tenantId, row.customerId)) {
      customers.set(customerKey(row), {
        tenant_id: row.tenantId,
        external_id: row.customerId,
      });
    }
    if (row.eventType === COUNTER_INCREMENT) {
      const increment = { tenant_id: row.tenantId, key: row.customerId, value: row.value! };
      if (row.idempotent) idempotentIncrements.push({ ...increment, event_id: row.eventId });
      const sum = counters.get(customerKey(row));
      if (sum) sum.value = addDecimals(sum.value, increment.value);
      else counters.set(customerKey(row), increment);
    }
  }
  return {
    lateWindows: late,
    newCustomers: [...customers.values()],
    counterSums: [...counters.values()],
    idempotentIncrements,
    lateEvents,
    openFromMicros: Math.floor(openFromMicros / WINDOW_MICROS) * WINDOW_MICROS,
  };
}

/** Neither id can hold a NUL, so two customers never share a key. */
function customerKey(row: UsageEvent): string {
  return `${row.tenantId}\0${row.customerId}`;
}

/**
 * Each window once, told apart by what its rows have: nearly every row of history has a window of its own, and a text
 * as its key would cost more than all else that is done here.
 */
class LateWindowList implements LateWindows {
  readonly tenants: string[] = [];
  readonly customers: string[] = [];
  readonly numbers: number[] = [];
  readonly withReferences: boolean[] = [];
  readonly events: number[] = [];
  readonly tokens: number[] = [];
  readonly inputTokens: number[] = [];
  readonly outputTokens: number[] = [];
  readonly values: string[] = [];
  /** Of tenant, customer and number. */
  private readonly places = new Map<string, Map<string, Map<number, number>>>();

  add(row: UsageEvent): void {
    const number = Math.floor(row.tsMicros / WINDOW_MICROS);
    const places = mapAt(mapAt(this.places, row.tenantId), row.customerId);
    const place = places.get(number);
    if (place === undefined) {
      places.set(number, this.numbers.length);
      this.begin(row, number);
      return;
    }
    this.withReferences[place] ||= row.reference !== null;
    this.events[place]!++;
    this.tokens[place]! += row.tokens ?? 0;
    this.inputTokens[place]! += row.inputTokens ?? 0;
    this.outputTokens[place]! += row.outputTokens ?? 0;
    if (row.value !== null) this.values[place] = addDecimals(this.values[place]!, signedValue(row));
  }

  private begin(row: UsageEvent, number: number): void {
    this.tenants.push(row.tenantId);
    this.customers.push(row.customerId);
    this.numbers.push(number);
    this.withReferences.push(row.reference !== null);
    this.events.push(1);
    this.tokens.push(row.tokens ?? 0);
    this.inputTokens.push(row.inputTokens ?? 0);
    this.outputTokens.push(row.outputTokens ?? 0);
    this.values.push(signedValue(row));
  }
}

/** The map at a key, which there is from then on. */
function mapAt<Key, InnerKey, Value>(maps: Map<Key, Map<InnerKey, Value>>, key: Key): Map<InnerKey, Value> {
  let map = maps.get(key);
  if (map === undefined) {
    map = new Map();
    maps.set(key, map);
  }
  return map;
}
