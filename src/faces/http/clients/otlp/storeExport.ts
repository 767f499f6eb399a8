import type { Context } from 'hono';
import { contextFor } from '../../../../access/tenancy/caller.ts';
import { CUSTOMER_ATTRIBUTES } from '../../../../intake/events/otlp/conventions.ts';
import {
  type ExportFormat,
  type ParsedExport,
  parseExport,
} from '../../../../intake/events/otlp/parseExport.ts';
import { refusalFault } from '../../../../intake/ingest/writeFailures.ts';
import type { EventFault } from '../../../../model/errors.ts';
import type { AppEnv } from '../../appEnv.ts';
import { requestedTenant } from '../../nodeHttp.ts';
import { drawOnLimits, eventRules, refuseEarly } from '../../receiveEvents.ts';
import type { Services } from '../../services.ts';
import { tellLimits } from '../../tenantLimiting.ts';
import type { Rejected } from './otlpAnswer.ts';

/** Faults quoted in a message; more say nothing new. */
const MAX_QUOTED = 5;

/**
 * Stores the usage in an export, and returns once it is durable. What is wrong with a call refuses that call alone.
 *
 * @throws {TidemarkError} what `contextFor`, `parseExport` and `Ingest.store` throw; `too_many_requests`.
 */
export async function storeExport(
  c: Context<AppEnv>,
  services: Services,
  body: Buffer,
  format: ExportFormat,
): Promise<Rejected> {
  const { ingest, tenants, limiter, config, rejectedEvents, otlpMetrics } = services;
  const caller = c.get('caller');
  const { tenantId } = await contextFor(caller, requestedTenant(c), tenants);
  c.set('tenantId', tenantId);
  const known = await tenants.find(tenantId);
  const tenant = { tenantId, limits: caller.limits ?? known.limits };
  const options = { onLimited: () => tellLimits(c, limiter, tenantId, tenant.limits) };
  refuseEarly(services, caller, tenant, body.length, options);
  const { customerAttributes, defaultCustomerId } = known.otlp;
  const customer = { attributes: customerAttributes ?? CUSTOMER_ATTRIBUTES, otherwise: defaultCustomerId };
  const parsed = parseExport(
    body,
    format,
    eventRules(services, tenantId),
    customer,
    config.ingest.maxEventsPerRequest,
  );
  const { events, indexes, faults } = parsed;
  if (events.length > 0) {
    drawOnLimits(services, tenant, events.length, body.length, options);
    const { refused = [] } = await ingest.store(events, body.length, tenantId, c.get('arrivedAt'), 'skip');
    for (const refusal of refused) faults.push({ ...refusalFault(refusal), index: indexes[refusal.index]! });
  }
  rejectedEvents.count('http', faults, { requestId: c.get('requestId'), tenantId, keyId: caller.keyId });
  const rejected = new Set(faults.map(({ index }) => index)).size;
  const { ignored, repeated, total, unknown } = parsed;
  otlpMetrics.count(format.signal, { usage: total - rejected, repeated, ignored, rejected }, unknown);
  return { count: rejected, message: rejected === 0 ? '' : inWords(rejected, parsed) };
}

function inWords(rejected: number, { faults, paths, total }: ParsedExport): string {
  const quoted = faults
    .slice(0, MAX_QUOTED)
    .map(({ index, pointer, code, message }: EventFault) => `${paths[index]}${pointer} ${message} (${code})`);
  const more = faults.length > MAX_QUOTED ? `; ${faults.length - MAX_QUOTED} more` : '';
  return `${rejected} of ${total} cannot be accepted: ${quoted.join('; ')}${more}`;
}
