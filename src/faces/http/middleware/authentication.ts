import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../appEnv.ts';
import { clientAddress, countedAddress } from '../clientAddress.ts';
import { requestHeader } from '../nodeHttp.ts';
import type { Services } from '../services.ts';
import { limitRequest } from '../tenantLimiting.ts';

/**
 * Every path below must be called with a key. The key of a tenant has its requests counted here, others where they
 * name a tenant.
 */
export function authentication({
  authenticator,
  trustedProxies,
  limiter,
}: Pick<Services, 'authenticator' | 'trustedProxies' | 'limiter'>) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const address = () => countedAddress(clientAddress(c, trustedProxies));
    const caller = await authenticator.authenticate(requestHeader(c, 'authorization'), address);
    c.set('caller', caller);
    if (caller.tenantId !== null) limitRequest(c, limiter, caller.tenantId, caller.limits!);
    await next();
  });
}
