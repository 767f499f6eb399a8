import { randomUUID } from 'node:crypto';
import { createMiddleware } from 'hono/factory';
import type { AppEnv } from '../appEnv.ts';

/** Takes the caller's X-Request-Id where it is a plain token, otherwise makes one, and returns it. */
export function requestId() {
  return createMiddleware<AppEnv>(async (c, next) => {
    const given = c.req.header('x-request-id');
    const id = given !== undefined && /^[\w.-]{1,128}$/.test(given) ? given : randomUUID();
    c.set('requestId', id);
    c.header('X-Request-Id', id);
    await next();
  });
}
