import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Caller } from '../tenancy/caller.ts';

/** What the middleware leaves for the routes. */
export interface AppEnv {
  Variables: { requestId: string; caller: Caller };
}

export type App = OpenAPIHono<AppEnv>;
