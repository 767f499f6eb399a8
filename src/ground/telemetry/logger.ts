import { isSpanContextValid, trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { Config } from '../config/loadConfig.ts';
import { loggedError } from './loggedError.ts';

export type { Logger };

/**
 * JSON lines on standard output, one for each thing that happened. What clients send is not in them, nor secrets:
 * errors are told by `loggedError`, requests by what the middleware picks. While a trace is recorded, its lines name it.
 *
 * @param destination default: standard output.
 */
export function createLogger(config: Pick<Config, 'logLevel'>, destination?: DestinationStream): Logger {
  const options = {
    level: config.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: loggedError },
    mixin: traceIds,
  };
  return destination ? pino(options, destination) : pino(options);
}

/** By the names of OpenTelemetry's log formats other than OTLP. */
function traceIds(): object {
  const span = trace.getActiveSpan()?.spanContext();
  return span && isSpanContextValid(span) ? { trace_id: span.traceId, span_id: span.spanId } : {};
}
