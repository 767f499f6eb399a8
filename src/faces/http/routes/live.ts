import { createRoute, z } from '@hono/zod-openapi';
import { WINDOW_MS, windowStart } from '../../../model/window.ts';
import { anyCorrected } from '../../../sums/live/anyCorrected.ts';
import type { LiveSums } from '../../../sums/live/liveCounters.ts';
import { averageMs } from '../../../sums/rollups/latencyHistogram.ts';
import { windowTotals } from '../../../sums/rollups/windowTotals.ts';
import type { App } from '../appEnv.ts';
import { tenantOf } from '../context.ts';
import { id, json, security, tenantFailures, tenantHeader, windowSums } from '../schemas.ts';
import type { Services } from '../services.ts';

const LiveWindow = z
  .object({
    windowStart: z.string(),
    windowEnd: z.string(),
    ...windowSums,
  })
  .openapi('LiveWindow');

const Live = z
  .object({
    tenantId: z.string(),
    customerId: z.string().nullable(),
    source: z.enum(['redis', 'memory', 'database']).openapi({ description: 'Where the sums come from.' }),
    asOf: z.string(),
    current: LiveWindow,
    previous: LiveWindow,
  })
  .openapi('Live');

const getLive = createRoute({
  method: 'get',
  path: '/v1/live',
  operationId: 'liveSums',
  tags: ['Summaries'],
  summary: 'Running sums of the current and the previous window',
  description:
    'Of the whole tenant, or of one customer. From the live counters, or from the database without them.',
  security,
  request: { headers: tenantHeader, query: z.strictObject({ customerId: id.optional() }) },
  responses: { 200: json(Live, 'The sums'), ...tenantFailures },
});

export function liveRoutes(app: App, services: Services): void {
  const { live, reads } = services;
  app.openapi(getLive, async (c) => {
    const context = await tenantOf(c, services, 'read');
    const { customerId } = c.req.valid('query');
    const now = Date.now();
    const starts = [windowStart(now) - WINDOW_MS, windowStart(now)];
    const misled = live.store === 'memory' && (await anyCorrected(reads, context, starts));
    const counted = misled ? null : await live.read(context.tenantId, customerId ?? null, starts);
    const [previous, current] =
      counted ?? (await reads.inOneMoment(context, (db) => windowTotals(db, context, customerId, starts)));
    const source = counted && live.store !== 'none' ? live.store : ('database' as const);
    return c.json(
      {
        tenantId: context.tenantId,
        customerId: customerId ?? null,
        source,
        asOf: new Date(now).toISOString(),
        current: toWindow(starts[1]!, current!),
        previous: toWindow(starts[0]!, previous!),
      },
      200,
    );
  });
}

function toWindow(start: number, sums: LiveSums): z.infer<typeof LiveWindow> {
  const { latencyCount, latencySumMs } = sums;
  return {
    windowStart: new Date(start).toISOString(),
    windowEnd: new Date(start + WINDOW_MS).toISOString(),
    totalCalls: sums.calls,
    totalTokens: sums.tokens,
    totalInputTokens: sums.inputTokens,
    totalOutputTokens: sums.outputTokens,
    avgLatencyMs: averageMs(latencySumMs, latencyCount),
    byEndpoint: sums.byEndpoint,
    byModel: sums.byModel,
  };
}
