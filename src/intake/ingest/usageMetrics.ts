import { Counter, type Registry } from 'prom-client';
import type { AiUsageVerdict } from '../../model/usageEvent.ts';
import { SHAPES } from '../events/aiUsage/providers.ts';

const STATUSES = ['counted', 'unknown', 'unrecognised'] as const;

/** Counts usage objects, by what became of them. An increment by labels costs as much as reading one: they are told when asked. */
export class UsageMetrics {
  private readonly counts = new Map<string, Record<AiUsageVerdict['status'], number>>();

  constructor(registry: Registry) {
    const { counts } = this;
    for (const shape of [...SHAPES.map(({ name }) => name), 'none']) {
      counts.set(shape, { counted: 0, unknown: 0, unrecognised: 0 });
    }
    new Counter({
      name: 'tidemark_ai_usage_total',
      help: 'Events with a usage object of an AI provider handed to the writers, by what it said and the shape it had',
      labelNames: ['status', 'shape'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [shape, ofShape] of counts) {
          for (const status of STATUSES) this.inc({ status, shape }, ofShape[status]);
        }
      },
    });
  }

  count({ shape, status }: AiUsageVerdict): void {
    this.counts.get(shape)![status]++;
  }
}
