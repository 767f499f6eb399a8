import { randomUUID } from 'node:crypto';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../appEnv.ts';
import { requestHeader, setResponseHeader } from '../nodeHttp.ts';

/** @param given the caller's own. */
export function requestIdOf(given: string | undefined): string {
  return given !== undefined && /^[\w.-]{1,128}$/.test(given) ? given : randomUUID();
}

/** Takes the caller's X-Request-Id where it is a plain token, otherwise makes one, and returns it. Notes the time. */
export function requestId() {
  return createMiddleware<AppEnv>((c, next) => {
    const id = requestIdOf(requestHeader(c, 'x-request-id'));
    c.set('requestId', id);
    c.set('arrivedAt', Date.now());
    setResponseHeader(c, 'X-Request-Id', id);
    return next();
  });
}
