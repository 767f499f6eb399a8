import { type Client, Refused } from './client.ts';
import type { SeedTenant } from './readSeeds.ts';

/*
 * What seeds give a tenant, over HTTP. Each is done once: what a user has changed, or taken away, since then stays so.
 */

/** For a platform key. Values of fields are bytes; the service reads them as UTF-8. */
const actingFor = (tenantId: string) => ({ 'x-tenant-id': Buffer.from(tenantId).toString('latin1') });

/**
 * Makes the tenant where there is none, and its alert rules and meters for as long as it has no customer. So a run that was killed
 * between the two is made up for, and one that somebody has taken away later is not made again.
 *
 * @throws {Refused}
 */
export async function loadTenant(admin: Client, { id, name, alertRules, meters }: SeedTenant): Promise<void> {
  await admin.call('POST', '/v1/tenants', { id, name }).catch((error) => {
    if (!(error instanceof Refused && error.status === 409)) throw error;
  });
  const headers = actingFor(id);
  const customers = await admin.call<{ data: unknown[] }>('GET', '/v1/customers?limit=1', undefined, headers);
  if (customers.data.length > 0) return;
  const ruleNames = async () => {
    const rules = await admin.list<{ name: string | null }>('/v1/alert-rules?limit=100', headers);
    return new Set(rules.map(({ name }) => name));
  };
  const there = await ruleNames();
  for (const rule of alertRules) {
    if (there.has(rule.name)) continue;
    const made = async () => (await ruleNames()).has(rule.name);
    await admin.call('POST', '/v1/alert-rules', rule, headers, made);
  }
  for (const meter of meters) {
    await admin.call('POST', '/v1/meters', meter, headers).catch((error) => {
      if (!(error instanceof Refused && error.status === 409)) throw error;
    });
  }
}

/**
 * Names the customers that have come with the traffic and were never named.
 *
 * @throws {Refused}
 */
export async function nameCustomers(admin: Client, { id, customers }: SeedTenant): Promise<void> {
  const headers = actingFor(id);
  const names = new Map(customers.map((customer) => [customer.id, customer.name]));
  const there = await admin.list<{
    customerId: string;
    name: string | null;
    createdAt: string;
    updatedAt: string;
  }>('/v1/customers?limit=1000', headers);
  for (const customer of there) {
    const name = names.get(customer.customerId) ?? null;
    const untouched = customer.name === null && customer.updatedAt === customer.createdAt;
    if (name === null || !untouched) continue;
    await admin.call('PATCH', `/v1/customers/${encodeURIComponent(customer.customerId)}`, { name }, headers);
  }
}
