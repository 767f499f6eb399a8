import type { TelemetryConfig } from '../config/telemetry.ts';
import type { Logger } from './logger.ts';
import { NO_TRACING, type Tracing } from './tracing.ts';

/** Begins to trace where that is configured; otherwise OpenTelemetry's SDK is not even loaded. */
export async function startTracing({ traces }: TelemetryConfig, log: Logger): Promise<Tracing> {
  if (traces === null) return NO_TRACING;
  const { OtlpTracing } = await import('./otlpTracing.ts');
  return OtlpTracing.start(traces, log);
}
