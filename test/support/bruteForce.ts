import { type ClientEvent, tokensOf } from './traffic.ts';

/** What a backfill may have, and takes the place of. */
export interface ModelScope {
  /** [from, to) in ms. */
  from: number;
  to: number;
  /** Null: all. */
  customers: string[] | null;
}

/** What there was of an id before a backfill brought it. */
interface Before {
  counted: ClientEvent | undefined;
  voided: ClientEvent | undefined;
  reverted: boolean;
  replacedBy: ClosedBackfill | undefined;
}

/** What closing a backfill has done. */
export interface ClosedBackfill {
  /** By id: what it has brought, and what was there in its place. */
  brought: Map<string, Before>;
  /** What it has made void. */
  replaced: ClientEvent[];
  /** Versions that came and went. */
  moved: { event: ClientEvent; calls: number }[];
}

/** The summaries of a tenant as they must be, summed event by event from what was acknowledged. */
export class BruteForce {
  readonly events = new Map<string, ClientEvent>();
  /** Those that are void, as they were. A retry of one is a duplicate. */
  readonly voided = new Map<string, ClientEvent>();
  /** Those of them that a revert has made void, and those that a backfill has. */
  private readonly reverted = new Set<string>();
  private readonly replacedBy = new Map<string, ClosedBackfill>();
  /** Starts (ms) and customers of the windows that corrections have changed: they are there without events, too. */
  private readonly corrected = new Map<string, { start: number; customerId: string }>();

  add(events: ClientEvent[]): void {
    for (const event of events) {
      if (!this.events.has(event.eventId) && !this.voided.has(event.eventId)) {
        this.events.set(event.eventId, event);
      }
    }
  }

  /** As it is by now, whatever is added later. */
  copy(): BruteForce {
    const copy = new BruteForce();
    for (const [id, event] of this.events) copy.events.set(id, event);
    for (const [id, event] of this.voided) copy.voided.set(id, event);
    for (const [key, window] of this.corrected) copy.corrected.set(key, window);
    return copy;
  }

  /** These count no more. */
  void(ids: readonly string[]): void {
    for (const id of ids) this.move(id, this.events, this.voided);
  }

  /** These count again. */
  restore(ids: readonly string[]): void {
    for (const id of ids) {
      this.move(id, this.voided, this.events);
      this.reverted.delete(id);
      this.replacedBy.delete(id);
    }
  }

  /** These count in the place of those with their ids. */
  amend(versions: readonly ClientEvent[]): void {
    for (const version of versions) {
      this.touch(this.events.get(version.eventId)!);
      this.events.set(version.eventId, version);
      this.touch(version);
    }
  }

  /** The staged events that count once their backfill is closed. */
  coming(staged: readonly ClientEvent[], scope: ModelScope, replaces: boolean): ClientEvent[] {
    return staged.filter(({ eventId }) => {
      const [counted, voided] = [this.events.get(eventId), this.voided.get(eventId)];
      if (counted) return replaces && isInScope(counted, scope);
      if (voided) return this.reverted.has(eventId) || (replaces && isInScope(voided, scope));
      return true;
    });
  }

  /** A backfill is closed. */
  close(staged: readonly ClientEvent[], scope: ModelScope, replaces: boolean): ClosedBackfill {
    const coming = this.coming(staged, scope, replaces);
    const ids = new Set(coming.map(({ eventId }) => eventId));
    const there = replaces ? [...this.events.values()].filter((event) => isInScope(event, scope)) : [];
    const closed: ClosedBackfill = {
      brought: new Map(),
      replaced: there.filter(({ eventId }) => !ids.has(eventId)),
      moved: [
        ...there.map((event) => ({ event, calls: -1 })),
        ...coming.map((event) => ({ event, calls: 1 })),
      ],
    };
    for (const { eventId } of closed.replaced) {
      this.move(eventId, this.events, this.voided);
      this.replacedBy.set(eventId, closed);
    }
    for (const event of coming) {
      const { eventId } = event;
      const [counted, voided] = [this.events.get(eventId), this.voided.get(eventId)];
      const replacedBy = this.replacedBy.get(eventId);
      closed.brought.set(eventId, { counted, voided, reverted: this.reverted.delete(eventId), replacedBy });
      if (counted) this.touch(counted);
      this.voided.delete(eventId);
      this.replacedBy.delete(eventId);
      this.events.set(eventId, event);
      this.touch(event);
    }
    return closed;
  }

