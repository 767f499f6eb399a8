import { createRoute, z } from '@hono/zod-openapi';
import type { App } from '../appEnv.ts';
import { json } from '../schemas.ts';
import type { Services } from '../services.ts';

const Health = z.object({ status: z.literal('ok') }).openapi('Health');
const Readiness = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    database: z.enum(['ok', 'unavailable']),
    live: z
      .enum(['ok', 'unavailable', 'off'])
      .openapi({ description: 'Live counters: never a reason not to be ready.' }),
    draining: z.boolean(),
  })
  .openapi('Readiness');

const healthz = createRoute({
  method: 'get',
  path: '/healthz',
  operationId: 'health',
  tags: ['Operation'],
  summary: 'Whether the process is alive',
  responses: { 200: json(Health, 'Alive') },
});

const readyz = createRoute({
  method: 'get',
  path: '/readyz',
  operationId: 'readiness',
  tags: ['Operation'],
  summary: 'Whether requests should be sent here',
  responses: { 200: json(Readiness, 'Ready'), 503: json(Readiness, 'Not ready: no database, or stopping') },
});

const metrics = createRoute({
  method: 'get',
  path: '/metrics',
  operationId: 'metrics',
  tags: ['Operation'],
  summary: 'Prometheus metrics',
  responses: { 200: { description: 'Metrics', content: { 'text/plain': { schema: z.string() } } } },
});

export function operationRoutes(app: App, services: Services): void {
  const { breaker, live, registry } = services;

  app.openapi(healthz, (c) => c.json({ status: 'ok' as const }, 200));

  app.openapi(readyz, (c) => {
    const draining = !services.accepting();
    const database = !breaker.open;
    const ready = database && !draining;
    return c.json(
      {
        status: ready ? ('ready' as const) : ('not_ready' as const),
        database: database ? ('ok' as const) : ('unavailable' as const),
        live:
          live.store === 'none'
            ? ('off' as const)
            : live.healthy()
              ? ('ok' as const)
              : ('unavailable' as const),
        draining,
      },
      ready ? 200 : 503,
    );
  });

  app.openapi(metrics, async (c) =>
    c.text(await registry.metrics(), 200, { 'Content-Type': registry.contentType }),
  );
}
