import type { Claim, TenantLimits } from '../../access/limits/rateLimiter.ts';
import { type Caller, contextFor } from '../../access/tenancy/caller.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { BackfillScope } from '../../intake/backfills/backfill.ts';
import { outsideScope } from '../../intake/backfills/stageEvents.ts';
import { voidedAmong } from '../../intake/corrections/voidedAmong.ts';
import type { EventRules } from '../../intake/events/finishEvent.ts';
import { type EventFormat, type ParsedEvents, parseEvents } from '../../intake/events/parseEvents.ts';
import type { WriteResult } from '../../intake/ingest/ingest.ts';
import { refusalFault } from '../../intake/ingest/writeFailures.ts';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import type { Services } from './services.ts';
import { isLimited } from './tenantLimiting.ts';

/** How events are read, and who is told of what. */
export interface ReadOptions {
  format: EventFormat;
  onInvalid: 'reject' | 'skip';
  /** Told of the one tenant whose limits have been drawn on, each time. */
  onLimited(tenantId: string, limits: TenantLimits): void;
  /** Told of what is wrong with events, whether their neighbours are stored or not. @param tenantId null: several. */
  onFaults(faults: EventFault[], tenantId: string | null): void;
  /** Of the rules, what this route has of its own. */
  rules?: Pick<EventRules, 'fallbackId' | 'idempotent'>;
  /** What the events are to be like where they are staged. Left out: they count. */
  scope?: BackfillScope;
}

export interface ReceiveOptions extends ReadOptions {
  /** Answer as soon as the events are queued. */
  async: boolean;
  /** When its deadline began, in ms since the epoch. */
  since: number;
  /**
   * Told of the events that turned out to be stored already, and of their places in the request; it fails with what this
   * rejects with.
   */
  onDuplicates?(events: UsageEvent[], indexes: number[]): Promise<unknown>;
  /** The backfill that they are staged for. Left out: they count. */
  backfill?: string;
}

export interface IngestAnswer {
  accepted: number;
  duplicates: number;
  rejected?: number;
  results?: EventVerdict[];
  /** Duplicates of events that are void, which are not counted either. Left out: none. */
  voided?: number;
  /** Left out: none. */
  unrecognisedUsage?: number;
}

interface EventVerdict {
  index: number;
  status: 'accepted' | 'duplicate' | 'invalid';
  errors?: EventFault[];
  /** Of a duplicate: the event is void. */
  voided?: true;
  /** Of its usage object, where it does not count all it should: what is known of it is stored. */
  usageStatus?: 'unknown' | 'unrecognised';
}

export interface StagedAnswer extends Omit<IngestAnswer, 'accepted' | 'voided'> {
  staged: number;
}

export interface QueuedAnswer {
  queued: number;
  unrecognisedUsage?: number;
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
): Promise<IngestAnswer | QueuedAnswer | StagedAnswer> {
  const { ingest, tenants } = services;
  const context =
    caller.tenantId !== null || tenantId !== undefined || options.backfill !== undefined
      ? await contextFor(caller, tenantId, tenants)
      : null;
  if (context !== null && options.backfill !== undefined) {
    options.scope = await services.backfills.scope(context, options.backfill);
  }
  let queue: Queue;
  if (context !== null) {
    const limits = caller.limits ?? (await tenants.find(context.tenantId)).limits;
    queue = readOwnEvents(services, caller, { tenantId: context.tenantId, limits }, body, options);
  } else {
    const parsed = parse(services, null, body, options);
    await checkTenants(services, parsed);
    assertValid(parsed, null, options);
    queue = { parsed, flow: await drawOnLimitsOfAll(services, caller, parsed.events, body.length, options) };
  }
  const { parsed, flow } = queue;
  if (context !== null && options.backfill !== undefined) {
    return stage(services, context, options.backfill, parsed, options);
  }
  if (options.async) {
    ingest.storeLater(parsed.events, body.length, flow, options.onInvalid === 'skip' ? 'skip' : undefined);
    return withUsage({ queued: parsed.events.length }, parsed);
  }
  const result = await ingest
    .store(parsed.events, body.length, flow, options.since, options.onInvalid === 'skip' ? 'skip' : 'tell')
    .catch((error: unknown) => {
      throw inRequest(error, parsed);
    });
  const { duplicateFlags } = result;
  const voided = await voidedOf(services, parsed, result);
  if (duplicateFlags) {
    const isDuplicate = (_: unknown, i: number) => duplicateFlags[i]!;
    await options.onDuplicates?.(parsed.events.filter(isDuplicate), parsed.indexes.filter(isDuplicate));
  }
  if (options.onInvalid === 'skip') return skipped(parsed, result, voided, options);
  const { accepted, duplicates } = result;
  return withUsage(withVoided({ accepted, duplicates }, voided), parsed);
}

