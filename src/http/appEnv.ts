import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Caller } from '../tenancy/caller.ts';

/** What the middleware leaves for the routes. */
export interface AppEnv {
  Variables: {
    requestId: string;
    /** When the request arrived, in ms since the epoch. */
    arrivedAt: number;
    caller: Caller;
  };
}

export type App = OpenAPIHono<AppEnv>;
