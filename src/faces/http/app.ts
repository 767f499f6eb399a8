import { OpenAPIHono } from '@hono/zod-openapi';
import { bodyLimit } from 'hono/body-limit';
import { type EventFault, TidemarkError } from '../../model/errors.ts';
import type { App, AppEnv } from './appEnv.ts';
import { authentication } from './middleware/authentication.ts';
import { crossOrigin } from './middleware/crossOrigin.ts';
import { keepDigits } from './middleware/keepDigits.ts';
import { requestId } from './middleware/requestId.ts';
import { requestTelemetry } from './middleware/requestTelemetry.ts';
import { requestTracing } from './middleware/requestTracing.ts';
import { noStore, securityHeaders } from './middleware/securityHeaders.ts';
import { OperationNames } from './operationNames.ts';
import { handleError, knownError, problem } from './problem.ts';
import { contentEncoding } from './readBody.ts';
import { requestFacts } from './requestFacts.ts';
import { alertRuleRoutes } from './routes/alertRules.ts';
import { auditLogRoutes } from './routes/auditLog.ts';
import { counterRoutes } from './routes/counters.ts';
import { customerRoutes } from './routes/customers.ts';
import { deliveryRoutes } from './routes/deliveries.ts';
import { descriptionRoutes } from './routes/description.ts';
import { eventRoutes } from './routes/events.ts';
import { keyRoutes } from './routes/keys.ts';
import { liveRoutes } from './routes/live.ts';
import { operationRoutes } from './routes/operations.ts';
import { recordRoutes } from './routes/records.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { subscriptionRoutes } from './routes/subscriptions.ts';
import { summaryRoutes } from './routes/summaries.ts';
import { tenantRoutes } from './routes/tenants.ts';
import { usageRoutes } from './routes/usage.ts';
import { windowRoutes } from './routes/windows.ts';
import type { Services } from './services.ts';

/** Bodies of the administration; events have a limit of their own, see readBody.ts. */
const MAX_SMALL_BODY_BYTES = 65_536;
const ADMINISTRATION = ['tenants', 'customers', 'keys', 'subscriptions', 'alert-rules'].map(
  (name) => `/v1/${name}/*`,
);

/** The whole HTTP surface. */
export function createApp(services: Services): App {
  const app: App = new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidRequest(result.error.issues);
    },
  });
  let names: OperationNames;
  const operations = () => names;
  app.use('*', requestId());
  if (services.config.telemetry.traces !== null) app.use('*', requestTracing(operations));
  app.use('*', requestTelemetry(operations, services.httpMetrics, services.log));
  app.use('*', securityHeaders(services.config.http.hstsSeconds));
  app.use('*', async (c, next) => {
    await next();
    if (!services.accepting()) c.header('Connection', 'close'); // so that clients turn to another instance
  });
  for (const path of ['/v1/*', '/increment']) {
    app.use(path, noStore);
    if (services.config.http.corsOrigins.length > 0)
      app.use(path, crossOrigin(services.config.http.corsOrigins));
    app.use(path, authentication(services));
  }
  for (const path of ADMINISTRATION) {
    app.use(path, async (c, next) => {
      contentEncoding(c, []);
      await next();
    });
    app.use(path, bodyLimit({ maxSize: MAX_SMALL_BODY_BYTES, onError: bodyTooLarge }), keepDigits());
  }
  app.onError((error, c) => {
    const known = knownError(error);
    services.httpMetrics.refused(known.code);
    return handleError(error, known, c, services.log, requestFacts(c, names.of(c)));
  });
  app.notFound((c) => {
    services.httpMetrics.refused('not_found');
    return problem(c, new TidemarkError('not_found', 'there is nothing at this path'));
  });

  eventRoutes(app, services);
  recordRoutes(app, services);
  counterRoutes(app, services);
  windowRoutes(app, services);
  summaryRoutes(app, services);
  usageRoutes(app, services);
  sessionRoutes(app, services);
  liveRoutes(app, services);
  tenantRoutes(app, services);
  customerRoutes(app, services);
  keyRoutes(app, services);
  subscriptionRoutes(app, services);
  alertRuleRoutes(app, services);
  auditLogRoutes(app, services);
  deliveryRoutes(app, services);
  operationRoutes(app, services);
  descriptionRoutes(app, services);
  refuseOtherMethods(app);
  names = new OperationNames(app);
  return app;
}

/** 405 for a path that is there under another method, with those it is there under (RFC 9110 §15.5.6). */
function refuseOtherMethods(app: App): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method !== 'ALL') methods.set(path, (methods.get(path) ?? new Set()).add(method));
  }
  for (const [path, allowed] of methods) {
    app.all(path, (c) => {
      c.header('Allow', [...allowed].join(', '));
      throw new TidemarkError('method_not_allowed', `this path takes ${[...allowed].join(', ')}`);
    });
  }
}

function bodyTooLarge(): never {
  throw new TidemarkError('body_too_large', `a body may have at most ${MAX_SMALL_BODY_BYTES} bytes here`);
}

/** A fault in a parameter or a small body. A few parameters have codes of their own. */
function invalidRequest(issues: { path: PropertyKey[]; message: string; code: string }[]): TidemarkError {
  const errors: EventFault[] = issues.map((issue) => ({
    index: 0,
    pointer: issue.path.map((part) => `/${String(part)}`).join(''),
    code: issue.code,
    message: issue.message,
  }));
  const first = errors[0]!;
  const code = first.pointer === '/granularity' ? 'granularity_invalid' : 'invalid_request';
  return new TidemarkError(code, `${first.pointer.slice(1) || 'the request'}: ${first.message}`, { errors });
}