/** Stores events that do not count yet, in place of the writers. */
async function stage(
  { backfills }: Services,
  context: TenantContext,
  backfill: string,
  parsed: ParsedEvents,
  { onInvalid }: ReceiveOptions,
): Promise<StagedAnswer> {
  const { ids, staged, duplicates } = await backfills.stage(context, backfill, parsed.events);
  const answer = { staged, duplicates };
  if (onInvalid !== 'skip') return withUsage(answer, parsed);
  const duplicateFlags = parsed.events.map(({ eventId }) => !ids.delete(eventId));
  const { accepted, ...rest } = verdicts(
    parsed,
    { accepted: staged, duplicates, duplicateFlags },
    NONE_VOIDED,
  );
  return { staged: accepted, ...rest };
}

/** The events of a request that were stored before, and are void. Asked where there are duplicates. */
export async function voidedOf(
  { reads }: Pick<Services, 'reads'>,
  { events }: ParsedEvents,
  { duplicateFlags }: WriteResult,
): Promise<ReadonlySet<UsageEvent>> {
  if (!duplicateFlags) return NONE_VOIDED;
  return voidedAmong(
    reads,
    events.filter((_, i) => duplicateFlags[i]),
  );
}

const NONE_VOIDED: ReadonlySet<UsageEvent> = new Set();

function withVoided(answer: IngestAnswer, voided: ReadonlySet<UsageEvent>): IngestAnswer {
  return voided.size === 0 ? answer : { ...answer, voided: voided.size };
}

/** The answer, which tells of usage objects that nobody can read where there are any. */
function withUsage<Answer extends IngestAnswer | QueuedAnswer | StagedAnswer>(
  answer: Answer,
  parsed: ParsedEvents,
): Answer {
  const unrecognisedUsage = unrecognisedUsageIn(parsed);
  return unrecognisedUsage === 0 ? answer : { ...answer, unrecognisedUsage };
}

/** How many valid events have a usage object of which nobody can tell what it says. */
export function unrecognisedUsageIn({ events }: ParsedEvents): number {
  let count = 0;
  for (const { aiUsage } of events) if (aiUsage?.status === 'unrecognised') count++;
  return count;
}

/** Events that may be stored, and who waits for the writers. */
interface Queue {
  parsed: ParsedEvents;
  flow: string;
}

/** The one tenant that all events of a request are of. */
export interface OwnTenant {
  tenantId: string;
  limits: TenantLimits;
}

/**
 * Reads the events of a request of one tenant, and counts them.
 *
 * @throws {TidemarkError} as `receiveEvents` does, but for what `contextFor` and `Ingest.store` throw.
 */
export function readOwnEvents(
  services: Services,
  caller: Caller,
  tenant: OwnTenant,
  body: Buffer,
  options: ReadOptions,
): Queue {
  refuseEarly(services, caller, tenant, body.length, options);
  const parsed = parse(services, tenant.tenantId, body, options);
  assertValid(parsed, tenant.tenantId, options);
  drawOnLimits(services, tenant, parsed.events.length, body.length, options);
  return { parsed, flow: tenant.tenantId };
}

function parse(
  services: Services,
  tenantId: string | null,
  body: Buffer,
  { format, rules: own, scope }: ReadOptions,
): ParsedEvents {
  const rules = eventRules(services, tenantId, own);
  const { maxEventsPerRequest } = services.config.ingest;
  if (!scope) return parseEvents(body, format, rules, maxEventsPerRequest);
  // As old as the backfill has it.
  const parsed = parseEvents(body, format, { ...rules, earliestMicros: Number.NaN }, maxEventsPerRequest);
  return withoutOutside(parsed, format, scope);
}

