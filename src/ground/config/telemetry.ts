import { z } from 'zod';
import type { Variables } from './values.ts';

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
export type SamplerName = (typeof SAMPLERS)[number];

/** OpenTelemetry's own names; the SDK reads others by itself (docs/telemetry.md). */
export const telemetryVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: z.url({ protocol: /^https?$/ }).optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: z.enum(['http/protobuf', 'http/json']).default('http/protobuf'),
  OTEL_TRACES_SAMPLER: z.enum(SAMPLERS).default('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).default(1),
};

type Environment = Variables<typeof telemetryVariables>;

export interface TelemetryConfig {
  /** Null: nothing is traced. */
  traces: {
    /** Of a collector; spans go to `/v1/traces` below it. */
    endpoint: string;
    protocol: 'http/protobuf' | 'http/json';
    sampler: SamplerName;
    /** Part of the traces that the ratio samplers keep, 0 to 1. */
    ratio: number;
  } | null;
}

export function telemetryConfig(e: Environment): TelemetryConfig {
  if (e.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return { traces: null };
  return {
    traces: {
      endpoint: e.OTEL_EXPORTER_OTLP_ENDPOINT,
      protocol: e.OTEL_EXPORTER_OTLP_PROTOCOL,
      sampler: e.OTEL_TRACES_SAMPLER,
      ratio: e.OTEL_TRACES_SAMPLER_ARG,
    },
  };
}
