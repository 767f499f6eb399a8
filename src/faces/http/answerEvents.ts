import type { Context } from 'hono';
import { requireScope } from '../../access/tenancy/caller.ts';
import type { EventFormat } from '../../intake/events/parseEvents.ts';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import type { AppEnv } from './appEnv.ts';
import { OnInvalid } from './ingestSchemas.ts';
import { requestedTenant, requestHeader } from './nodeHttp.ts';
import { readBody } from './readBody.ts';
import { type ReceiveOptions, receiveEvents } from './receiveEvents.ts';
import type { Services } from './services.ts';
import { tellLimits } from './tenantLimiting.ts';

/**
 * Takes the events of a request, in whatever dialect, and answers what became of them.
 *
 * @param readFormat says how the body is to be read, from the headers.
 * @throws {TidemarkError} `scope_missing`, `invalid_request`; what `readFormat`, `readBody` and `receiveEvents` throw.
 */
export async function answerEvents(
  c: Context<AppEnv>,
  services: Services,
  readFormat: (c: Context<AppEnv>) => EventFormat,
  own: Pick<ReceiveOptions, 'rules' | 'onDuplicates'> = {},
): Promise<Response> {
  const caller = c.get('caller');
  requireScope(caller, 'ingest');
  const onInvalid = OnInvalid.safeParse(c.req.query('onInvalid') ?? 'reject');
  if (!onInvalid.success) throw new TidemarkError('invalid_request', 'onInvalid may be reject or skip');
  const format = readFormat(c);
  const reading = Date.now();
  const body = await readBody(c, services.config.http.maxBodyBytes);
  const onFaults = (faults: EventFault[], tenantId: string | null) => {
    const { keyId } = caller;
    services.rejectedEvents.count('http', faults, { requestId: c.get('requestId'), tenantId, keyId });
  };
  const answer = await receiveEvents(services, caller, requestedTenant(c), body, {
    ...own,
    format,
    onInvalid: onInvalid.data,
    since: c.get('arrivedAt') + (Date.now() - reading), // the time its body took is the client's
    onLimited(tenantId, limits) {
      c.set('tenantId', tenantId);
      tellLimits(c, services.limiter, tenantId, limits);
    },
    onFaults,
    async: /(^|,)\s*respond-async\s*(,|;|$)/i.test(requestHeader(c, 'prefer') ?? ''),
  }).catch((error: unknown) => {
    if (error instanceof TidemarkError && error.code === 'event_rejected_by_database') {
      const fault = { index: 0, pointer: '', code: error.code, message: error.message };
      onFaults(error.errors ?? [fault], c.get('tenantId') ?? caller.tenantId);
    }
    throw error;
  });
  if (!('queued' in answer)) return c.json(answer, 200);
  c.header('Preference-Applied', 'respond-async');
  return c.json(answer, 202);
}
