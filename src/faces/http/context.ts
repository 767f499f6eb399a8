import type { Context } from 'hono';
import { contextFor, requireScope, type Scope } from '../../access/tenancy/caller.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { AppEnv } from './appEnv.ts';
import { requestedTenant } from './nodeHttp.ts';
import type { Services } from './services.ts';
import { limitRequest } from './tenantLimiting.ts';

/**
 * The tenant context of a request, once its key has shown the scope.
 *
 * @throws {TidemarkError} `scope_missing`, `too_many_requests` and what `contextFor` throws.
 */
export async function tenantOf(c: Context<AppEnv>, services: Services, scope: Scope): Promise<TenantContext> {
  const caller = c.get('caller');
  requireScope(caller, scope);
  const context = await contextFor(caller, requestedTenant(c), services.tenants);
  if (caller.tenantId === null) {
    const { tenantId } = context;
    c.set('tenantId', tenantId);
    limitRequest(c, services.limiter, tenantId, (await services.tenants.find(tenantId)).limits);
  }
  return context;
}