  /** That is undone. @returns the versions that came and went. */
  revert(closed: ClosedBackfill): ClosedBackfill['moved'] {
    const moved: ClosedBackfill['moved'] = [];
    for (const [id, { counted, voided, reverted, replacedBy }] of closed.brought) {
      const event = this.events.get(id);
      if (!event) {
        // Void since, and stays so: as what it was before.
        const before = counted ?? voided;
        if (before) this.voided.set(id, before);
        continue;
      }
      this.move(id, this.events, this.voided);
      moved.push({ event, calls: -1 });
      if (counted) {
        this.voided.delete(id);
        this.events.set(id, counted);
        this.touch(counted);
        moved.push({ event: counted, calls: 1 });
        continue;
      }
      if (voided) this.voided.set(id, voided);
      if (replacedBy) this.replacedBy.set(id, replacedBy);
      if (!voided || reverted) this.reverted.add(id);
    }
    for (const event of closed.replaced) {
      if (this.replacedBy.get(event.eventId) !== closed) continue;
      this.replacedBy.delete(event.eventId);
      this.move(event.eventId, this.voided, this.events);
      moved.push({ event, calls: 1 });
    }
    return moved;
  }

  private move(id: string, from: Map<string, ClientEvent>, to: Map<string, ClientEvent>): void {
    const event = from.get(id)!;
    from.delete(id);
    to.set(id, event);
    this.touch(event);
  }

  private touch(event: ClientEvent): void {
    const window = { start: floor(event, 30_000), customerId: event.customerId };
    this.corrected.set(JSON.stringify(window), window);
  }

  private between(from: number, to: number, customerId?: string): ClientEvent[] {
    return [...this.events.values()].filter((event) => {
      const at = Date.parse(event.timestamp);
      return at >= from && at < to && (customerId === undefined || event.customerId === customerId);
    });
  }

  /** As GET /v1/windows, without state and revision, in its order. */
  windows(tenantId: string, from: number, to: number, customerId?: string) {
    const groups = groupBy(this.between(from, to, customerId), (e) => [floor(e, 30_000), e.customerId]);
    const windows = [...groups.values()].map((events) => ({
      start: floor(events[0]!, 30_000),
      customerId: events[0]!.customerId,
      events,
    }));
    for (const { start, customerId: whose } of this.corrected.values()) {
      const isAsked = start >= from && start < to && (customerId === undefined || whose === customerId);
      const isThere = windows.some((window) => window.start === start && window.customerId === whose);
      if (isAsked && !isThere) windows.push({ start, customerId: whose, events: [] });
    }
    return windows
      .map(({ start, customerId: whose, events }) => {
        return {
          windowStart: new Date(start).toISOString(),
          windowEnd: new Date(start + 30_000).toISOString(),
          tenantId,
          customerId: whose,
          aggregations: {
            totalCalls: events.length,
            totalTokens: sum(events.map(tokensOf)),
            totalInputTokens: sum(events.map((e) => e.metadata.inputTokens ?? 0)),
            totalOutputTokens: sum(events.map((e) => e.metadata.outputTokens ?? 0)),
            avgLatencyMs: average(events),
            byEndpoint: callsAndTokens(events, (e) => e.apiEndpoint),
            byModel: callsAndTokens(events, (e) => e.metadata.model),
          },
        };
      })
      .sort(
        (a, b) =>
          a.windowStart.localeCompare(b.windowStart) ||
          Buffer.compare(Buffer.from(a.customerId), Buffer.from(b.customerId)),
      );
  }

  /** As GET /v1/summaries/hourly and daily. */
  activity(lengthMs: number, from: number, to: number, customerId?: string) {
    const groups = groupBy(this.between(from, to, customerId), (e) => [floor(e, lengthMs)]);
    return [...groups.values()]
      .map((events) => {
        const byType = Object.fromEntries(
          [...groupBy(events, (e) => [e.eventType ?? 'api.request'])].map(([type, of]) => [type, of.length]),
        );
        return {
          bucket: new Date(floor(events[0]!, lengthMs)).toISOString(),
          uniqueUsers: new Set(events.map((e) => e.customerId)).size,
          totalClicks: byType.click ?? 0,
          totalImpressions: byType.impression ?? 0,
          totalEvents: events.length,
          byType,
        };
      })
      .sort((a, b) => a.bucket.localeCompare(b.bucket));
  }

  /** As GET /v1/sessions/{id}; null where nothing has that reference. */
  session(id: string) {
    const events = [...this.events.values()].filter((event) => event.reference === id);
    if (events.length === 0) return null;
    const sums = (of: ClientEvent[]) => ({
      events: of.length,
      value: decimalSum(of.map(signedValue)),
      tokens: sum(of.map(tokensOf)),
    });
    const times = events.map((e) => Date.parse(e.timestamp)).sort((a, b) => a - b);
    const customers = [...new Set(events.map((e) => e.customerId))].sort((a, b) =>
      Buffer.compare(Buffer.from(a), Buffer.from(b)),
    );
    return {
      id,
      ...sums(events),
      first: new Date(times[0]!).toISOString(),
      last: new Date(times.at(-1)!).toISOString(),
      durationMs: times.at(-1)! - times[0]!,
      byType: Object.fromEntries(
        [...groupBy(events, (e) => [e.eventType ?? 'api.request'])].map(([type, of]) => [type, sums(of)]),
      ),
      uniqueCustomers: customers.length,
      customers: customers.slice(0, 100),
    };
  }

