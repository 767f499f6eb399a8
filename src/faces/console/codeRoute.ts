import { z } from 'zod';
import { TidemarkError } from '../../model/errors.ts';
import type { App } from '../http/appEnv.ts';
import { clientAddress, countedAddress } from '../http/clientAddress.ts';
import { smallJson } from '../http/clients/smallBody.ts';
import { invalidRequest } from '../http/invalidRequest.ts';
import { noStore } from '../http/middleware/securityHeaders.ts';
import { requestHeader } from '../http/nodeHttp.ts';
import type { Services } from '../http/services.ts';
import { unknownCode } from './demoCode.ts';

const Exchange = z.strictObject({ code: z.string().min(1).max(256) });

/**
 * `POST /console/code` `{code}` → `{key}`: the key of the demo tenant for the code that the start printed. A wrong code
 * counts as a wrong key does, and slows its address down.
 */
export function codeRoute(
  app: App,
  { demoCode, wrongKeys, trustedProxies }: Pick<Services, 'demoCode' | 'wrongKeys' | 'trustedProxies'>,
): void {
  app.use('/console/code', noStore);
  app.post('/console/code', async (c) => {
    const address = countedAddress(clientAddress(c, trustedProxies));
    await wrongKeys.admit(address);
    requireJson(requestHeader(c, 'content-type'));
    const body = Exchange.safeParse(await smallJson(c));
    if (!body.success) throw invalidRequest(body.error.issues);
    try {
      if (demoCode === null) throw unknownCode();
      return c.json({ key: demoCode.exchange(body.data.code) });
    } catch (error) {
      if (error instanceof TidemarkError && error.code === 'code_unknown') await wrongKeys.note(address);
      throw error;
    }
  });
}

/** A page of another origin can send other types unasked, and would have its visitor slowed down for wrong codes. */
function requireJson(type = ''): void {
  if (/^application\/json\s*(;|$)/i.test(type)) return;
  throw new TidemarkError('unsupported_media_type', 'send application/json', {
    headers: { Accept: 'application/json' },
  });
}
