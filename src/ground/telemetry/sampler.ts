import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  ParentBasedSampler,
  type Sampler,
  SamplingDecision,
  type SamplingResult,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import type { SamplerName } from '../config/telemetry.ts';

/** The sampler of that name, as the OpenTelemetry specification has them, and with `followingLinks`. */
export function createSampler(name: SamplerName, ratio: number): Sampler {
  const base = name.replace('parentbased_', '');
  const root =
    base === 'always_on'
      ? new AlwaysOnSampler()
      : base === 'always_off'
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(ratio);
  return followingLinks(base === name ? root : new ParentBasedSampler({ root }));
}

/** A span that is linked to others is of a batch, and its links are to requests that are recorded: so is it. */
function followingLinks(sampler: Sampler): Sampler {
  return {
    shouldSample(context, traceId, name, kind, attributes, links): SamplingResult {
      if (links.length > 0) return { decision: SamplingDecision.RECORD_AND_SAMPLED };
      return sampler.shouldSample(context, traceId, name, kind, attributes, links);
    },
    toString: () => `FollowingLinks{${sampler}}`,
  };
}
