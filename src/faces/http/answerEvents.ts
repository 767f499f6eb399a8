import type { Context } from 'hono';
import { requireScope } from '../../access/tenancy/caller.ts';
import type { EventFormat } from '../../intake/events/parseEvents.ts';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import type { AppEnv } from './appEnv.ts';
import { OnInvalid } from './ingestSchemas.ts';
import { requestedTenant, requestHeader } from './nodeHttp.ts';
import { readBody } from './readBody.ts';
import {
  type IngestAnswer,
  type QueuedAnswer,
  type ReceiveOptions,
  receiveEvents,
  type StagedAnswer,
} from './receiveEvents.ts';
import type { Services } from './services.ts';
import { tellLimits } from './tenantLimiting.ts';

/**
 * Takes the events of a request, in whatever dialect, and answers what became of them.
 *
 * @param readFormat says how the body is to be read, from the headers.
 * @throws {TidemarkError} `invalid_request`; what `readFormat`, `bodyOfEvents` and `storeEvents` throw.
 */
export async function answerEvents(
  c: Context<AppEnv>,
  services: Services,
  readFormat: (c: Context<AppEnv>) => EventFormat,
  own: Pick<ReceiveOptions, 'rules' | 'onDuplicates' | 'backfill'> = {},
): Promise<Response> {
  requireScope(c.get('caller'), 'ingest');
  const onInvalid = OnInvalid.safeParse(c.req.query('onInvalid') ?? 'reject');
  if (!onInvalid.success) throw new TidemarkError('invalid_request', 'onInvalid may be reject or skip');
  const format = readFormat(c);
  const body = await bodyOfEvents(c, services);
  const answer = await storeEvents(c, services, body, {
    ...own,
    format,
    onInvalid: onInvalid.data,
    async: /(^|,)\s*respond-async\s*(,|;|$)/i.test(requestHeader(c, 'prefer') ?? ''),
  });
  if (!('queued' in answer)) return c.json(answer, 200);
  c.header('Preference-Applied', 'respond-async');
  return c.json(answer, 202);
}

/**
 * The body of a request with events. The time that it takes is the client's: the deadline begins that much later.
 *
 * @throws {TidemarkError} `scope_missing`; what `readBody` throws.
 */
export async function bodyOfEvents(c: Context<AppEnv>, services: Pick<Services, 'config'>): Promise<Buffer> {
  requireScope(c.get('caller'), 'ingest');
  const reading = Date.now();
  const body = await readBody(c, services.config.http.maxBodyBytes);
  c.set('arrivedAt', c.get('arrivedAt') + (Date.now() - reading));
  return body;
}

/**
 * Stores the events of a body, with the limits, the counts of what is refused and the headers that every route of
 * events has.
 *
 * @throws {TidemarkError} what `receiveEvents` throws.
 */
export async function storeEvents(
  c: Context<AppEnv>,
  services: Services,
  body: Buffer,
  options: Omit<ReceiveOptions, 'since' | 'onLimited' | 'onFaults'>,
): Promise<IngestAnswer | QueuedAnswer | StagedAnswer> {
  const caller = c.get('caller');
  const onFaults = (faults: EventFault[], ofTenant: string | null) => {
    const { keyId } = caller;
    const tenantId = ofTenant ?? c.get('tenantId') ?? caller.tenantId;
    services.rejectedEvents.count('http', faults, { requestId: c.get('requestId'), tenantId, keyId });
  };
  return receiveEvents(services, caller, requestedTenant(c), body, {
    ...options,
    since: c.get('arrivedAt'),
    onLimited(tenantId, limits) {
      c.set('tenantId', tenantId);
      tellLimits(c, services.limiter, tenantId, limits);
    },
    onFaults,
  }).catch((error: unknown) => {
    const faults = databaseFaults(error);
    if (faults) onFaults(faults, null);
    throw error;
  });
}

/** What is wrong with the events of a request that the database refuses; null: it does not. */
export function databaseFaults(error: unknown): EventFault[] | null {
  if (!(error instanceof TidemarkError) || error.code !== 'event_rejected_by_database') return null;
  return error.errors ?? [{ index: 0, pointer: '', code: error.code, message: error.message }];
}
