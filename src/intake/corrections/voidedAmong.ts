import type { TenantReads } from '../../ground/db/tenantReads.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';

/** Those of some events, which turned out to be stored before, that are void: a retry of one is no more counted than it. */
export async function voidedAmong(
  reads: TenantReads,
  duplicates: readonly UsageEvent[],
): Promise<Set<UsageEvent>> {
  const voided = new Set<UsageEvent>();
  const tenants = new Map<string, UsageEvent[]>();
  for (const event of duplicates) {
    const others = tenants.get(event.tenantId);
    if (others) others.push(event);
    else tenants.set(event.tenantId, [event]);
  }
  for (const [tenantId, events] of tenants) {
    const { rows } = await reads.as({ tenantId }).query<{ event_id: string }>({
      name: 'void events',
      text: `select event_id from tenant_data.uncounted_event
             where tenant_id = $1 and event_id = any ($2::uuid[]) and state = 'voided'`,
      values: [tenantId, events.map(({ eventId }) => eventId)],
    });
    const ids = new Set(rows.map(({ event_id }) => event_id));
    for (const event of events) if (ids.has(event.eventId)) voided.add(event);
  }
  return voided;
}
