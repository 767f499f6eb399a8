import { setTimeout as sleep } from 'node:timers/promises';
import { context, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { type ExportResult, ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  type ReadableSpan,
  type SpanExporter,
} from '@opentelemetry/sdk-trace-base';
import { ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from '@opentelemetry/semantic-conventions';
import type { TelemetryConfig } from '../config/telemetry.ts';
import { VERSION } from '../version.ts';
import type { Logger } from './logger.ts';
import { createSampler } from './sampler.ts';
import type { Tracing } from './tracing.ts';

type TracesConfig = NonNullable<TelemetryConfig['traces']>;

/**
 * Sends spans to a collector by OTLP over HTTP. They wait in a bounded queue of the SDK and are dropped when it is full:
 * a collector that is away costs spans and nothing else.
 *
 * The SDK reads more of the environment by itself: OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME,
 * OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_*, OTEL_SPAN_*_LIMIT and the exporter's timeout and compression.
 */
export class OtlpTracing implements Tracing, SpanExporter {
  exported = 0;
  failed = 0;
  private reported: boolean | undefined;
  private readonly exporter: SpanExporter;
  private readonly log: Logger;
  private provider: BasicTracerProvider | undefined;

  private constructor(exporter: SpanExporter, log: Logger) {
    this.exporter = exporter;
    this.log = log;
  }

  static async start(config: TracesConfig, log: Logger): Promise<OtlpTracing> {
    const url = `${config.endpoint.replace(/\/+$/, '')}/v1/traces`;
    const { OTLPTraceExporter } =
      config.protocol === 'http/json'
        ? await import('@opentelemetry/exporter-trace-otlp-http')
        : await import('@opentelemetry/exporter-trace-otlp-proto');
    const tracing = new OtlpTracing(new OTLPTraceExporter({ url }), log);
    tracing.provider = new BasicTracerProvider({
      resource: resourceFromAttributes({
        [ATTR_SERVICE_NAME]: 'tidemark',
        [ATTR_SERVICE_VERSION]: VERSION,
      }).merge(detectResources({ detectors: [envDetector] })),
      sampler: createSampler(config.sampler, config.ratio),
      spanProcessors: [new BatchSpanProcessor(tracing)],
    });
    trace.setGlobalTracerProvider(tracing.provider);
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    // Trace context only: what callers put into baggage is not for the receivers of webhooks.
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    log.info({ url, sampler: config.sampler }, 'tracing');
    return tracing;
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.exporter.export(spans, (result) => {
      const taken = result.code === ExportResultCode.SUCCESS;
      if (taken) this.exported += spans.length;
      else this.failed += spans.length;
      this.report(taken, result.error);
      done({ code: ExportResultCode.SUCCESS }); // the SDK would only print it
    });
  }

  shutdown(): Promise<void> {
    return this.exporter.shutdown();
  }

  async forceFlush(): Promise<void> {
    await this.exporter.forceFlush?.();
  }

  async close(timeoutMs: number): Promise<void> {
    const stopped = this.provider?.shutdown().catch((error) => this.report(false, error));
    await Promise.race([stopped, sleep(timeoutMs, undefined, { ref: false })]);
    trace.disable();
    context.disable();
    propagation.disable();
  }

  /** Once each time the collector goes or comes back. */
  private report(taken: boolean, cause: Error | undefined): void {
    if (this.reported === taken) return;
    if (!taken) this.log.warn({ err: cause }, 'the collector does not take spans; they are dropped');
    else if (this.reported === false) this.log.info('the collector takes spans again');
    this.reported = taken;
  }
}
