import { createRateLimiter } from '../../access/limits/createRateLimiter.ts';
import type { RateLimiter } from '../../access/limits/rateLimiter.ts';
import { Authenticator } from '../../access/tenancy/authenticator.ts';
import { PortalAuthenticator } from '../../access/tenancy/portalAuthenticator.ts';
import { TenantDirectory } from '../../access/tenancy/tenantDirectory.ts';
import { WrongKeys } from '../../access/tenancy/wrongKeys.ts';
import type { Ground } from './wireGround.ts';

/** Who may do what, and how much of it. */
export interface Access {
  tenants: TenantDirectory;
  authenticator: Authenticator;
  portalAuthenticator: PortalAuthenticator;
  wrongKeys: WrongKeys;
  limiter: RateLimiter;
}

export function wireAccess({ config, log, registry, lookups }: Ground): Access {
  const adminKeys = [config.adminKey, config.previousAdminKey].filter((key) => key !== undefined);
  const wrongKeys = new WrongKeys(config.http.authFailuresPerMinute, registry);
  const common = {
    db: lookups,
    wrongKeys,
    limits: config.limits,
    waitMs: config.database.connectTimeoutMs,
  };
  return {
    wrongKeys,
    tenants: new TenantDirectory(lookups, config.limits),
    authenticator: new Authenticator({ ...common, adminKeys }),
    portalAuthenticator: new PortalAuthenticator(common),
    limiter: createRateLimiter(config.limits, registry, (healthy, cause) =>
      healthy
        ? log.info('rate limits are shared')
        : log.warn({ err: cause }, 'rate limits are of this instance alone: Redis is away'),
    ),
  };
}
