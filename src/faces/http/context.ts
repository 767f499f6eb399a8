import type { Context } from 'hono';
import type { Actor } from '../../access/tenancy/auditLog.ts';
import { contextFor, requireScope, type Scope } from '../../access/tenancy/caller.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { actorOf } from './actor.ts';
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

/**
 * For a change of a tenant's settings: the tenant context as above, of a key with the scope `admin`, and who makes the
 * change, for the audit log.
 */
export async function administer(
  c: Context<AppEnv>,
  services: Services,
): Promise<{ context: TenantContext; actor: Actor }> {
  return { context: await tenantOf(c, services, 'admin'), actor: actorOf(c, services) };
}
