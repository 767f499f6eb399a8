import type { Context } from 'hono';
import type { AppEnv } from './appEnv.ts';
import { knownMethod } from './operationNames.ts';

/** What is told of a request in the log: neither its path, which has ids in it, nor its query, headers or body. */
export interface RequestFacts {
  requestId: string;
  method: string;
  route: string;
  /** Undefined: it was of no tenant, or of several, or came without a good key. */
  tenantId: string | undefined;
  /** The id of the key, which is no secret. */
  keyId: string | undefined;
}

export function requestFacts(c: Context<AppEnv>, route: string): RequestFacts {
  const caller = c.get('caller');
  return {
    requestId: c.get('requestId'),
    method: knownMethod(c.req.method),
    route,
    tenantId: caller?.tenantId ?? c.get('tenantId'),
    keyId: caller?.keyId ?? undefined,
  };
}
