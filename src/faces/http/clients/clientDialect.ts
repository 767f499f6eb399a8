import type { Context } from 'hono';
import type { TidemarkError } from '../../../model/errors.ts';
import type { App, AppEnv } from '../appEnv.ts';
import type { Services } from '../services.ts';

/** What a client of another service calls here, unchanged. Each is in a folder of its own and knows no other. */
export interface ClientDialect {
  /** Where it calls, as patterns for middleware. */
  paths: readonly string[];
  /** An error in the shape that its client reads. */
  refuse(c: Context<AppEnv>, error: TidemarkError): Response;
  /** Its routes, but for those of a path that it shares with another. */
  routes(app: App, services: Services): void;
}
