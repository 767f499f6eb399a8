import type { Context } from 'hono';
import type { Actor } from '../../access/tenancy/auditLog.ts';
import type { AppEnv } from './appEnv.ts';
import { clientAddress } from './clientAddress.ts';
import type { Services } from './services.ts';

/** Who makes this request, for the audit log. */
export function actorOf(c: Context<AppEnv>, services: Pick<Services, 'trustedProxies'>): Actor {
  const { keyId, tenantId } = c.get('caller');
  return {
    kind: keyId === null ? 'admin_key' : 'key',
    keyId,
    tenantId,
    requestId: c.get('requestId'),
    clientAddress: clientAddress(c, services.trustedProxies),
  };
}
