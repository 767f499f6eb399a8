import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../appEnv.ts';
import { setResponseHeader } from '../nodeHttp.ts';

/** On every answer. Nothing here is a page; the one that is, /docs, sends a policy of its own. */
export const SECURITY_HEADERS: readonly (readonly [name: string, value: string])[] = [
  ['X-Content-Type-Options', 'nosniff'],
  ['Referrer-Policy', 'no-referrer'],
  ['Content-Security-Policy', `default-src 'none'; frame-ancestors 'none'`],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
];

/** @param hstsSeconds Strict-Transport-Security (RFC 6797), for instances behind TLS; 0: not sent. */
export function securityHeadersOf(hstsSeconds: number): readonly (readonly [name: string, value: string])[] {
  return hstsSeconds > 0
    ? [...SECURITY_HEADERS, ['Strict-Transport-Security', `max-age=${hstsSeconds}`]]
    : SECURITY_HEADERS;
}

/** Sets them, with `hstsSeconds` as above. */
export function securityHeaders(hstsSeconds: number) {
  const headers = securityHeadersOf(hstsSeconds);
  return createMiddleware<AppEnv>((c, next) => {
    for (const [name, value] of headers) setResponseHeader(c, name, value);
    return next();
  });
}

/** Answers under /v1 are of one caller and one moment. */
export const NO_STORE = ['Cache-Control', 'no-store'] as const;

export const noStore = createMiddleware<AppEnv>((c, next) => {
  setResponseHeader(c, ...NO_STORE);
  return next();
});