  /** As GET /v1/usage grouped by customer and model, without the percentiles. `bucketOf` as the time zone has it. */
  usage(bucketOf: (ms: number) => number, from: number, to: number) {
    const at = (e: ClientEvent) => bucketOf(Date.parse(e.timestamp));
    return this.usageGroups(bucketOf, from, to).map((events) => ({
      bucket: new Date(at(events[0]!)).toISOString(),
      customerId: events[0]!.customerId,
      model: events[0]!.metadata.model ?? null,
      calls: events.length,
      tokens: sum(events.map(tokensOf)),
      inputTokens: sum(events.map((e) => e.metadata.inputTokens ?? 0)),
      outputTokens: sum(events.map((e) => e.metadata.outputTokens ?? 0)),
      value: decimalSum(events.map(signedValue)),
      latencyCount: latenciesOf(events).length,
      maxMs: latenciesOf(events).at(-1) ?? null,
    }));
  }

  /** The latencies of each point of that series, from the smallest to the largest. */
  latencies(bucketOf: (ms: number) => number, from: number, to: number): number[][] {
    return this.usageGroups(bucketOf, from, to).map(latenciesOf);
  }

  private usageGroups(bucketOf: (ms: number) => number, from: number, to: number): ClientEvent[][] {
    const at = (e: ClientEvent) => bucketOf(Date.parse(e.timestamp));
    const groups = groupBy(this.between(from, to), (e) => [at(e), e.customerId, e.metadata.model ?? '']);
    return [...groups.values()].sort(
      ([a], [b]) =>
        at(a!) - at(b!) ||
        Buffer.compare(Buffer.from(a!.customerId), Buffer.from(b!.customerId)) ||
        Buffer.compare(Buffer.from(a!.metadata.model ?? ''), Buffer.from(b!.metadata.model ?? '')),
    );
  }
}

export function isInScope(event: ClientEvent, { from, to, customers }: ModelScope): boolean {
  const at = Date.parse(event.timestamp);
  return at >= from && at < to && (customers === null || customers.includes(event.customerId));
}

/** The value as totals of records count it. */
function signedValue({ eventType, value = '0' }: ClientEvent): string {
  if (eventType !== 'negative') return value;
  return value.startsWith('-') ? value.slice(1) : `-${value}`;
}

function latenciesOf(events: ClientEvent[]): number[] {
  return events
    .map((e) => e.metadata.latencyMs)
    .filter((ms) => ms !== undefined)
    .sort((a, b) => a - b);
}

function floor(event: ClientEvent, lengthMs: number): number {
  return Math.floor(Date.parse(event.timestamp) / lengthMs) * lengthMs;
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function average(events: ClientEvent[]): number | null {
  const latencies = latenciesOf(events);
  return latencies.length === 0 ? null : Math.round((sum(latencies) / latencies.length) * 1_000) / 1_000;
}

function callsAndTokens(events: ClientEvent[], nameOf: (event: ClientEvent) => string | undefined) {
  const named = events.filter((event) => nameOf(event) !== undefined);
  return Object.fromEntries(
    [...groupBy(named, (e) => [nameOf(e)!])].map(([name, of]) => [
      name,
      { calls: of.length, tokens: sum(of.map(tokensOf)) },
    ]),
  );
}

/** Whether one that was closed later has to be reverted before another. */
export function supersedes(
  later: ModelScope & { closed: ClosedBackfill | null },
  earlier: ModelScope & { closed: ClosedBackfill | null },
): boolean {
  const touched = ({ closed }: { closed: ClosedBackfill | null }) =>
    new Set([...closed!.brought.keys(), ...closed!.replaced.map(({ eventId }) => eventId)]);
  const ids = touched(earlier);
  return doMeet(later, earlier) || [...touched(later)].some((id) => ids.has(id));
}

/** Whether two backfills have a moment and a customer in common. */
export function doMeet(a: ModelScope, b: ModelScope): boolean {
  return (
    a.from < b.to &&
    b.from < a.to &&
    (a.customers === null || b.customers === null || a.customers.some((one) => b.customers!.includes(one)))
  );
}

function groupBy(events: ClientEvent[], keyOf: (event: ClientEvent) => (string | number)[]) {
  const groups = new Map<string, ClientEvent[]>();
  for (const event of events) {
    const key = keyOf(event).join('\u0001');
    const group = groups.get(key);
    if (group) group.push(event);
    else groups.set(key, [event]);
  }
  return groups;
}

/** Sum of decimals of up to 18 digits after the point, in integers. */
export function decimalSum(values: string[]): string {
  const total = values.reduce((sum, value) => {
    const [whole = '0', fraction = ''] = value.replace('-', '').split('.');
    const scaled = BigInt(whole + fraction.padEnd(18, '0'));
    return value.startsWith('-') ? sum - scaled : sum + scaled;
  }, 0n);
  const digits = (total < 0n ? -total : total).toString().padStart(19, '0');
  const fraction = digits.slice(-18).replace(/0+$/, '');
  return `${total < 0n ? '-' : ''}${digits.slice(0, -18)}${fraction ? `.${fraction}` : ''}`;
}
