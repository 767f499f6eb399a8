import { createMiddleware } from 'hono/factory';
import type { Authenticator } from '../../tenancy/authenticator.ts';
import type { AppEnv } from '../appEnv.ts';
import { requestHeader } from '../nodeHttp.ts';

/** Every path below must be called with a key. */
export function authentication(authenticator: Authenticator) {
  return createMiddleware<AppEnv>(async (c, next) => {
    c.set('caller', await authenticator.authenticate(requestHeader(c, 'authorization')));
    await next();
  });
}
