import type { Context } from 'hono';
import { mayReadMeter, type PortalCaller, portalContext } from '../../access/tenancy/portalCaller.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { TidemarkError } from '../../model/errors.ts';
import { findLiveMeter, type Meter, noSuchMeter } from '../../sums/meters/catalog/meter.ts';
import { SLUG } from '../../sums/meters/catalog/newMeter.ts';
import type { AppEnv } from './appEnv.ts';
import { requestedTenant } from './nodeHttp.ts';
import type { Services } from './services.ts';

/** Whether a path is for portal tokens, and for nothing else. */
export function isPortalPath(path: string): boolean {
  return path === '/v1/portal' || path.startsWith('/v1/portal/') || path.startsWith('/api/v1/portal/meters/');
}

/** Who asks with a portal token, and the context of its tenant. @throws {TidemarkError} `unauthenticated`, `tenant_mismatch`. */
export function portalOf(c: Context<AppEnv>): { caller: PortalCaller; context: TenantContext } {
  const caller = c.get('portal');
  if (caller === undefined) throw new TidemarkError('unauthenticated', 'this is for portal tokens');
  return { caller, context: portalContext(caller, requestedTenant(c)) };
}

/**
 * A live meter that the caller may read, by its slug.
 *
 * @throws {TidemarkError} `not_found`, the same for one that it may not read, that is archived and that there never was.
 */
export async function findPortalMeter(
  services: Pick<Services, 'reads'>,
  { caller, context }: { caller: PortalCaller; context: TenantContext },
  slug: string,
): Promise<Meter> {
  if (!SLUG.test(slug) || !mayReadMeter(caller, slug)) throw noSuchMeter();
  return findLiveMeter(services.reads.as(context), context.tenantId, slug);
}
