import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { VERSION } from '../version.ts';
import type { Tracing } from './tracing.ts';

/**
 * A registry of its own per service, so that two services in one process (tests) do not share counts.
 * docs/telemetry.md lists every metric; a test holds the two against each other.
 */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** What runs here. */
export function registerBuildInfo(registry: Registry, engine: string): void {
  const info = new Gauge({
    name: 'tidemark_build_info',
    help: 'Always 1; its labels say what runs: version of the service, rollup engine, version of Node.js',
    labelNames: ['version', 'engine', 'node'],
    registers: [registry],
  });
  info.set({ version: VERSION, engine, node: process.versions.node }, 1);
}

/** How the spans fare that are sent, if any are. */
export function registerTracing(registry: Registry, tracing: Pick<Tracing, 'exported' | 'failed'>): void {
  new Counter({
    name: 'tidemark_trace_spans_total',
    help: 'Spans handed to the collector, by outcome: exported, or failed (and dropped)',
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      this.reset();
      this.inc({ outcome: 'exported' }, tracing.exported);
      this.inc({ outcome: 'failed' }, tracing.failed);
    },
  });
}
