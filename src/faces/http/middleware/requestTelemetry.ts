import { createMiddleware } from 'hono/factory';
import type { Logger } from '../../../ground/telemetry/logger.ts';
import type { AppEnv } from '../appEnv.ts';
import type { HttpMetrics } from '../httpMetrics.ts';
import { knownMethod, type OperationNames } from '../operationNames.ts';
import { type RequestFacts, requestFacts } from '../requestFacts.ts';

/** From how long on a request has its line at the level `info`, in ms. */
const SLOW_MS = 1_000;

/**
 * Measures every request, and logs it: at `debug`, since a line per request costs more than many requests do, but at
 * `info` where it was slow. What fails has a line of its own, by handleError.
 */
export function requestTelemetry(operations: () => OperationNames, metrics: HttpMetrics, log: Logger) {
  return createMiddleware<AppEnv>(async (c, next) => {
    const started = performance.now();
    metrics.active++;
    try {
      await next();
    } finally {
      metrics.active--;
    }
    const durationMs = performance.now() - started;
    const route = operations().of(c);
    const { status } = c.res;
    metrics.answered(knownMethod(c.req.method), route, status, durationMs / 1_000);
    tellAnswered(log, status, durationMs, () => requestFacts(c, route));
  });
}

/** The line of a request that has been answered, where it has one. */
export function tellAnswered(
  log: Logger,
  status: number,
  durationMs: number,
  facts: () => RequestFacts,
): void {
  const slow = durationMs >= SLOW_MS;
  if (!log.isLevelEnabled(slow ? 'info' : 'debug')) return;
  const line = { ...facts(), status, durationMs: Math.round(durationMs * 1_000) / 1_000 };
  if (slow) log.info(line, 'slow request');
  else log.debug(line, 'request');
}
