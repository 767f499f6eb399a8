import type { SpanContext } from '@opentelemetry/api';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { utcDay } from '../../model/utcDay.ts';
import type { BatchItem } from './batcher.ts';

/** The events of one request: they are written together or not at all. */
export interface WriteRequest extends BatchItem {
  readonly events: UsageEvent[];
  /**
   * What to do about an event that the database refuses: tell which it is, and store none, or store the others.
   * Left out: neither is looked for.
   */
  readonly onRefused?: OnRefused | undefined;
  /** When they were queued (performance.now()). */
  readonly queuedAt: number;
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