/** Where a dialect has what is outside of a backfill: JSON pointers. */
const POINTERS = {
  native: { timestamp: '/timestamp', customer: '/customerId' },
  cloudevents: { timestamp: '/time', customer: '/subject' },
};

/** Drops the events that are not a backfill's, each with its faults. */
function withoutOutside(parsed: ParsedEvents, { dialect }: EventFormat, scope: BackfillScope): ParsedEvents {
  const pointers = POINTERS[dialect === 'cloudevents' ? 'cloudevents' : 'native'];
  const faults = parsed.events.map((event) => outsideScope(event, scope));
  if (faults.every(({ length }) => length === 0)) return parsed;
  const outside = faults.flatMap((of, i) =>
    of.map(({ of: what, ...fault }) => ({ index: parsed.indexes[i]!, pointer: pointers[what], ...fault })),
  );
  return {
    ...parsed,
    faults: [...parsed.faults, ...outside].sort((a, b) => a.index - b.index),
    events: parsed.events.filter((_, i) => faults[i]!.length === 0),
    indexes: parsed.indexes.filter((_, i) => faults[i]!.length === 0),
  };
}

/** What events that come now are checked against. @param tenantId null: each names its own. */
export function eventRules(
  { config }: Pick<Services, 'config'>,
  tenantId: string | null,
  own?: ReadOptions['rules'],
) {
  const now = Date.now();
  return {
    tenantId,
    earliestMicros: (now - config.ingest.acceptBehindMs) * 1_000,
    latestMicros: (now + config.ingest.acceptAheadMs) * 1_000,
    receivedMicros: now * 1_000,
    fallbackId: own?.fallbackId,
    idempotent: own?.idempotent,
  };
}

/** @throws {TidemarkError} where faults, or nothing but faults, refuse the request. */
function assertValid(parsed: ParsedEvents, tenantId: string | null, options: ReadOptions): void {
  if (parsed.faults.length > 0) options.onFaults(parsed.faults, tenantId);
  if (parsed.faults.length > 0 && options.onInvalid === 'reject') throw refusal(parsed.faults);
  if (parsed.events.length === 0) throw nothingValid(parsed, NOTHING);
}

/**
 * What will be refused whatever the body says is refused before it is parsed: a flood has to cost little.
 *
 * @throws {TidemarkError} `too_many_requests`, and what `Ingest.requireRoom` throws.
 */
export function refuseEarly(
  { ingest, limiter }: Services,
  caller: Caller,
  { tenantId, limits }: OwnTenant,
  bytes: number,
  options: Pick<ReadOptions, 'onLimited'>,
): void {
  try {
    if (!isLimited(limits)) {
      ingest.requireRoom(1, bytes, tenantId);
      return;
    }
    // The key of a tenant has had its request counted at authentication.
    const request: Claim[] =
      caller.tenantId === null ? [{ tenantId, kind: 'requests', points: 1, perSecond: limits.requests }] : [];
    limiter.check([...request, { tenantId, kind: 'events', points: 1, perSecond: limits.events }]);
    ingest.requireRoom(1, bytes, tenantId);
    limiter.take(request);
  } finally {
    options.onLimited(tenantId, limits);
  }
}

/** Counts the events of one tenant. @throws {TidemarkError} as above. */
export function drawOnLimits(
  { ingest, limiter }: Services,
  { tenantId, limits }: OwnTenant,
  events: number,
  bytes: number,
  options: Pick<ReadOptions, 'onLimited'>,
): void {
  try {
    ingest.requireRoom(events, bytes, tenantId);
    if (limits.events > 0) {
      limiter.take([{ tenantId, kind: 'events', points: events, perSecond: limits.events }]);
    }
  } finally {
    options.onLimited(tenantId, limits);
  }
}

/**
 * Counts events that may be of several tenants, each of which has sent a request: for all of them, or, where one would
 * exceed its limit, for none.
 *
 * @returns who waits for the writers. A request's events stay together, so one with events of several tenants waits
 * as its key does, beside the tenants and at the expense of none. A NUL keeps it apart: no tenant id has one.
 */
