import {
  createPortalToken,
  listPortalTokens,
  MOST_PORTAL_METERS,
  PORTAL_LIFE_S,
  type PortalToken,
  revokePortalTokens,
} from '../../../../access/tenancy/portalTokens.ts';
import { TidemarkError } from '../../../../model/errors.ts';
import { parseTimestamp, timestampFault } from '../../../../model/timestamp.ts';
import { missingMeters } from '../../../../sums/meters/catalog/missingMeters.ts';
import { actorOf } from '../../actor.ts';
import type { App } from '../../appEnv.ts';
import { tenantOf } from '../../context.ts';
import { findPortalMeter, portalOf } from '../../portal.ts';
import type { Services } from '../../services.ts';
import { jsonAnswer } from '../answers.ts';
import { requireStorable } from '../requireStorable.ts';
import { smallObject } from '../smallBody.ts';
import { wholeList } from '../wholeList.ts';
import { answerOpenMeterQuery } from './queries.ts';
import { type OpenMeterQuery, readUrlQuery } from './queryParameters.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Portal tokens of ours, as the client makes, lists and ends them, and what it reads with one. */
export function portalRoutes(app: App, services: Services): void {
  const { admin, portalAuthenticator } = services;

  app.post('/api/v1/portal/tokens', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { subject, allowedMeterSlugs, expiresAt } = await smallObject(c);
    const meters = slugsOf(allowedMeterSlugs);
    const [missing] = meters === null ? [] : await missingMeters(admin, context, meters);
    if (missing !== undefined) throw new TidemarkError('not_found', `meter not found: ${missing}`);
    const wanted = {
      customerId: subjectOf(subject),
      meters,
      usage: meters === null,
      costs: false,
      expires: endOf(expiresAt),
    };
    const { token, ...made } = await createPortalToken(admin, context, wanted, actorOf(c, services));
    return jsonAnswer(c, { ...fromToken(made), token });
  });

  // Those that are good for something: of one that is made with each visit there would be no end.
  app.get('/api/v1/portal/tokens', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const limit = limitOf(c.req.query('limit'));
    const tokens = await wholeList((part) => listPortalTokens(admin, context, { ...part, state: 'active' }));
    return jsonAnswer(c, tokens.reverse().slice(0, limit).map(fromToken));
  });

  app.post('/api/v1/portal/tokens/invalidate', async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { id, subject } = await smallObject(c);
    if ((id === undefined) === (subject === undefined)) {
      throw new TidemarkError('invalid_request', 'either id or subject says which tokens end');
    }
    if (id !== undefined && !(typeof id === 'string' && UUID.test(id))) {
      throw new TidemarkError('not_found', 'there is no such portal token');
    }
    const which = id === undefined ? { customerId: subjectOf(subject) } : { id: id as string };
    await revokePortalTokens(admin, context, which, actorOf(c, services));
    portalAuthenticator.forget();
    return c.body(null, 204);
  });

  app.get('/api/v1/portal/meters/:slug/query', async (c) => {
    const asks = portalOf(c);
    const meter = await findPortalMeter(services, asks, c.req.param('slug'));
    const asked = new URL(c.req.url).searchParams;
    return answerOpenMeterQuery(c, services, asks.context, meter, (dimensions) =>
      ofSubject(readUrlQuery(asked, dimensions), asks.caller.customerId),
    );
  });
}

/** The query of the one subject that asks. @throws {TidemarkError} `invalid_request` where it names others. */
function ofSubject(query: OpenMeterQuery, customerId: string): OpenMeterQuery {
  if (query.customers !== null || query.byCustomer) {
    throw new TidemarkError('invalid_request', 'a portal token is of one subject, which needs no filter');
  }
  return { ...query, customers: [customerId], bySubject: true };
}

function subjectOf(subject: unknown): string {
  if (typeof subject !== 'string' || subject === '' || subject.length > 256) {
    throw new TidemarkError('invalid_request', 'subject must be a text of 1 to 256 characters');
  }
  requireStorable('subject', subject);
  return subject;
}

function slugsOf(slugs: unknown): string[] | null {
  if (slugs === undefined || slugs === null) return null;
  const all = Array.isArray(slugs) ? slugs : [];
  if (all.length === 0 || all.length > MOST_PORTAL_METERS || !all.every((slug) => typeof slug === 'string')) {
    throw new TidemarkError('invalid_request', `allowedMeterSlugs must be 1 to ${MOST_PORTAL_METERS} slugs`);
  }
  for (const slug of all) requireStorable('allowedMeterSlugs', slug);
  return [...new Set(all as string[])];
}

function endOf(expiresAt: unknown): { at: Date } | { inSeconds: number } {
  if (expiresAt === undefined || expiresAt === null) return { inSeconds: PORTAL_LIFE_S.default };
  const micros = parseTimestamp(String(expiresAt));
  if (Number.isNaN(micros)) {
    throw new TidemarkError('invalid_request', `expiresAt ${timestampFault(String(expiresAt))}`);
  }
  const at = new Date(micros / 1_000);
  const leftMs = at.getTime() - Date.now();
  if (!(leftMs > 0 && leftMs <= PORTAL_LIFE_S.max * 1_000)) {
    const days = PORTAL_LIFE_S.max / 86_400;
    throw new TidemarkError('invalid_request', `expiresAt must lie in the future, by at most ${days} days`);
  }
  return { at };
}

function limitOf(limit: string | undefined): number | undefined {
  if (limit === undefined) return undefined;
  if (/^[1-9]\d{0,5}$/.test(limit)) return Number(limit);
  throw new TidemarkError('invalid_request', 'limit must be a number from 1 on');
}

function fromToken({ id, customerId, meters, state, expiresAt, createdAt }: PortalToken) {
  return {
    id,
    subject: customerId,
    expiresAt,
    expired: state !== 'active',
    createdAt,
    ...(meters !== null && { allowedMeterSlugs: meters }),
  };
}
