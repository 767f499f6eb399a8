import { ERROR_CODES } from '../../src/model/errors.ts';

/** What an answer may never show of the service's inside, unless the request itself has said it. */
const INSIDE =
  /node_modules|\bat \S+ \(|\bat file:|\/(?:src|dist|home|usr|tmp|root)\/|\.[tj]s:\d+|\b(?:select|insert into|update|delete from)\b.*\b(?:from|where|values|set)\b|\bpg_\w+|postgres|sqlstate|relation "|column "|syntax error at|invalid input syntax|ECONN|ERR_[A-Z]|HPE_|llhttp|undici|hono|zod\b/i;

const FIELDS = new Set(['type', 'title', 'status', 'code', 'detail', 'requestId', 'errors']);
/** The verdicts of a request with `onInvalid=skip` none of whose events is valid. */
const VERDICTS = new Set(['accepted', 'duplicates', 'rejected', 'results']);

export interface Seen {
  status: number;
  headers: Record<string, string | undefined>;
  body: string;
  /** The same as bytes; left out where nobody asks for them. */
  bytes?: Buffer;
}

/**
 * @param sent the request as text, decoded.
 * @param secrets what belongs to another tenant.
 * @param refusalFault what is wrong with the body of a refusal.
 * @returns what is wrong with the answer, or null.
 */
export function answerFault(
  seen: Seen,
  sent: string,
  secrets: string[],
  refusalFault: (seen: Seen) => string | null = problemFault,
): string | null {
  const { status, headers, body } = seen;
  if (status >= 500 || status < 200) return `status ${status}`;
  const secret = secrets.find((text) => body.includes(text) && !sent.includes(text));
  if (secret) return `shows ${secret} of another tenant`;
  if (headers['x-content-type-options'] !== 'nosniff') return 'without security headers';
  if (headers.server !== undefined || headers['x-powered-by'] !== undefined) return 'names the server';
  if (status < 400) return null;
  const inside = INSIDE.exec(body);
  if (inside && !sent.toLowerCase().includes(inside[0].toLowerCase())) return `shows "${inside[0]}"`;
  if (body === '') return null; // HEAD
  return refusalFault(seen);
}

/** What is wrong with a problem document (RFC 9457), or null. */
function problemFault({ status, headers, body }: Seen): string | null {
  if (headers['content-type'] !== 'application/problem+json') return `an error as ${headers['content-type']}`;
  const problem = JSON.parse(body) as Record<string, unknown>;
  if (!ERROR_CODES.includes(problem.code as never)) return `the code ${problem.code}`;
  if (problem.status !== status) return `status ${status}, and ${problem.status} inside`;
  if (problem.requestId !== headers['x-request-id']) return 'two request ids';
  const verdicts = problem.code === 'invalid_events' && problem.accepted === 0;
  const extra = Object.keys(problem).find((name) => !FIELDS.has(name) && !(verdicts && VERDICTS.has(name)));
  return extra ? `the field ${extra}` : null;
}
