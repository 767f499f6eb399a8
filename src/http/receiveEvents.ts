import { type EventFault, TidemarkError } from '../errors.ts';
import { type EventFormat, type ParsedEvents, parseEvents } from '../events/parseEvents.ts';
import type { UsageEvent } from '../events/usageEvent.ts';
import type { WriteResult } from '../ingest/ingest.ts';
import { type Caller, contextFor } from '../tenancy/caller.ts';
import type { Services } from './services.ts';

export interface ReceiveOptions {
  format: EventFormat;
  onInvalid: 'reject' | 'skip';
  /** Answer as soon as the events are queued. */
  async: boolean;
}

export interface IngestAnswer {
  accepted: number;
  duplicates: number;
  rejected?: number;
  results?: { index: number; status: 'accepted' | 'duplicate' | 'invalid'; errors?: EventFault[] }[];
}

/**
 * The way of a request's events from its body to the database.
 *
 * @param tenantId X-Tenant-Id: with a platform key the tenant of events that do not name one.
 * @throws {TidemarkError} what `parseEvents`, `contextFor` and `Ingest.store` throw; `invalid_events` and the codes
 * of a foreign tenant when onInvalid is `reject`.
 */
export async function receiveEvents(
  services: Services,
  caller: Caller,
  tenantId: string | undefined,
  body: Buffer,
  options: ReceiveOptions,
): Promise<IngestAnswer | { queued: number }> {
  const { ingest, config } = services;
  const context =
    caller.tenantId !== null || tenantId !== undefined
      ? await contextFor(caller, tenantId, services.tenants)
      : null;
  if (context !== null) ingest.requireRoom(body.length, context.tenantId);
  const now = Date.now();
  const rules = {
    tenantId: context?.tenantId ?? null,
    earliestMicros: (now - config.ingest.acceptBehindMs) * 1_000,
    latestMicros: (now + config.ingest.acceptAheadMs) * 1_000,
  };
  const parsed = parseEvents(body, options.format, rules, config.ingest.maxEventsPerRequest);
  if (context === null) await checkTenants(services, parsed);
  if (parsed.faults.length > 0 && options.onInvalid === 'reject') throw refusal(parsed.faults);

  if (parsed.events.length === 0)
    return verdicts(parsed, { accepted: 0, duplicates: 0, duplicateFlags: null });
  const flow = context?.tenantId ?? flowOf(parsed.events, caller);
  if (options.async) {
    ingest.storeLater(parsed.events, body.length, flow);
    return { queued: parsed.events.length };
  }
  const result = await ingest.store(parsed.events, body.length, flow);
  if (options.onInvalid === 'skip') return verdicts(parsed, result);
  return { accepted: result.accepted, duplicates: result.duplicates };
}

/**
 * Who waits for the writers: a request's events stay together, so one with events of several tenants waits as its
 * key does, beside the tenants, and not at the expense of any. A NUL keeps it apart: no tenant id has one.
 */
function flowOf(events: UsageEvent[], caller: Caller): string {
  const { tenantId } = events[0]!;
  const one = events.every((event) => event.tenantId === tenantId);
  return one ? tenantId : `\0${caller.keyId ?? 'admin'}`;
}

/** Drops the events of tenants that are unknown or inactive, each with its fault. */
async function checkTenants(services: Services, parsed: ParsedEvents): Promise<void> {
  const states = new Map<string, 'active' | 'inactive' | 'unknown'>();
  for (const { tenantId } of parsed.events) {
    if (!states.has(tenantId)) states.set(tenantId, await services.tenants.stateOf(tenantId));
  }
  if ([...states.values()].every((state) => state === 'active')) return;
  const kept = parsed.events.map((event) => states.get(event.tenantId) === 'active');
  for (const [i, event] of parsed.events.entries()) {
    if (kept[i]) continue;
    const inactive = states.get(event.tenantId) === 'inactive';
    parsed.faults.push({
      index: parsed.indexes[i]!,
      pointer: '/tenantId',
      code: inactive ? 'tenant_inactive' : 'tenant_unknown',
      message: inactive ? 'the tenant is inactive' : 'there is no such tenant',
    });
  }
  parsed.faults.sort((a, b) => a.index - b.index);
  parsed.events = parsed.events.filter((_, i) => kept[i]);
  parsed.indexes = parsed.indexes.filter((_, i) => kept[i]);
}

/** Whose data it is comes before what is wrong with them. */
const OF_TENANTS = ['tenant_mismatch', 'tenant_unknown', 'tenant_inactive', 'tenant_required'] as const;

function refusal(faults: EventFault[]): TidemarkError {
  const code =
    OF_TENANTS.find((candidate) => faults.some((fault) => fault.code === candidate)) ?? 'invalid_events';
  const events = new Set(faults.map((fault) => fault.index)).size;
  return new TidemarkError(code, `${events} of the events cannot be accepted; nothing was stored`, {
    errors: faults,
  });
}

function verdicts(parsed: ParsedEvents, result: WriteResult): IngestAnswer {
  const results: NonNullable<IngestAnswer['results']> = new Array(parsed.total);
  for (const [i, index] of parsed.indexes.entries()) {
    results[index] = { index, status: result.duplicateFlags?.[i] ? 'duplicate' : 'accepted' };
  }
  for (const fault of parsed.faults) {
    results[fault.index] ??= { index: fault.index, status: 'invalid', errors: [] };
    results[fault.index]!.errors!.push(fault);
  }
  return {
    accepted: result.accepted,
    duplicates: result.duplicates,
    rejected: parsed.total - parsed.events.length,
    results,
  };
}
