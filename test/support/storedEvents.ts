import type { TestService } from './service.ts';

/**
 * How many events of the tenant $1 are known by their ids, and how many ids more are known than there are events of all
 * tenants: together how many identities there are, if none is of an event that is not stored.
 */
export const IDENTITIES = `
  (select count(*) filter (where tenant_id = $1 and known_event(tenant_id, event_id)) + (select count(*) from counted_key)
     - count(distinct (tenant_id, event_id)) from event)::int`;

/** How often each event of a tenant is stored, by its id. */
export async function storedEvents(t: TestService, tenantId: string): Promise<Map<string, number>> {
  const { rows } = await t.sql.query(
    'select event_id, count(*)::int as n from event where tenant_id = $1 group by event_id',
    [tenantId],
  );
  return new Map(rows.map((row) => [row.event_id, row.n]));
}

/** The calls of all days, as the tenant of a key is told. */
export async function callsCounted(t: TestService, key: string): Promise<number> {
  const { body } = await t.call('GET', '/v1/usage?granularity=1d', { key });
  return body.data.reduce((sum: number, point: { calls: number }) => sum + point.calls, 0);
}
