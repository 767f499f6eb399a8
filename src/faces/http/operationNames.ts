import type { Context } from 'hono';
import { routePath } from 'hono/route';
import type { App } from './appEnv.ts';

/** For whatever is asked that is not there: anybody can make up paths and methods. */
export const UNMATCHED = 'unmatched';

/**
 * The routes of an app by their templates, for metrics, logs and traces: as many as the app has, whatever is asked.
 * Made once all routes are there.
 */
export class OperationNames {
  private readonly templates = new Map<string, Map<string, string>>();

  constructor(app: App) {
    for (const { method, path } of app.routes) {
      if (method === 'ALL') continue; // middleware, and the refusal of other methods
      const ofMethod = this.templates.get(method) ?? new Map<string, string>();
      this.templates.set(method, ofMethod.set(path, path.replace(/:(\w+)(\{[^/]*\})?/g, '{$1}')));
    }
  }

  /** The template of the route that has answered, or would have: `/v1/tenants/{id}`. */
  of(c: Context): string {
    const { method } = c.req;
    const templates = this.templates.get(method === 'HEAD' ? 'GET' : method);
    return templates?.get(routePath(c)) ?? templates?.get(routePath(c, -1)) ?? UNMATCHED;
  }
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);

/** The method, or `_OTHER` as OpenTelemetry's semantic conventions have it. */
export function knownMethod(method: string): string {
  return METHODS.has(method) ? method : '_OTHER';
}
