import type { Claim, TenantLimits } from '../../access/limits/rateLimiter.ts';
import { type Caller, contextFor } from '../../access/tenancy/caller.ts';
import type { EventRules } from '../../intake/events/finishEvent.ts';
import { type EventFormat, type ParsedEvents, parseEvents } from '../../intake/events/parseEvents.ts';
import type { WriteResult } from '../../intake/ingest/ingest.ts';
import { refusalFault } from '../../intake/ingest/writeFailures.ts';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import type { Services } from './services.ts';

export interface ReceiveOptions {
  format: EventFormat;
  onInvalid: 'reject' | 'skip';
  /** Answer as soon as the events are queued. */
  async: boolean;
  /** When its deadline began, in ms since the epoch. */
  since: number;
  /** Told of the one tenant whose limits have been drawn on, each time. */
  onLimited(tenantId: string, limits: TenantLimits): void;
  /** Told of what is wrong with events, whether their neighbours are stored or not. @param tenantId null: several. */
  onFaults(faults: EventFault[], tenantId: string | null): void;
  /** Of the rules, what this route has of its own. */
  rules?: Pick<EventRules, 'fallbackId' | 'idempotent'>;
  /** Told of the events that turned out to be stored already; the request fails with what it rejects with. */
  onDuplicates?(events: UsageEvent[]): Promise<unknown>;
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
 * @throws {TidemarkError} what `parseEvents`, `contextFor` and `Ingest.store` throw; `too_many_requests`;
 * `invalid_events` when onInvalid is `reject`, or none of the events is valid, and the codes of a foreign tenant when it
 * is `reject`.
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
  if (context !== null) await refuseEarly(services, caller, context.tenantId, body.length, options);
  const now = Date.now();
  const rules = {
    tenantId: context?.tenantId ?? null,
    earliestMicros: (now - config.ingest.acceptBehindMs) * 1_000,
    latestMicros: (now + config.ingest.acceptAheadMs) * 1_000,
    receivedMicros: now * 1_000,
    ...options.rules,
  };
  const parsed = parseEvents(body, options.format, rules, config.ingest.maxEventsPerRequest);
  if (context === null) await checkTenants(services, parsed);
  if (parsed.faults.length > 0) options.onFaults(parsed.faults, context?.tenantId ?? null);
  if (parsed.faults.length > 0 && options.onInvalid === 'reject') throw refusal(parsed.faults);
  if (parsed.events.length === 0) throw nothingValid(parsed, NOTHING);
  const flow = await drawOnLimits(
    services,
    caller,
    context?.tenantId ?? null,
    parsed.events,
    body.length,
    options,
  );
  if (options.async) {
    ingest.storeLater(parsed.events, body.length, flow, options.onInvalid === 'skip' ? 'skip' : undefined);
    return { queued: parsed.events.length };
  }
  const result = await ingest
    .store(parsed.events, body.length, flow, options.since, options.onInvalid === 'skip' ? 'skip' : 'tell')
    .catch((error: unknown) => {
      throw error instanceof TidemarkError && error.errors ? inRequest(error, parsed) : error;
    });
  const { duplicateFlags } = result;
  if (duplicateFlags) await options.onDuplicates?.(parsed.events.filter((_, i) => duplicateFlags[i]));
  if (options.onInvalid === 'skip') return skipped(parsed, result, options);
  return { accepted: result.accepted, duplicates: result.duplicates };
}

/** What will be refused whatever the body says is refused before it is parsed: a flood has to cost little. */
async function refuseEarly(
  { ingest, limiter, tenants }: Services,
  caller: Caller,
  tenantId: string,
  bytes: number,
  { onLimited }: ReceiveOptions,
): Promise<void> {
  const limits = caller.limits ?? (await tenants.find(tenantId)).limits;
  // The key of a tenant has had its request counted at authentication.
  const request: Claim[] =
    caller.tenantId === null ? [{ tenantId, kind: 'requests', points: 1, perSecond: limits.requests }] : [];
  try {
    limiter.check([...request, { tenantId, kind: 'events', points: 1, perSecond: limits.events }]);
    ingest.requireRoom(1, bytes, tenantId);
    limiter.take(request);
  } finally {
    onLimited(tenantId, limits);
  }
}

