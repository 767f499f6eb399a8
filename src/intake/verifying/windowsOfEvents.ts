import { StartupError } from '../../model/errors.ts';
import { type WindowDigest, WindowHasher } from '../../outbound/proof/windowDigest.ts';
import type { CallsAndTokens } from '../../sums/rollups/windowSummary.ts';
import type { FileEvent } from './exportedEvents.ts';

/** What the events of one customer's window come to. */
export interface WindowOfEvents {
  tenantId: string;
  customerId: string;
  windowStart: string;
  digest: WindowDigest;
  byEndpoint: Record<string, CallsAndTokens>;
  byModel: Record<string, CallsAndTokens>;
}

/**
 * The windows that events fall into, by start, tenant and customer. No more than the events of one start are held.
 *
 * @throws {StartupError} where they are not in the order of their windows, or one is there twice.
 */
export async function* windowsOfEvents(events: AsyncIterable<FileEvent>): AsyncGenerator<WindowOfEvents> {
  let startMs = Number.NEGATIVE_INFINITY;
  let groups = new Map<string, FileEvent[]>();
  for await (const event of events) {
    if (event.startMs < startMs) {
      throw new StartupError(
        `line ${event.place}: the event is earlier than those before it; an export has them in the order of time`,
      );
    }
    if (event.startMs > startMs) {
      yield* finished(groups);
      groups = new Map();
      startMs = event.startMs;
    }
    const key = JSON.stringify([event.tenantId, event.customerId]);
    const group = groups.get(key);
    if (group) group.push(event);
    else groups.set(key, [event]);
  }
  yield* finished(groups);
}

function finished(groups: Map<string, FileEvent[]>): WindowOfEvents[] {
  const byName = (a: FileEvent, b: FileEvent) =>
    compareBytes(a.tenantId, b.tenantId) || compareBytes(a.customerId, b.customerId);
  return [...groups.values()].sort(([a], [b]) => byName(a!, b!)).map(windowOf);
}

/** As the API has customers in order. */
function compareBytes(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function windowOf(events: FileEvent[]): WindowOfEvents {
  const { tenantId, customerId, startMs } = events[0]!;
  const hasher = new WindowHasher({ tenantId, customerId, startMs });
  const byEndpoint: Record<string, CallsAndTokens> = Object.create(null);
  const byModel: Record<string, CallsAndTokens> = Object.create(null);
  events.sort((a, b) => (a.uuid < b.uuid ? -1 : a.uuid > b.uuid ? 1 : 0));
  let before: FileEvent | undefined;
  for (const event of events) {
    if (event.uuid === before?.uuid) {
      throw new StartupError(`line ${event.place}: the event is there twice, as in line ${before.place}`);
    }
    hasher.add(event);
    if (event.endpoint !== null) addTo(byEndpoint, event.endpoint, event.tokens);
    if (event.model !== null) addTo(byModel, event.model, event.tokens);
    before = event;
  }
  const windowStart = new Date(startMs).toISOString();
  return { tenantId, customerId, windowStart, digest: hasher.finish(), byEndpoint, byModel };
}

function addTo(sums: Record<string, CallsAndTokens>, name: string, tokens: number): void {
  sums[name] ??= { calls: 0, tokens: 0 };
  sums[name].calls++;
  sums[name].tokens += tokens;
}

/** The window of a customer that has no events. */
export function emptyWindow(tenantId: string, customerId: string, windowStart: string): WindowOfEvents {
  const digest = new WindowHasher({ tenantId, customerId, startMs: Date.parse(windowStart) }).finish();
  return { tenantId, customerId, windowStart, digest, byEndpoint: {}, byModel: {} };
}
