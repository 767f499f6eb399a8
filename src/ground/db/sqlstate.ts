/** SQLSTATE of a PostgreSQL error, the errno of a socket error, or undefined. */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** Raised by begin_batch: a window the writer took for open has closed. */
export const WINDOW_CLOSED = 'TM001';
/** Raised by begin_batch: the writer does not know who listens now. */
export const INTEREST_CHANGED = 'TM004';
/** Not of the server: the writer knows who listens, and cannot tell what for (UnknownRuleError). */
export const INTEREST_UNKNOWN = 'TM008';
/** Raised where something is to be read, or refreshed, that is no longer kept. */
export const NOT_KEPT = 'TM005';
/** Raised where chunks have been rearranged since the snapshot of what was to be of one moment. */
export const CHUNKS_MOVED = 'TM006';
/** Raised where a meter is to be archived that alert rules compare, or to be compared and is archived. */
export const METER_IN_USE = 'TM007';
/** In one snapshot: somebody else has changed since then what is to be changed. */
export const SERIALIZATION_FAILURE = '40001';
export const UNIQUE_VIOLATION = '23505';
/** Among others: a chunk has been dropped. */
export const UNDEFINED_TABLE = '42P01';
/** Among others: the server does not know a time zone. */
export const INVALID_PARAMETER_VALUE = '22023';
/** A refresh of the same range is under way elsewhere. */
export const LOCK_NOT_AVAILABLE = '55P03';
export const DEADLOCK_DETECTED = '40P01';
/** The server is there and has no connection left for us. */
export const TOO_MANY_CONNECTIONS = '53300';

/**
 * What a writer does about an error:
 * - `reconnect`: the connection is gone or of no use; open another and write again;
 * - `retry`: the transaction was rolled back and may succeed if repeated;
 * - `reject`: the data are to blame; find the row;
 * - `divide`: it was too much for one transaction; write it in smaller ones;
 * - `suspect`: nobody foresaw it, so it may be about a row; find that, and its caller may come back later;
 * - `unavailable`: repeating now would not help; the caller may come back later.
 */
export type Remedy = 'reconnect' | 'retry' | 'reject' | 'divide' | 'suspect' | 'unavailable';

/** By full SQLSTATE, else by class (PostgreSQL documentation, Appendix A). */
const REMEDIES: Record<string, Remedy> = {
  '08': 'reconnect', // connection exception
  '08P01': 'unavailable', // protocol_violation: a fault of ours
  '57P01': 'reconnect', // admin_shutdown: pg_terminate_backend, or the server stops
  '57P02': 'reconnect', // crash_shutdown
  '57P03': 'reconnect', // cannot_connect_now: starting up or stopping
  '57P05': 'reconnect', // idle_session_timeout
  '25P03': 'reconnect', // idle_in_transaction_session_timeout
  [TOO_MANY_CONNECTIONS]: 'reconnect', // others may leave
  [SERIALIZATION_FAILURE]: 'retry',
  [DEADLOCK_DETECTED]: 'retry',
  [LOCK_NOT_AVAILABLE]: 'retry',
  '57014': 'retry', // query_canceled: statement_timeout
  '22': 'reject', // data exception
  '23': 'reject', // integrity constraint violation
  '54': 'reject', // program limit exceeded: a row too big
  '25': 'unavailable', // invalid transaction state: read only
  '28': 'unavailable', // invalid authorization
  '3D': 'unavailable', // invalid catalog name
  '42': 'unavailable', // access rule violation, or a schema of another version
  '53': 'unavailable', // insufficient resources: the disk is full
  '53200': 'divide', // out_of_memory: the server's own, or that of its lock table
  '53400': 'divide', // configuration_limit_exceeded: temp_file_limit
  '55': 'unavailable', // object not in prerequisite state
  '57': 'unavailable', // operator intervention
  '58': 'unavailable', // system error
};

/**
 * What ends a connection where it is FATAL, and is something else as an ERROR: PgBouncer's protocol_violation when its
 * server went away, and what TimescaleDB says to a session that has the library of before ALTER EXTENSION … UPDATE.
 */
const ENDED_IF_FATAL = new Set(['08P01', '42710', '0A000']);

/** Socket errors (errno names) and `pg`'s own messages for a connection that went away carry no SQLSTATE. */
export function remedyFor(error: unknown): Remedy {
  const code = errorCode(error);
  if (code === undefined || /^E[A-Z_]+$/.test(code)) return 'reconnect';
  if (ENDED_IF_FATAL.has(code) && (error as { severity?: string }).severity === 'FATAL') return 'reconnect';
  return REMEDIES[code] ?? REMEDIES[code.slice(0, 2)] ?? 'suspect';
}

const LOST = new Set(['57P01', '57P02', '57P05', '25P03', '08006', 'ECONNRESET', 'EPIPE']);

/** Whether a connection went away under its statement: neither refused from the start, nor silent until a timeout. */
export function connectionLost(error: unknown): boolean {
  const code = errorCode(error);
  if (code !== undefined && ENDED_IF_FATAL.has(code)) return remedyFor(error) === 'reconnect';
  if (code !== undefined) return LOST.has(code);
  return error instanceof Error && /terminated unexpectedly|not queryable/.test(error.message);
}

/**
 * What somebody else's work on the same rows ends ours with: a lock that is held (two refreshes of a range), rows that
 * were moved meanwhile (TimescaleDB 2.29 packs a chunk that is refreshed, or the other way round), locks taken
 * crosswise, chunks that were rearranged under a snapshot. The connection is as good as before, and the work may be done
 * again.
 */
const GAVE_WAY = new Set([LOCK_NOT_AVAILABLE, SERIALIZATION_FAILURE, DEADLOCK_DETECTED, CHUNKS_MOVED]);

/** Whether a statement failed because another was at the same, and may succeed if it is repeated. */
export function gaveWay(error: unknown): boolean {
  return GAVE_WAY.has(errorCode(error) ?? '');
}
