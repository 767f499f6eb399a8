import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../appEnv.ts';
import { clientAddress, countedAddress } from '../clientAddress.ts';
import { requestHeader } from '../nodeHttp.ts';
import { isPortalPath } from '../portal.ts';
import type { Services } from '../services.ts';
import { limitRequest } from '../tenantLimiting.ts';

/**
 * Every path below must be called with a key, those of the portal with a portal token. The key of a tenant has its
 * requests counted here, as a token has for its tenant; others where they name a tenant.
 */
export function authentication({
  authenticator,
  portalAuthenticator,
  trustedProxies,
  limiter,
}: Pick<Services, 'authenticator' | 'portalAuthenticator' | 'trustedProxies' | 'limiter'>) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const address = () => countedAddress(clientAddress(c, trustedProxies));
    const header = requestHeader(c, 'authorization');
    if (isPortalPath(c.req.path)) {
      const caller = await portalAuthenticator.authenticate(header, address);
      c.set('portal', caller);
      c.set('tenantId', caller.tenantId);
      limitRequest(c, limiter, caller.tenantId, caller.limits);
      return next();
    }
    const caller = await authenticator.authenticate(header, address);
    c.set('caller', caller);
    if (caller.tenantId !== null) limitRequest(c, limiter, caller.tenantId, caller.limits!);
    await next();
  });
}
