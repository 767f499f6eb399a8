import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import type { TidemarkError } from '../../../model/errors.ts';
import { stringifyJson } from '../../../model/json.ts';
import type { AppEnv } from '../appEnv.ts';
import { problemHeaders, statusOf } from '../problem.ts';

/** As `c.json` would, but for numbers that no double holds, and without a charset, which some clients stumble over. */
export function jsonAnswer(c: Context<AppEnv>, body: unknown, status: ContentfulStatusCode = 200): Response {
  return c.body(stringifyJson(body), status, { 'Content-Type': 'application/json' });
}

/** An error in a shape of others, with the headers that go with it here. */
export function errorAnswer(
  c: Context<AppEnv>,
  error: TidemarkError,
  { body, status = theirStatus(error), type = 'application/json' }: ErrorShape,
): Response {
  for (const [name, value] of problemHeaders(error)) c.header(name, value);
  return c.body(JSON.stringify(body), status, { 'Content-Type': type });
}

interface ErrorShape {
  body: unknown;
  /** Default: `theirStatus`. */
  status?: ContentfulStatusCode;
  /** Default: JSON. */
  type?: string;
}

/** The status that other services answer with: what is wrong with a body is 400 with most of them. */
export function theirStatus(error: TidemarkError): ContentfulStatusCode {
  const status = statusOf(error.code);
  return status === 422 ? 400 : status;
}

/** The message of an error with what is wrong with the first of the events: for shapes that have one text. */
export function wholeMessage({ message, errors = [] }: TidemarkError): string {
  const told = errors.slice(0, 3).map(({ pointer, message: what }) => `${pointer || 'the event'} ${what}`);
  const first = told.filter((text) => !message.includes(text));
  return first.length === 0 ? message : `${message}: ${first.join('; ')}`;
}
