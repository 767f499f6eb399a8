import type { TenantDirectory } from '../../access/tenancy/tenantDirectory.ts';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import { isStorableText } from '../../model/text.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { rulesUnderKey } from '../events/dialects/increment.ts';
import { MAX_ID } from '../events/nativeEvent.ts';
import { parseEvents } from '../events/parseEvents.ts';
import { fallbackIds } from './fallbackId.ts';
import { formatOf } from './formatOf.ts';
import type { Rejection, SourceEntry } from './source.ts';

export interface EntryRules {
  /** The tenant of entries that name none; null: their events name their own. */
  tenantId: string | null;
  acceptAheadMs: number;
  acceptBehindMs: number;
  maxEvents: number;
  maxBytes: number;
}

/** What an entry holds, all of it valid. */
export interface AcceptedEntry {
  events: UsageEvent[];
  /** Whose they are, for the writers' queue. */
  flow: string;
  rejection?: never;
}

/**
 * The events of an entry, or why it is rejected: one fault rejects all of it.
 *
 * @param source its name.
 * @throws what the tenant directory throws: the database is away.
 */
export async function acceptEntry(
  entry: SourceEntry,
  rules: EntryRules,
  tenants: Pick<TenantDirectory, 'stateOf' | 'forget'>,
  source: string,
): Promise<AcceptedEntry | { rejection: Rejection }> {
  const tenantId = entry.tenantId ?? rules.tenantId;
  const parsed = parse(entry, tenantId, rules);
  if (parsed.rejection) return parsed;
  const named = new Set(parsed.events.map((event) => event.tenantId));
  for (const id of named) {
    const state = await surely(id, tenants);
    if (state !== 'active') return { rejection: ofTenant(state, id, parsed.events) };
  }
  const [first] = named;
  // A NUL keeps it apart from tenants: no tenant id has one.
  return { events: parsed.events, flow: named.size === 1 ? first! : `\0${source}` };
}

function parse(
  entry: SourceEntry,
  tenantId: string | null,
  rules: EntryRules,
): { events: UsageEvent[]; rejection?: never } | { rejection: Rejection } {
  if (entry.fault) return { rejection: entry.fault };
  if (entry.body.length > rules.maxBytes) {
    return { rejection: { code: 'body_too_large', message: `more than ${rules.maxBytes} bytes` } };
  }
  if (tenantId !== null && !isStorableText(tenantId)) {
    return { rejection: { code: 'tenant_unknown', message: 'there is no such tenant' } };
  }
  const key = entry.idempotencyKey;
  if (key !== null && (key.length > MAX_ID || !isStorableText(key))) {
    return {
      rejection: { code: 'invalid_request', message: `an Idempotency-Key has up to ${MAX_ID} characters` },
    };
  }
  const now = Date.now();
  const earliest = now - rules.acceptBehindMs;
  const latest = now + rules.acceptAheadMs;
  const { addedMs } = entry;
  const receivedMs = addedMs !== null && addedMs >= earliest && addedMs <= latest ? addedMs : now;
  try {
    const { events, faults } = parseEvents(
      entry.body,
      formatOf(entry),
      {
        tenantId,
        earliestMicros: earliest * 1_000,
        latestMicros: latest * 1_000,
        receivedMicros: receivedMs * 1_000,
        ...(key === null ? { fallbackId: fallbackIds(entry) } : rulesUnderKey(key)),
      },
      rules.maxEvents,
    );
    return faults.length > 0 ? { rejection: ofFaults(faults) } : { events };
  } catch (error) {
    // Whatever it is, it would be the same the next time.
    const known = error instanceof TidemarkError;
    return {
      rejection: { code: known ? error.code : 'internal', message: (error as Error).message },
    };
  }
}

function ofFaults(faults: EventFault[]): Rejection {
  const { code, pointer, index, message } = faults[0]!;
  return { code, message: `event ${index}, ${pointer || 'as a whole'}: ${message}`, faults };
}

/** An entry is given up for good, so a tenant made a moment ago must not pass for unknown. */
async function surely(tenantId: string, tenants: Pick<TenantDirectory, 'stateOf' | 'forget'>) {
  const state = await tenants.stateOf(tenantId);
  if (state === 'active') return state;
  tenants.forget(tenantId);
  return tenants.stateOf(tenantId);
}

function ofTenant(state: 'inactive' | 'unknown', id: string, events: UsageEvent[]): Rejection {
  const code = state === 'inactive' ? 'tenant_inactive' : 'tenant_unknown';
  const message = state === 'inactive' ? 'the tenant is inactive' : 'there is no such tenant';
  const index = events.findIndex((event) => event.tenantId === id);
  return { code, message, faults: [{ index, pointer: '/tenantId', code, message }] };
}
