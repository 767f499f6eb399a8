import type { Context } from 'hono';
import type { AppEnv } from './appEnv.ts';
import { requestHeader } from './nodeHttp.ts';

/** Whether the answer is to be CSV: wherever its type stands in `Accept`. */
export function wantsCsv(c: Context): boolean {
  return /\btext\/csv\b/i.test(requestHeader(c, 'accept') ?? '');
}

/**
 * A page as CSV, with the cursor of the next one in `X-Next-Cursor`.
 *
 * @param headers besides.
 */
export function answerCsv(
  c: Context<AppEnv>,
  csv: string,
  nextCursor: string | null,
  headers: Record<string, string> = {},
) {
  if (nextCursor !== null) c.header('X-Next-Cursor', nextCursor);
  return c.body(csv, 200, { ...headers, 'Content-Type': 'text/csv; charset=utf-8' });
}

/** For CSV, what an answer as of a moment says in JSON. */
export function asOfHeader(asOf: string | undefined): Record<string, string> {
  return asOf === undefined ? {} : { 'X-As-Of': asOf };
}
