import { parseExact, writeJson } from '../format/json.ts';

export interface Question {
  method?: string;
  path: string;
  query?: Record<string, string | number | boolean | null | undefined>;
  /** A text, or what becomes one by `writeJson`. */
  body?: unknown;
  headers?: Record<string, string>;
  /** For what is shown as it was sent: its numbers keep all their digits (parseExact). */
  exact?: boolean;
}

/** What the service refused, or could not answer (status 0: it was not reached). */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly requestId: string | null;
  readonly errors: { pointer?: string; code: string; message: string }[];
  /** All that the service said. */
  readonly told: Record<string, unknown>;
  /** In how many seconds to try again; null: nothing was said. */
  readonly retryAfter: number | null;

  constructor(
    status: number,
    told: Partial<Pick<Problem, 'code' | 'detail' | 'requestId' | 'errors'>>,
    retryAfter: string | null = null,
  ) {
    const detail = told.detail ?? `The service answered ${status}.`;
    super(detail);
    this.status = status;
    this.code = told.code ?? 'unknown';
    this.detail = detail;
    this.requestId = told.requestId ?? null;
    this.errors = told.errors ?? [];
    this.told = told;
    this.retryAfter = Number(retryAfter) || null;
  }
}

let key: string | null = null;
let platform = false;
let refused: (problem: Problem) => void = () => {};

/** From now on requests bear this key, and where it is a platform key the tenant that the address names. */
export function identify(newKey: string | null, isPlatform = false): void {
  key = newKey;
  platform = isPlatform;
}

/** Who is told that the key is valid no more. */
export function onRefused(listener: (problem: Problem) => void): void {
  refused = listener;
}

/** The tenant that a platform key's requests name; null of another's. */
export const actingFor = () => (platform ? new URLSearchParams(location.search).get('tenant') : null);

/** Path and query, without what is not given. */
export function addressOf({ path, query = {} }: Question): string {
  const given = Object.entries(query).filter(([, value]) => value != null && value !== '');
  const all = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  const text = all.replaceAll('%3A', ':').replaceAll('%2C', ','); // which need not be hidden, and are read by people
  return text === '' ? path : `${path}?${text}`;
}

/**
 * The answer, whatever its type.
 *
 * @throws {Problem} unless it is a success.
 */
export async function send(question: Question, signal?: AbortSignal): Promise<Response> {
  const { method = 'GET', body, headers = {} } = question;
  const tenant = actingFor();
  const sent: Record<string, string> = { ...headers };
  if (key !== null) sent.Authorization = `Bearer ${key}`;
  if (tenant !== null) sent['X-Tenant-Id'] ??= tenant;
  if (body !== undefined) sent['Content-Type'] ??= 'application/json';
  const answer = await fetch(addressOf(question), {
    method,
    headers: sent,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : writeJson(body, 0) }),
    ...(signal && { signal }),
  }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new Problem(0, { code: 'unreachable', detail: 'The service does not answer.' });
  });
  if (answer.ok) return answer;
  const retryAfter = answer.headers.get('Retry-After');
  const problem = new Problem(answer.status, await answer.json().catch(() => ({})), retryAfter);
  // Of the key that is signed in: not of a code, nor of a key that was there before.
  if (answer.status === 401 && key !== null && sent.Authorization === `Bearer ${key}`) refused(problem);
  throw problem;
}

/**
 * The body of the answer: JSON, or a text; undefined where there is none.
 *
 * @throws {Problem} unless it is a success.
 */
export async function ask<T>(question: Question, signal?: AbortSignal): Promise<T> {
  const answer = await send(question, signal);
  try {
    const text = await answer.text();
    const json = answer.headers.get('Content-Type')?.includes('json');
    return (
      text === '' ? undefined : !json ? text : question.exact ? parseExact(text) : JSON.parse(text)
    ) as T;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, { code: 'unreadable', detail: 'The answer has broken off, or cannot be read.' });
  }
}
