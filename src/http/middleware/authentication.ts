import type { BlockList } from 'node:net';
import { createMiddleware } from 'hono/factory';
import type { Authenticator } from '../../tenancy/authenticator.ts';
import type { AppEnv } from '../appEnv.ts';
import { clientAddress, countedAddress } from '../clientAddress.ts';
import { requestHeader } from '../nodeHttp.ts';

/** Every path below must be called with a key. */
export function authentication(authenticator: Authenticator, trustedProxies: BlockList) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const address = () => countedAddress(clientAddress(c, trustedProxies));
    c.set('caller', await authenticator.authenticate(requestHeader(c, 'authorization'), address));
    await next();
  });
}
