import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { LiveCounterId, LiveCounters, LiveIncrement, LiveSums } from './liveCounters.ts';

/** Live counters, and metrics of what they do. */
export class MeteredLiveCounters implements LiveCounters {
  private readonly counters: LiveCounters;
  private readonly reads: Counter<'source'>;
  private readonly increments: Counter;
  private readonly addSeconds: Histogram;

  constructor(counters: LiveCounters, registry: Registry) {
    const registers = [registry];
    const { store } = counters;
    this.counters = counters;
    new Gauge({
      name: 'tidemark_live_up',
      help: 'Whether the live counters can answer, by where they are: redis, memory, none (never)',
      labelNames: ['store'],
      registers,
      collect() {
        this.set({ store }, store !== 'none' && counters.healthy() ? 1 : 0);
      },
    });
    this.reads = new Counter({
      name: 'tidemark_live_reads_total',
      help: 'Reads of running sums, by what answered: counters, or database where the counters could not',
      labelNames: ['source'],
      registers,
    });
    this.increments = new Counter({
      name: 'tidemark_live_increments_total',
      help: 'Increments handed to the live counters: one for each counter that a batch adds to',
      registers,
    });
    this.addSeconds = new Histogram({
      name: 'tidemark_live_add_seconds',
      help: 'Time for the live counters to take the sums of a batch, which nobody waits for',
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5],
      registers,
    });
  }

  get store(): LiveCounters['store'] {
    return this.counters.store;
  }

  async add(increments: LiveIncrement[]): Promise<void> {
    this.increments.inc(increments.length);
    const end = this.addSeconds.startTimer();
    await this.counters.add(increments);
    end();
  }

  async read(
    tenantId: string,
    customerId: string | null,
    windowStarts: number[],
  ): Promise<LiveSums[] | null> {
    const sums = await this.counters.read(tenantId, customerId, windowStarts);
    this.reads.inc({ source: sums === null ? 'database' : 'counters' });
    return sums;
  }

  distrust(counters: LiveCounterId[]): Promise<void> {
    return this.counters.distrust(counters);
  }

  healthy(): boolean {
    return this.counters.healthy();
  }

  close(): Promise<void> {
    return this.counters.close();
  }
}
