import { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { TidemarkError } from '../../model/errors.ts';
import { consoleRoutes } from '../console/consoleRoutes.ts';
import { embedRoute } from '../console/embedRoute.ts';
import type { App, AppEnv } from './appEnv.ts';
import { clientRoutes, OUTSIDE_V1, speakAsClients } from './clients/clientRoutes.ts';
import { invalidRequest } from './invalidRequest.ts';
import { authentication } from './middleware/authentication.ts';
import { crossOrigin } from './middleware/crossOrigin.ts';
import { keepDigits } from './middleware/keepDigits.ts';
import { requestId } from './middleware/requestId.ts';
import { requestTelemetry } from './middleware/requestTelemetry.ts';
import { requestTracing } from './middleware/requestTracing.ts';
import { noStore, securityHeaders } from './middleware/securityHeaders.ts';
import { OperationNames } from './operationNames.ts';
import { plainPosts } from './plainPosts.ts';
import { knownError, problem, tellFailure } from './problem.ts';
import { contentEncoding } from './readBody.ts';
import { requestFacts } from './requestFacts.ts';
import { alertRuleRoutes } from './routes/alertRules.ts';
import { auditLogRoutes } from './routes/auditLog.ts';
import { backfillRoutes } from './routes/backfills.ts';
import { correctionRoutes } from './routes/corrections.ts';
import { costRoutes } from './routes/costs.ts';
import { counterRoutes } from './routes/counters.ts';
import { customerRoutes } from './routes/customers.ts';
import { deliveryRoutes } from './routes/deliveries.ts';
import { descriptionRoutes } from './routes/description.ts';
import { eventRoutes } from './routes/events.ts';
import { eventVersionRoutes } from './routes/eventVersions.ts';
import { keyRoutes } from './routes/keys.ts';
import { liveRoutes } from './routes/live.ts';
import { liveViewRoutes } from './routes/liveView.ts';
import { meterRoutes } from './routes/meters.ts';
import { operationRoutes } from './routes/operations.ts';
import { portalRoutes } from './routes/portal.ts';
import { portalTokenRoutes } from './routes/portalTokens.ts';
import { priceRoutes } from './routes/prices.ts';
import { rankingRoutes } from './routes/ranking.ts';
import { recordRoutes } from './routes/records.ts';
import { revisionCountRoutes } from './routes/revisionCounts.ts';
import { sessionRoutes } from './routes/sessions.ts';
import { subscriptionRoutes } from './routes/subscriptions.ts';
import { summaryRoutes } from './routes/summaries.ts';
import { tenantRoutes } from './routes/tenants.ts';
import { usageRoutes } from './routes/usage.ts';
import { windowHistoryRoutes } from './routes/windowHistory.ts';
import { windowRoutes } from './routes/windows.ts';
import type { Services } from './services.ts';

/** Bodies of the administration; events have a limit of their own, see readBody.ts. */
const MAX_SMALL_BODY_BYTES = 65_536;
const ADMINISTRATION = [
  'tenants',
  'customers',
  'keys',
  'subscriptions',
  'alert-rules',
  'meters',
  'prices',
  'portal-tokens',
  'backfills',
];
/** Of those that take lists. */
const MAX_BODY_BYTES: Partial<Record<string, number>> = { prices: 1_048_576 };

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
  speakAsClients(app); // first: who has no key is told so in the words of its client
  for (const path of ['/v1/*', '/increment', ...OUTSIDE_V1]) {
    app.use(path, noStore);
    if (services.config.http.corsOrigins.length > 0)
      app.use(path, crossOrigin(services.config.http.corsOrigins));
    app.use(path, authentication(services));
  }
  for (const name of ADMINISTRATION) {
    const path = `/v1/${name}/*`;
    const maxSize = MAX_BODY_BYTES[name] ?? MAX_SMALL_BODY_BYTES;
    app.use(path, async (c, next) => {
      contentEncoding(c, []);
      await next();
    });
    app.use(path, bodyLimit({ maxSize, onError: () => bodyTooLarge(maxSize) }), keepDigits());
  }
  app.onError((error, c) => {
    const known = knownError(error);
    services.httpMetrics.refused(known.code);
    tellFailure(error, known, services.log, () => requestFacts(c, names.of(c)));
    return answerError(c, known);
  });
  app.notFound((c) => {
    services.httpMetrics.refused('not_found');
    return answerError(
      c,
      new TidemarkError('not_found', 'there is nothing at this path; /docs shows what there is'),
    );
  });

  eventRoutes(app, services);
  correctionRoutes(app, services);
  eventVersionRoutes(app, services);
  windowHistoryRoutes(app, services);
  revisionCountRoutes(app, services);
  backfillRoutes(app, services);
  recordRoutes(app, services);
  counterRoutes(app, services);
  windowRoutes(app, services);
  summaryRoutes(app, services);
  usageRoutes(app, services);
  rankingRoutes(app, services);
  sessionRoutes(app, services);
  meterRoutes(app, services);
  priceRoutes(app, services);
  costRoutes(app, services);
  liveRoutes(app, services);
  liveViewRoutes(app, services);
  tenantRoutes(app, services);
  customerRoutes(app, services);
  keyRoutes(app, services);
  portalTokenRoutes(app, services);
  portalRoutes(app, services);
  subscriptionRoutes(app, services);
  alertRuleRoutes(app, services);
  auditLogRoutes(app, services);
  deliveryRoutes(app, services);
  operationRoutes(app, services);
  clientRoutes(app, services);
  descriptionRoutes(app, services);
  embedRoute(app);
  if (services.config.http.console) consoleRoutes(app, services);
  refuseOtherMethods(app);
  names = new OperationNames(app);
  app.plainPosts = plainPosts(services);
  return app;
}

function answerError(c: Context<AppEnv>, error: TidemarkError): Response {
  return (c.get('refuse') ?? problem)(c, error);
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

function bodyTooLarge(maxSize: number): never {
  throw new TidemarkError('body_too_large', `a body may have at most ${maxSize} bytes here`);
}
