import { propagation, ROOT_CONTEXT, SpanKind, SpanStatusCode, type TextMapGetter } from '@opentelemetry/api';
import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { tracer } from '../../../ground/telemetry/spans.ts';
import type { AppEnv } from '../appEnv.ts';
import { requestHeader } from '../nodeHttp.ts';
import { knownMethod, type OperationNames, UNMATCHED } from '../operationNames.ts';
import { requestFacts } from '../requestFacts.ts';

/** What machines ask all the time. */
const UNTRACED = new Set(['/healthz', '/readyz', '/metrics']);

const SCRUBBED = 'REDACTED';

const HEADERS: TextMapGetter<Context> = {
  get: (c, name) => requestHeader(c, name.toLowerCase()),
  keys: () => [], // only asked for baggage, which is not taken
};

/**
 * A server span for each request, by OpenTelemetry's semantic conventions for HTTP, in the trace that its caller names
 * (W3C Trace Context). Ids in the path are scrubbed, the query is left out, and so is who calls but for the tenant.
 */
export function requestTracing(operations: () => OperationNames) {
  return createMiddleware<AppEnv>(async (c, next) => {
    if (UNTRACED.has(c.req.path)) return next();
    const method = knownMethod(c.req.method);
    const attributes = {
      'http.request.method': method,
      'url.scheme': 'http',
      'tidemark.request.id': c.get('requestId'),
    };
    const parent = propagation.extract(ROOT_CONTEXT, c, HEADERS);
    return tracer().startActiveSpan(method, { kind: SpanKind.SERVER, attributes }, parent, async (span) => {
      try {
        await next();
      } finally {
        const route = operations().of(c);
        const { status } = c.res;
        if (route !== UNMATCHED) span.updateName(`${method} ${route}`).setAttribute('http.route', route);
        span.setAttribute('url.path', route === UNMATCHED ? SCRUBBED : route.replace(/\{[^}]*\}/g, SCRUBBED));
        const { tenantId } = requestFacts(c, route);
        if (tenantId !== undefined) span.setAttribute('tidemark.tenant.id', tenantId);
        span.setAttribute('http.response.status_code', status);
        if (status >= 500) {
          span.setAttribute('error.type', String(status)).setStatus({ code: SpanStatusCode.ERROR });
        }
        span.end();
      }
    });
  });
}
