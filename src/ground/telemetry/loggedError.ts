/** What the log says of an error. */
export interface LoggedError {
  type: string;
  message: string;
  code?: string;
  /** Of errors of the database. */
  severity?: string;
  routine?: string;
  schema?: string;
  table?: string;
  column?: string;
  constraint?: string;
  stack?: string;
  cause?: LoggedError;
  errors?: LoggedError[];
}

/** Names of things in the database, not what is in them. `detail`, `where` and `hint` quote rows. */
const DATABASE_FIELDS = ['severity', 'routine', 'schema', 'table', 'column', 'constraint'] as const;
const WITHHELD = '(withheld: it may quote data)';
const MAX_DEPTH = 5;

/**
 * An error for the log, without what clients have sent: of its properties only those named here. Libraries hang the
 * failed command on an error (ioredis), the input (URL), or the row (PostgreSQL).
 */
export function loggedError(error: unknown, depth = 0): LoggedError | unknown {
  if (!(error instanceof Error)) {
    return typeof error === 'object' && error !== null ? { type: 'object', message: WITHHELD } : error;
  }
  const fields = error as unknown as Record<string, unknown>;
  const withheld = quotesData(error);
  const logged: LoggedError = {
    type: error.constructor.name || error.name,
    message: withheld ? WITHHELD : error.message,
  };
  if (typeof fields.code === 'string') logged.code = fields.code;
  if (isFromDatabase(error)) {
    for (const name of DATABASE_FIELDS) if (typeof fields[name] === 'string') logged[name] = fields[name];
  }
  if (error.stack) logged.stack = withheld ? framesOf(error) : error.stack;
  if (depth < MAX_DEPTH) {
    if (error.cause instanceof Error) logged.cause = loggedError(error.cause, depth + 1) as LoggedError;
    if (error instanceof AggregateError) {
      logged.errors = error.errors.map((one) => loggedError(one, depth + 1) as LoggedError);
    }
  }
  return logged;
}

/** Whether the message itself may hold what was sent: JSON.parse quotes it, and so does SQLSTATE class 22. */
function quotesData(error: Error): boolean {
  if (error instanceof SyntaxError) return true;
  return isFromDatabase(error) && String((error as { code?: unknown }).code).startsWith('22');
}

/** Errors that the server has sent carry a severity; those of the driver do not. */
function isFromDatabase(error: Error): boolean {
  return 'severity' in error && 'routine' in error;
}

function framesOf(error: Error): string {
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  return [error.name, ...frames].join('\n');
}
