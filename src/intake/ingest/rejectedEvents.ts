import { Counter, type Registry } from 'prom-client';
import type { Logger } from '../../ground/telemetry/logger.ts';
import type { EventFault } from '../../model/errors.ts';
import type { Tallies } from './tallies.ts';

/** Which way events came in: a request, or an entry of a queue. */
export type Way = 'http' | 'queue';

/** Reasons that are common: their series begin with 0, so that a rate sees the first one. */
const COMMON = [
  'required',
  'unknown_field',
  'type_invalid',
  'not_allowed',
  'too_short',
  'too_long',
  'out_of_range',
  'text_invalid',
  'value_invalid',
  'value_not_positive',
  'usage_invalid',
  'timestamp_invalid',
  'timestamp_too_old',
  'timestamp_too_new',
  'tenant_required',
  'tenant_mismatch',
  'tenant_unknown',
  'tenant_inactive',
  'data_invalid',
  'invalid_json',
  'event_rejected_by_database',
];

/** How often rejections are logged at most, in ms. */
const LOG_EVERY_MS = 10_000;

/**
 * Counts the events that are not stored because something is wrong with them, by the code of the first fault of each.
 * Who sent them is told, but nobody may look: a collector reads no body of a 200.
 */
export class RejectedEvents {
  private readonly counter: Counter<'way' | 'reason'>;
  private readonly log: Logger;
  private readonly tallies: Tallies;
  private readonly unlogged = new Map<string, number>();
  private facts: object = {};
  private waiting: NodeJS.Timeout | undefined;

  constructor(registry: Registry, log: Logger, tallies: Tallies) {
    this.log = log;
    this.tallies = tallies;
    this.counter = new Counter({
      name: 'tidemark_events_rejected_total',
      help: 'Events not stored because something is wrong with them, by the way they came and the code of their first fault',
      labelNames: ['way', 'reason'],
      registers: [registry],
    });
    for (const way of ['http', 'queue'] as const) {
      for (const reason of COMMON) this.counter.inc({ way, reason }, 0);
    }
  }

  /**
   * @param faults any number for each event, those of an event one after the other.
   * @param facts of the request or entry, for the log; its tenant is counted for.
   */
  count(
    way: Way,
    faults: readonly EventFault[],
    facts: { tenantId?: string | null | undefined; [fact: string]: unknown },
  ): void {
    let previous = -1;
    let events = 0;
    for (const { index, code } of faults) {
      if (index === previous) continue;
      previous = index;
      events++;
      this.counter.inc({ way, reason: code });
      this.unlogged.set(code, (this.unlogged.get(code) ?? 0) + 1);
    }
    this.tallies.rejected(facts.tenantId ?? null, events);
    if (this.unlogged.size === 0) return;
    this.facts = { way, ...facts };
    if (this.waiting === undefined) this.tell();
  }

  /** Now, and once more when the time is over, should more have come until then. */
  private tell(): void {
    this.waiting = undefined;
    if (this.unlogged.size === 0) return;
    this.log.warn({ ...this.facts, reasons: Object.fromEntries(this.unlogged) }, 'events were rejected');
    this.unlogged.clear();
    this.waiting = setTimeout(() => this.tell(), LOG_EVERY_MS).unref();
  }
}