async function drawOnLimitsOfAll(
  { ingest, limiter, tenants }: Services,
  caller: Caller,
  events: UsageEvent[],
  bytes: number,
  options: ReadOptions,
): Promise<string> {
  const counts = new Map<string, number>();
  for (const event of events) counts.set(event.tenantId, (counts.get(event.tenantId) ?? 0) + 1);
  const claims: Claim[] = [];
  const [first] = counts.keys();
  const flow = counts.size === 1 ? first! : `\0${caller.keyId ?? 'admin'}`;
  let limits: TenantLimits | null = caller.limits;
  for (const [tenantId, points] of counts) {
    limits = caller.limits ?? (await tenants.find(tenantId)).limits;
    claims.push({ tenantId, kind: 'requests', points: 1, perSecond: limits.requests });
    claims.push({ tenantId, kind: 'events', points, perSecond: limits.events });
  }
  try {
    ingest.requireRoom(events.length, bytes, flow);
    limiter.take(claims);
  } finally {
    if (counts.size === 1) options.onLimited(first!, limits!);
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

/** What `Ingest.store` has thrown, with the indexes of the events that were written as those of the request. */
export function inRequest(error: unknown, { indexes }: ParsedEvents): unknown {
  if (!(error instanceof TidemarkError && error.errors)) return error;
  const errors = error.errors.map((fault) => ({ ...fault, index: indexes[fault.index]! }));
  return new TidemarkError(error.code, error.message, { errors, cause: error.cause });
}

const NOTHING: WriteResult = { accepted: 0, duplicates: 0, duplicateFlags: null };

/** The verdicts, once it is known what the database refuses. */
function skipped(
  parsed: ParsedEvents,
  result: WriteResult,
  voided: ReadonlySet<UsageEvent>,
  { onFaults }: ReceiveOptions,
): IngestAnswer {
  const refused = refusedFaults(parsed, result);
  if (refused.length > 0) onFaults(refused, null);
  if (refused.length === parsed.events.length) throw nothingValid(parsed, result);
  return verdicts(parsed, result, voided);
}

/** With the verdicts on the events: a client that looks at the status alone must not take it for success. */
function nothingValid(parsed: ParsedEvents, result: WriteResult): TidemarkError {
  const errors = [...parsed.faults, ...refusedFaults(parsed, result)].sort((a, b) => a.index - b.index);
  return new TidemarkError(
    'invalid_events',
    `none of the ${parsed.total} events can be accepted; nothing was stored`,
    { errors, members: verdicts(parsed, result, NONE_VOIDED) },
  );
}

/** What the database refuses, by the positions in the request. */
function refusedFaults(parsed: ParsedEvents, { refused = [] }: WriteResult): EventFault[] {
  return refused.map((refusal) => ({ ...refusalFault(refusal), index: parsed.indexes[refusal.index]! }));
}

function verdicts(parsed: ParsedEvents, result: WriteResult, voided: ReadonlySet<UsageEvent>): IngestAnswer {
  const results: NonNullable<IngestAnswer['results']> = new Array(parsed.total);
  for (const [i, index] of parsed.indexes.entries()) {
    const status = result.duplicateFlags?.[i] ? 'duplicate' : 'accepted';
    const event = parsed.events[i]!;
    const usageStatus = event.aiUsage?.status ?? 'counted';
    const verdict: EventVerdict = voided.has(event) ? { index, status, voided: true } : { index, status };
    results[index] = usageStatus === 'counted' ? verdict : { ...verdict, usageStatus };
  }
  const refused = result.refused ?? [];
  for (const { index } of refused) delete results[parsed.indexes[index]!];
  for (const fault of [...parsed.faults, ...refusedFaults(parsed, result)]) {
    results[fault.index] ??= { index: fault.index, status: 'invalid', errors: [] };
    results[fault.index]!.errors!.push(fault);
  }
  const rejected = parsed.total - parsed.events.length + refused.length;
  const { accepted, duplicates } = result;
  return withUsage(withVoided({ accepted, duplicates, rejected, results }, voided), parsed);
}
