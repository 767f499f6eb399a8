import { Counter, type Registry } from 'prom-client';
import type { Signal } from '../../intake/events/otlp/otlpItem.ts';

/** What became of a span or log record: usage of its own, that of another one, none, or refused. */
const OUTCOMES = ['usage', 'repeated', 'ignored', 'rejected'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Metrics of what comes by OTLP. */
export class OtlpMetrics {
  private readonly items: Counter<'signal' | 'outcome'>;
  private readonly unknown: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.items = new Counter({
      name: 'tidemark_otlp_items_total',
      help: 'Spans and log records received by OTLP, by what became of them: usage, repeated (of a call that another tells of), ignored (no usage) or rejected',
      labelNames: ['signal', 'outcome'],
      registers,
    });
    this.unknown = new Counter({
      name: 'tidemark_otlp_calls_without_counts_total',
      help: 'Calls of models received by OTLP whose emitter does not tell, or contradicts itself about, their tokens',
      registers,
    });
    for (const signal of ['traces', 'logs'] as const) {
      for (const outcome of OUTCOMES) this.items.inc({ signal, outcome }, 0);
    }
  }

  count(signal: Signal, counts: Readonly<Record<Outcome, number>>, withoutCounts: number): void {
    for (const outcome of OUTCOMES) this.items.inc({ signal, outcome }, counts[outcome]);
    this.unknown.inc(withoutCounts);
  }
}