/**
 * Counts the events for their tenants: for all of them, or, where one would exceed its limit, for none.
 *
 * @param tenantId the one tenant that all events are of; null: they may be of several, each of which has sent a
 * request.
 * @returns who waits for the writers. A request's events stay together, so one with events of several tenants waits
 * as its key does, beside the tenants and at the expense of none. A NUL keeps it apart: no tenant id has one.
 */
async function drawOnLimits(
  { ingest, limiter, tenants }: Services,
  caller: Caller,
  tenantId: string | null,
  events: UsageEvent[],
  bytes: number,
  { onLimited }: ReceiveOptions,
): Promise<string> {
  const counts = new Map<string, number>();
  if (tenantId !== null) counts.set(tenantId, events.length);
  else for (const event of events) counts.set(event.tenantId, (counts.get(event.tenantId) ?? 0) + 1);
  const claims: Claim[] = [];
  const [first] = counts.keys();
  const flow = counts.size === 1 ? first! : `\0${caller.keyId ?? 'admin'}`;
  let limits: TenantLimits | null = caller.limits;
  for (const [tenant, points] of counts) {
    limits = caller.limits ?? (await tenants.find(tenant)).limits;
    if (tenantId === null) {
      claims.push({ tenantId: tenant, kind: 'requests', points: 1, perSecond: limits.requests });
    }
    claims.push({ tenantId: tenant, kind: 'events', points, perSecond: limits.events });
  }
  try {
    ingest.requireRoom(events.length, bytes, flow);
    limiter.take(claims);
  } finally {
    if (counts.size === 1) onLimited(first!, limits!);
  }
  return flow;
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
/** A body that cannot be read is said to be one, whatever else is wrong with it. */
const OF_BODIES = ['invalid_encoding'] as const;

function refusal(faults: EventFault[]): TidemarkError {
  const code =
    [...OF_TENANTS, ...OF_BODIES].find((candidate) => faults.some((fault) => fault.code === candidate)) ??
    'invalid_events';
  const events = new Set(faults.map((fault) => fault.index)).size;
  return new TidemarkError(code, `${events} of the events cannot be accepted; nothing was stored`, {
    errors: faults,
  });
}

/** The indexes of the events that were written as those of the request. */
function inRequest(error: TidemarkError, { indexes }: ParsedEvents): TidemarkError {
  const errors = error.errors!.map((fault) => ({ ...fault, index: indexes[fault.index]! }));
  return new TidemarkError(error.code, error.message, { errors, cause: error.cause });
}

const NOTHING: WriteResult = { accepted: 0, duplicates: 0, duplicateFlags: null };

/** The verdicts, once it is known what the database refuses. */
function skipped(parsed: ParsedEvents, result: WriteResult, { onFaults }: ReceiveOptions): IngestAnswer {
  const refused = refusedFaults(parsed, result);
  if (refused.length > 0) onFaults(refused, null);
  if (refused.length === parsed.events.length) throw nothingValid(parsed, result);
  return verdicts(parsed, result);
}

/** With the verdicts on the events: a client that looks at the status alone must not take it for success. */
function nothingValid(parsed: ParsedEvents, result: WriteResult): TidemarkError {
  const errors = [...parsed.faults, ...refusedFaults(parsed, result)].sort((a, b) => a.index - b.index);
  return new TidemarkError(
    'invalid_events',
    `none of the ${parsed.total} events can be accepted; nothing was stored`,
    { errors, members: verdicts(parsed, result) },
  );
}

/** What the database refuses, by the positions in the request. */
function refusedFaults(parsed: ParsedEvents, { refused = [] }: WriteResult): EventFault[] {
  return refused.map((refusal) => ({ ...refusalFault(refusal), index: parsed.indexes[refusal.index]! }));
}

function verdicts(parsed: ParsedEvents, result: WriteResult): IngestAnswer {
  const results: NonNullable<IngestAnswer['results']> = new Array(parsed.total);
  for (const [i, index] of parsed.indexes.entries()) {
    results[index] = { index, status: result.duplicateFlags?.[i] ? 'duplicate' : 'accepted' };
  }
  const refused = result.refused ?? [];
  for (const { index } of refused) delete results[parsed.indexes[index]!];
  for (const fault of [...parsed.faults, ...refusedFaults(parsed, result)]) {
    results[fault.index] ??= { index: fault.index, status: 'invalid', errors: [] };
    results[fault.index]!.errors!.push(fault);
  }
  return {
    accepted: result.accepted,
    duplicates: result.duplicates,
    rejected: parsed.total - parsed.events.length + refused.length,
    results,
  };
}
