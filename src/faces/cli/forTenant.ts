import type pg from 'pg';
import { type TenantContext, tenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Config } from '../../ground/config/loadConfig.ts';
import { requireTenant } from './requireTenant.ts';
import { withSchema } from './withSchema.ts';

/**
 * Works on what is of a tenant.
 *
 * @throws {StartupError} where there is no such tenant.
 */
export function forTenant<Result>(
  tenantId: string,
  work: (client: pg.Client, context: TenantContext, config: Config, url: string) => Promise<Result>,
): Promise<Result> {
  return withSchema('admin', async (client, config, url) => {
    await requireTenant(client, tenantId);
    return work(client, tenantContext(tenantId), config, url);
  });
}
