/**
 * Every failure a caller may see. The code says what happened; only `http/problem.ts` knows which
 * HTTP status that is.
 */
export const ERROR_CODES = [
  'unauthenticated',
  'key_unknown',
  'key_revoked',
  'key_expired',
  'token_unknown',
  'token_revoked',
  'token_expired',
  'portal_not_allowed',
  'code_unknown',
  'code_spent',
  'scope_missing',
  'tenant_inactive',
  'tenant_required',
  'tenant_unknown',
  'tenant_mismatch',
  'not_found',
  'already_exists',
  'meter_exists',
  'price_overlaps',
  'price_superseded',
  'event_voided',
  'event_not_voided',
  'event_counted_again',
  'event_ambiguous',
  'event_repeated',
  'backfill_overlaps',
  'backfill_not_staged',
  'backfill_not_closed',
  'backfill_superseded',
  'meter_in_use',
  'key_not_rotatable',
  'secret_not_rotatable',
  'invalid_request',
  'invalid_json',
  'invalid_events',
  'invalid_encoding',
  'unsupported_media_type',
  'unsupported_encoding',
  'method_not_allowed',
  'malformed_request',
  'request_timeout',
  'uri_too_long',
  'headers_too_large',
  'expectation_failed',
  'body_too_large',
  'too_many_events',
  'empty_batch',
  'range_invalid',
  'range_too_large',
  'range_not_kept',
  'as_of_in_future',
  'as_of_not_kept',
  'cursor_invalid',
  'timezone_invalid',
  'granularity_invalid',
  'idempotency_key_reused',
  'event_rejected_by_database',
  'transaction_too_large',
  'endpoint_invalid',
  'limit_reached',
  'endpoint_forbidden',
  'endpoint_unreachable',
  'subscription_inactive',
  'too_many_requests',
  'too_many_streams',
  'overloaded',
  'shutting_down',
  'deadline_exceeded',
  'database_unavailable',
  'not_implemented',
  'internal',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** One fault in a request body: which event, where in it (RFC 6901 pointer), what kind, and in words. */
export interface EventFault {
  index: number;
  pointer: string;
  code: string;
  message: string;
}

export interface ErrorDetails {
  /** Faults of single events in the body. */
  errors?: EventFault[];
  /** Members of the answer beside the usual ones (RFC 9457 §3.2). */
  members?: object | undefined;
  /** Fields of the answer, such as what would have been accepted. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Seconds after which the caller may try again. */
  retryAfterSeconds?: number;
  cause?: unknown;
}

/** An error whose message is meant for the caller. Anything else reaches the caller as `internal`. */
export class TidemarkError extends Error {
  readonly code: ErrorCode;
  readonly errors: EventFault[] | undefined;
  readonly members: object | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'TidemarkError';
    this.code = code;
    this.errors = details.errors;
    this.members = details.members;
    this.headers = details.headers;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }
}

/** A reason not to start, in one line for the operator. `main` prints it without a stack and exits non-zero. */
export class StartupError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StartupError';
  }
}

/** A command line that cannot be meant: nothing has been done. */
export class UsageError extends StartupError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'UsageError';
  }
}
