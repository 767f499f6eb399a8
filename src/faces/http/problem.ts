import { STATUS_CODES } from 'node:http';
import type { Context } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { errorCode, gaveWay, NOT_KEPT, remedyFor } from '../../ground/db/sqlstate.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { type ErrorCode, TidemarkError } from '../../model/errors.ts';
import type { AppEnv } from './appEnv.ts';
import type { RequestFacts } from './requestFacts.ts';

/**
 * The only place that knows which failure is which HTTP status. 400: it cannot be read, or asks for what is not there to
 * be asked. 422: it can be read, and will be refused however often it is sent (RFC 9110 §15.5.21): log shippers repeat
 * what was answered with 400, and drop what was answered with 422.
 */
const STATUS: Record<ErrorCode, ContentfulStatusCode> = {
  unauthenticated: 401,
  key_unknown: 401,
  key_revoked: 401,
  key_expired: 401,
  token_unknown: 401,
  token_revoked: 401,
  token_expired: 401,
  portal_not_allowed: 403,
  code_unknown: 401,
  code_spent: 410,
  scope_missing: 403,
  tenant_inactive: 403,
  tenant_mismatch: 403,
  tenant_required: 400,
  tenant_unknown: 404,
  not_found: 404,
  already_exists: 409,
  meter_exists: 409,
  price_overlaps: 409,
  price_superseded: 409,
  event_voided: 409,
  event_not_voided: 409,
  event_counted_again: 409,
  event_ambiguous: 409,
  event_repeated: 422,
  backfill_overlaps: 409,
  backfill_not_staged: 409,
  backfill_not_closed: 409,
  backfill_superseded: 409,
  meter_in_use: 409,
  key_not_rotatable: 409,
  secret_not_rotatable: 409,
  invalid_request: 400,
  invalid_json: 400,
  invalid_events: 422,
  invalid_encoding: 400,
  unsupported_media_type: 415,
  unsupported_encoding: 415,
  method_not_allowed: 405,
  malformed_request: 400,
  request_timeout: 408,
  uri_too_long: 414,
  headers_too_large: 431,
  expectation_failed: 417,
  body_too_large: 413,
  too_many_events: 413,
  empty_batch: 400,
  range_invalid: 400,
  range_too_large: 400,
  range_not_kept: 400,
  as_of_in_future: 400,
  as_of_not_kept: 400,
  cursor_invalid: 400,
  timezone_invalid: 400,
  granularity_invalid: 400,
  idempotency_key_reused: 422,
  event_rejected_by_database: 422,
  transaction_too_large: 413,
  endpoint_invalid: 400,
  limit_reached: 409,
  endpoint_forbidden: 400,
  endpoint_unreachable: 400,
  subscription_inactive: 409,
  too_many_requests: 429,
  too_many_streams: 429,
  overloaded: 503,
  shutting_down: 503,
  deadline_exceeded: 503,
  database_unavailable: 503,
  not_implemented: 501,
  internal: 500,
};

export const PROBLEM_TYPE = 'application/problem+json';

/** Faults listed in one answer; the message tells how many there are. */
const MAX_ERRORS_LISTED = 1_000;

/** Answers with `application/problem+json` (RFC 9457). */
export function problem(c: Context<AppEnv>, error: TidemarkError): Response {
  for (const [name, value] of problemHeaders(error)) c.header(name, value);
  return c.body(problemText(error, c.get('requestId')), STATUS[error.code], { 'Content-Type': PROBLEM_TYPE });
}

/** What an answer says of a problem beside its text and type. */
export function problemHeaders(error: TidemarkError): [name: string, value: string][] {
  const status = STATUS[error.code];
  const headers: [string, string][] = [];
  if (error.retryAfterSeconds !== undefined) headers.push(['Retry-After', String(error.retryAfterSeconds)]);
  headers.push(...Object.entries(error.headers ?? {}));
  if (status === 401) headers.push(['WWW-Authenticate', 'Bearer']);
  if (status === 413) headers.push(['Connection', 'close']); // the rest of the body is not read
  return headers;
}

export function statusOf(code: ErrorCode): ContentfulStatusCode {
  return STATUS[code];
}

/** The problem details as JSON. */
export function problemText(error: TidemarkError, requestId: string): string {
  const status = STATUS[error.code];
  return JSON.stringify({
    type: 'about:blank',
    title: STATUS_CODES[status],
    status,
    code: error.code,
    detail: error.message,
    requestId,
    ...(error.errors && { errors: error.errors.slice(0, MAX_ERRORS_LISTED) }),
    ...error.members,
  });
}

/** What the caller is told of any error: its own if it is meant for the caller, else a request id and nothing else. */
export function knownError(error: unknown): TidemarkError {
  if (error instanceof TidemarkError) return error;
  return error instanceof HTTPException ? fromFramework(error) : fromDatabase(error);
}

/** Logs what is ours, and not the caller's. A refusal of ours has no story: its code says it. */
export function tellFailure(
  error: unknown,
  known: TidemarkError,
  log: Logger,
  facts: () => RequestFacts,
): void {
  const status = STATUS[known.code];
  if (status < 500 || status === 501) return; // what there is not is no failure
  const err = known.cause ?? (known === error && known.code !== 'internal' ? undefined : error);
  log[known.code === 'internal' ? 'error' : 'warn'](
    { ...facts(), status, code: known.code, err },
    'request failed',
  );
}

/** Hono refuses the body of a described route: another content type, or not JSON. */
function fromFramework(error: HTTPException): TidemarkError {
  return error.status === 415
    ? new TidemarkError('unsupported_media_type', 'send application/json', {
        headers: { Accept: 'application/json' },
      })
    : new TidemarkError('invalid_json', 'the body is not valid JSON');
}

function fromDatabase(error: unknown): TidemarkError {
  const code = errorCode(error);
  const message = error instanceof Error ? error.message : '';
  if (code === '57014') {
    return new TidemarkError('deadline_exceeded', 'the query took too long; ask for a shorter range', {
      retryAfterSeconds: 1,
      cause: error,
    });
  }
  if (code === NOT_KEPT) {
    return new TidemarkError(
      'range_not_kept',
      `${message}; begin later, or with a whole bucket of a coarser granularity`,
      { cause: error },
    );
  }
  const disconnected =
    code === undefined ? /connect|terminat|timeout/i.test(message) : remedyFor(error) === 'reconnect';
  if (disconnected) {
    return new TidemarkError('database_unavailable', 'the database cannot be reached', {
      retryAfterSeconds: 1,
      cause: error,
    });
  }
  if (gaveWay(error)) {
    return new TidemarkError('database_unavailable', 'what this needs was being changed; try again', {
      retryAfterSeconds: 1,
      cause: error,
    });
  }
  return new TidemarkError('internal', 'something went wrong; the request id finds it in the log', {
    cause: error,
  });
}
