import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller } from '../../access/tenancy/caller.ts';
import type { EventFormat, ParsedEvents } from '../../intake/events/parseEvents.ts';
import type { WriteResult } from '../../intake/ingest/ingest.ts';
import type { EventFault } from '../../model/errors.ts';
import { databaseFaults } from './answerEvents.ts';
import type { PlainPosts } from './appEnv.ts';
import { requestIdOf } from './middleware/requestId.ts';
import { tellAnswered } from './middleware/requestTelemetry.ts';
import { NO_STORE, securityHeadersOf } from './middleware/securityHeaders.ts';
import { knownError, PROBLEM_TYPE, problemHeaders, problemText, statusOf, tellFailure } from './problem.ts';
import {
  inRequest,
  type OwnTenant,
  type ReadOptions,
  readOwnEvents,
  unrecognisedUsageIn,
  voidedOf,
} from './receiveEvents.ts';
import type { RequestFacts } from './requestFacts.ts';
import type { Services } from './services.ts';
import { isLimited, limitHeaders, takeRequest } from './tenantLimiting.ts';

/*
 * The short way of events: what nearly every `POST /v1/events` looks like is answered here, past the framework and what
 * it makes of a request (docs/adr/0039). All else goes through the app, which alone says what the API is. What a request
 * is refused with and what becomes of its events is decided by the same functions on both ways, and
 * test/integration/faces/plainPosts.test.ts sends the same requests on both and compares what is answered.
 */

const METHOD = 'POST';
const PATH = '/v1/events';
const FORMAT: EventFormat = { dialect: 'native', framing: 'json' };
const TYPES = new Set(['application/json', 'application/json; charset=utf-8']);
/** Headers that ask for more than that events are stored. */
const UNUSUAL = [
  'transfer-encoding',
  'content-encoding',
  'prefer',
  'x-tenant-id',
  'ce-specversion',
  'expect',
];
/** Hosts that the app takes without making a URL of them. */
const PLAIN_HOST = /^[a-z0-9._-]+(?::(?:[1-5]\d{3,4}|[6-9]\d{3}))?$/;

/** What all requests share. */
interface Lane {
  services: Services;
  /** Names and values of headers that every answer has. */
  common: readonly string[];
}

const NONE: readonly string[] = [];
const STORED: readonly string[] = ['Content-Type', 'application/json'];

/** @returns null where every request is one for the app, since it is traced, or may come from a page. */
export function plainPosts(services: Services): PlainPosts | null {
  const { config, authenticator, accepting } = services;
  if (config.telemetry.traces !== null || config.http.corsOrigins.length > 0) return null;
  const lane = { services, common: [...securityHeadersOf(config.http.hstsSeconds), NO_STORE].flat() };
  return {
    mayTake: ({ method, url }) => method === METHOD && url === PATH,
    take(request, response, began) {
      const { headers } = request;
      const length = Number(headers['content-length']);
      if (!(length > 0) || request.readableLength !== length || !isPlain(request) || !accepting())
        return false;
      const caller = authenticator.recall(headers.authorization);
      if (!caller?.limits || caller.tenantId === null || !caller.scopes.has('ingest')) return false;
      const { tenantId, limits } = caller;
      const requestId = requestIdOf(headers['x-request-id'] as string | undefined);
      const post = new PlainPost(lane, response, requestId, caller, { tenantId, limits }, began);
      post.store(request.read() as Buffer);
      return true;
    },
  };
}

function isPlain({ headers, httpVersionMinor }: IncomingMessage): boolean {
  for (const name of UNUSUAL) if (headers[name] !== undefined) return false;
  return (
    httpVersionMinor === 1 && TYPES.has(headers['content-type'] ?? '') && PLAIN_HOST.test(headers.host ?? '')
  );
}

/** One request, from its body to its answer. It is what reads its events are told of, too. */
class PlainPost implements ReadOptions {
  declare readonly format: EventFormat;
  declare readonly onInvalid: 'reject';
  declare private readonly lane: Lane;
  declare private readonly response: ServerResponse;
  declare private readonly requestId: string;
  declare private readonly caller: Caller;
  declare private readonly tenant: OwnTenant;
  /** performance.now() */
  declare private readonly began: number;
  declare private limited: readonly string[];

