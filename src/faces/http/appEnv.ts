import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Caller } from '../../access/tenancy/caller.ts';

/** What the middleware leaves for the routes. */
export interface AppEnv {
  Variables: {
    requestId: string;
    /** When the request arrived, in ms since the epoch. */
    arrivedAt: number;
    caller: Caller;
    /** Whose data it is about, where the key does not say; undefined until that is known. */
    tenantId: string | undefined;
  };
}

export type App = OpenAPIHono<AppEnv>;
