import { contextFor, requireScope } from '../../../../access/tenancy/caller.ts';
import { createKey, endOfKey } from '../../../../access/tenancy/keys.ts';
import { TidemarkError } from '../../../../model/errors.ts';
import { actorOf } from '../../actor.ts';
import type { App } from '../../appEnv.ts';
import { requestedTenant } from '../../nodeHttp.ts';
import type { Services } from '../../services.ts';
import { jsonAnswer } from '../answers.ts';

/** How long a session is good for, and how long at least one that is handed out again, in ms. */
const SESSION_MS = 15 * 60_000;
const LEFT_MS = 5 * 60_000;
/** Callers whose session is remembered. */
const MOST_REMEMBERED = 1_000;

interface Session {
  id: string;
  authentication_token: string;
  created: number;
  expires: number;
}

/**
 * Sessions for the stream: a key of the caller's tenant that may do nothing but send events, and ends by itself, not
 * later than the caller's own: it can ask for sessions too. Callers that ask again soon get the same, so that keys do
 * not pile up.
 */
export function sessionRoutes(app: App, services: Services): void {
  const { admin, tenants } = services;
  const sessions = new Map<string, Session>();
  app.post('/v2/billing/meter_event_session', async (c) => {
    const caller = c.get('caller');
    requireScope(caller, 'ingest');
    const { tenantId } = await contextFor(caller, requestedTenant(c), tenants);
    const whose = JSON.stringify([caller.keyId, tenantId]);
    const now = Date.now();
    const ends = caller.keyId === null ? null : await endOfKey(admin, caller.keyId);
    if (ends === undefined) throw new TidemarkError('key_revoked', 'the key has been revoked');
    let session = sessions.get(whose);
    const lasts = session && (session.expires - now >= LEFT_MS || session.expires === ends);
    if (!session || !lasts || (await endOfKey(admin, session.id)) === undefined) {
      const expires = Math.min(now + SESSION_MS, ends ?? Number.POSITIVE_INFINITY);
      const wanted = { tenantId, scopes: ['ingest' as const], expiresAt: new Date(expires) };
      const { id, key } = await createKey(admin, wanted, actorOf(c, services));
      session = { id, authentication_token: key, created: now, expires };
      if (sessions.size >= MOST_REMEMBERED) sessions.clear();
      sessions.set(whose, session);
    }
    const { id, authentication_token, created, expires } = session;
    return jsonAnswer(c, {
      object: 'v2.billing.meter_event_session',
      id,
      authentication_token,
      created: new Date(created).toISOString(),
      expires_at: new Date(expires).toISOString(),
      livemode: true,
    });
  });
}