  // Without initializers: those of class fields cost a microsecond here.
  constructor(
    lane: Lane,
    response: ServerResponse,
    requestId: string,
    caller: Caller,
    tenant: OwnTenant,
    began: number,
  ) {
    this.format = FORMAT;
    this.onInvalid = 'reject';
    this.lane = lane;
    this.response = response;
    this.requestId = requestId;
    this.caller = caller;
    this.tenant = tenant;
    this.began = began;
    this.limited = NONE;
  }

  store(body: Buffer): void {
    const { caller, tenant } = this;
    const { services } = this.lane;
    services.httpMetrics.active++;
    try {
      if (isLimited(tenant.limits)) this.limitRequest();
      const { parsed, flow } = readOwnEvents(services, caller, tenant, body, this);
      services.ingest.store(parsed.events, body.length, flow, undefined, 'tell').then(
        (result) => this.answerStored(result, parsed),
        (error: unknown) => this.refuseStored(error, parsed),
      );
    } catch (error) {
      this.refuse(error);
    }
  }

  onLimited(): void {
    const { tenant, lane } = this;
    if (isLimited(tenant.limits)) {
      this.limited = limitHeaders(lane.services.limiter, tenant.tenantId, tenant.limits).flat();
    }
  }

  onFaults(faults: EventFault[]): void {
    const { requestId, caller, lane } = this;
    const { tenantId, keyId } = caller;
    lane.services.rejectedEvents.count('http', faults, { requestId, tenantId, keyId });
  }

  private limitRequest(): void {
    const { tenant, lane } = this;
    try {
      takeRequest(lane.services.limiter, tenant.tenantId, tenant.limits);
    } finally {
      this.onLimited();
    }
  }

  private answerStored(result: WriteResult, parsed: ParsedEvents): void {
    if (result.duplicateFlags === null) {
      this.answerCounts(result, parsed, 0);
      return;
    }
    voidedOf(this.lane.services, parsed, result).then(
      (voided) => this.answerCounts(result, parsed, voided.size),
      (error: unknown) => this.refuse(error),
    );
  }

  private answerCounts({ accepted, duplicates }: WriteResult, parsed: ParsedEvents, voided: number): void {
    const unrecognised = unrecognisedUsageIn(parsed);
    const usage = unrecognised === 0 ? '' : `,"unrecognisedUsage":${unrecognised}`;
    this.answer(
      200,
      STORED,
      `{"accepted":${accepted},"duplicates":${duplicates}${voided === 0 ? '' : `,"voided":${voided}`}${usage}}`,
    );
  }

  private refuseStored(error: unknown, parsed: ParsedEvents): void {
    const told = inRequest(error, parsed);
    const faults = databaseFaults(told);
    if (faults) this.onFaults(faults);
    this.refuse(told);
  }

  private refuse(error: unknown): void {
    const { services } = this.lane;
    const known = knownError(error);
    services.httpMetrics.refused(known.code);
    tellFailure(error, known, services.log, () => this.facts());
    this.answer(
      statusOf(known.code),
      [...problemHeaders(known).flat(), 'Content-Type', PROBLEM_TYPE],
      problemText(known, this.requestId),
    );
  }

  /** Header and body leave in one write. Nothing is thrown to whoever has stored the events. */
  private answer(status: number, headers: readonly string[], body: string): void {
    const { response, began, requestId } = this;
    const { services, common } = this.lane;
    try {
      const length = String(Buffer.byteLength(body));
      response
        .writeHead(status, [
          'X-Request-Id',
          requestId,
          ...common,
          ...this.limited,
          ...headers,
          'Content-Length',
          length,
        ])
        .end(body);
    } catch (error) {
      services.log.error({ ...this.facts(), err: error }, 'an answer could not be sent');
      response.destroy();
    }
    services.httpMetrics.active--;
    const durationMs = performance.now() - began;
    services.httpMetrics.answered(METHOD, PATH, status, durationMs / 1_000);
    tellAnswered(services.log, status, durationMs, () => this.facts());
  }

  private facts(): RequestFacts {
    const { requestId, caller } = this;
    const { tenantId, keyId } = caller;
    return { requestId, method: METHOD, route: PATH, tenantId: tenantId!, keyId: keyId ?? undefined };
  }
}
