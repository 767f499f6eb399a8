import type { SpanContext } from '@opentelemetry/api';
import { addDecimals } from '../../model/decimal.ts';
import { COUNTER_INCREMENT, signedValue, type UsageEvent } from '../../model/usageEvent.ts';
import { utcDay } from '../../model/utcDay.ts';
import { WINDOW_MICROS } from '../../model/window.ts';
import type { BatchItem } from './batcher.ts';
import type { CustomerRegistry } from './customerRegistry.ts';

/** The events of one request: they are written together or not at all. */
export interface WriteRequest extends BatchItem {
  readonly events: UsageEvent[];
  /**
   * What to do about an event that the database refuses: tell which it is, and store none, or store the others.
   * Left out: neither is looked for.
   */
  readonly onRefused?: OnRefused | undefined;
  /** The span that they came in. */
  readonly caller?: SpanContext | undefined;
}

export type OnRefused = 'tell' | 'skip';

/** An event that the database refuses. */
export interface Refusal {
  /** Its place among the events of the request. */
  index: number;
  /** SQLSTATE. */
  code: string;
  cause: unknown;
}

export interface WriteResult {
  /** Events stored by this request. */
  accepted: number;
  /** Events that had been stored before. */
  duplicates: number;
  /** For each event of the request whether it was a duplicate; null when none was. */
  duplicateFlags: boolean[] | null;
  /** With `skip`: the events that were left out. */
  refused?: Refusal[];
}

/** The results of two parts of a request, the first of which has that many events. */
export function joinResults(a: WriteResult, events: number, b: WriteResult, others: number): WriteResult {
  const flags = (result: WriteResult, count: number) =>
    result.duplicateFlags ?? new Array<boolean>(count).fill(false);
  const behind = (b.refused ?? []).map((refusal) => ({ ...refusal, index: refusal.index + events }));
  return {
    accepted: a.accepted + b.accepted,
    duplicates: a.duplicates + b.duplicates,
    duplicateFlags: a.duplicateFlags || b.duplicateFlags ? [...flags(a, events), ...flags(b, others)] : null,
    refused: [...(a.refused ?? []), ...behind],
  };
}

/** A closed window that a batch changes, as `mark_late_windows` takes it. */
export interface LateWindow {
  bucket: string;
  tenant_id: string;
  customer_id: string;
  references: boolean;
  /** What the batch adds to its sums. */
  events: number;
  calls: number;
  tokens: number;
  input_tokens: number;
  output_tokens: number;
  /** A decimal. Of events of type `negative` less than nothing. */
  value: string;
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

/** What of some requests is to be written: each identity once, in the order of the requests. */
export class Batch {
  readonly requests: WriteRequest[];
  readonly rows: UsageEvent[] = [];
  /** Events that repeat one earlier in the batch. */
  private readonly repeated = new Set<UsageEvent>();

  constructor(requests: WriteRequest[]) {
    this.requests = requests;
    const seen = new Map<string, UsageEvent>();
    const alsoSeen = new Set<string>(); // the same id under several tenants
    for (const { events } of requests) {
      for (const event of events) {
        const first = seen.get(event.eventId);
        if (first === undefined) {
          seen.set(event.eventId, event);
        } else if (first.tenantId === event.tenantId || alsoSeen.has(identityKey(event))) {
          this.repeated.add(event);
          continue;
        } else {
          alsoSeen.add(identityKey(event));
        }
        this.rows.push(event);
      }
    }
  }

  /** How many days (UTC) its rows fall into. */
  get days(): number {
    return new Set(this.rows.map(({ tsMicros }) => utcDay(tsMicros))).size;
  }

  /** @param known the rows that turned out to be stored already, or null for none. */
  results(known: Set<UsageEvent> | null): WriteResult[] {
    return this.requests.map(({ events }) => {
      if (known === null && this.repeated.size === 0) {
        return { accepted: events.length, duplicates: 0, duplicateFlags: null };
      }
      const flags = events.map((event) => this.repeated.has(event) || (known?.has(event) ?? false));
      const duplicates = flags.filter(Boolean).length;
      return {
        accepted: events.length - duplicates,
        duplicates,
        duplicateFlags: duplicates > 0 ? flags : null,
      };
    });
  }
}

export function identityKey(event: { eventId: string; tenantId: string }): string {
  return `${event.eventId} ${event.tenantId}`;
}

/** Neither id can hold a NUL, so two customers never share a key. */
function customerKey(row: UsageEvent): string {
  return `${row.tenantId}\0${row.customerId}`;
}

function lateWindow(bucketMicros: number, { tenantId, customerId }: UsageEvent): LateWindow {
  return {
    bucket: new Date(bucketMicros / 1_000).toISOString(),
    tenant_id: tenantId,
    customer_id: customerId,
    references: false,
    events: 0,
    calls: 0,
    tokens: 0,
    input_tokens: 0,
    output_tokens: 0,
    value: '0',
  };
}

function addToLate(window: LateWindow, row: UsageEvent): LateWindow {
  window.references ||= row.reference !== null;
  window.events++;
  window.calls++;
  window.tokens += row.tokens ?? 0;
  window.input_tokens += row.inputTokens ?? 0;
  window.output_tokens += row.outputTokens ?? 0;
  if (row.value !== null) window.value = addDecimals(window.value, signedValue(row));
  return window;
}

/** What has to be done for some rows besides storing them. */
export interface Consequences {
  lateWindows: LateWindow[];
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
  const late = new Map<string, LateWindow>();
  const customers = new Map<string, NewCustomer>();
  const counters = new Map<string, CounterSum>();
  const idempotentIncrements: IdempotentIncrement[] = [];
  let lateEvents = 0;
  let openFromMicros = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    if (row.tsMicros < closedUntilMicros) {
      lateEvents++;
      const bucket = Math.floor(row.tsMicros / WINDOW_MICROS) * WINDOW_MICROS;
      const key = `${bucket} ${customerKey(row)}`;
      const window = late.get(key);
      if (window) addToLate(window, row);
      else late.set(key, addToLate(lateWindow(bucket, row), row));
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
    lateWindows: [...late.values()],
    newCustomers: [...customers.values()],
    counterSums: [...counters.values()],
    idempotentIncrements,
    lateEvents,
    openFromMicros: Math.floor(openFromMicros / WINDOW_MICROS) * WINDOW_MICROS,
  };
}
