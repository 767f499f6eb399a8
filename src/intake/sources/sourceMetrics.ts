import { Counter, Gauge, type Registry } from 'prom-client';
import type { SourceStatus } from './source.ts';

export interface WatchedSource {
  name: string;
  healthy(): boolean;
  status(): Promise<SourceStatus>;
}

/** Metrics of all sources. Counts are of this instance; pending and lag are of the queue, the same in all of them. */
export class SourceMetrics {
  readonly entries: Counter<'source' | 'outcome'>;
  readonly rejected: Counter<'source' | 'reason'>;
  readonly reclaimed: Counter<'source'>;
  readonly retries: Counter<'source' | 'reason'>;
  private readonly watched: WatchedSource[] = [];
  private asked: Promise<[string, SourceStatus][]> | undefined;

  constructor(registry: Registry) {
    const registers = [registry];
    this.entries = new Counter({
      name: 'tidemark_source_entries_total',
      help: 'Entries of queues that are settled: stored, duplicate (nothing in them was new) or rejected',
      labelNames: ['source', 'outcome'],
      registers,
    });
    this.rejected = new Counter({
      name: 'tidemark_source_rejected_total',
      help: 'Entries of queues that became dead letters, by the code of their first fault',
      labelNames: ['source', 'reason'],
      registers,
    });
    this.reclaimed = new Counter({
      name: 'tidemark_source_reclaimed_total',
      help: 'Entries of queues that had been delivered before, to an instance that did not settle them',
      labelNames: ['source'],
      registers,
    });
    this.retries = new Counter({
      name: 'tidemark_source_retries_total',
      help: 'Times that an entry had to wait, by the code of what it waited for',
      labelNames: ['source', 'reason'],
      registers,
    });
    const { watched } = this;
    new Gauge({
      name: 'tidemark_source_up',
      help: 'Whether the queue can be read',
      labelNames: ['source'],
      registers,
      collect() {
        for (const source of watched) this.set({ source: source.name }, source.healthy() ? 1 : 0);
      },
    });
    const gauge = (name: string, help: string, value: (status: SourceStatus) => number | null) => {
      const statuses = () => this.statuses();
      new Gauge({
        name,
        help,
        labelNames: ['source'],
        registers,
        async collect() {
          this.reset();
          for (const [source, status] of await statuses()) {
            const known = value(status);
            if (known !== null) this.set({ source }, known);
          }
        },
      });
    };
    gauge(
      'tidemark_source_pending',
      'Entries delivered to an instance and not settled yet',
      (s) => s.pending,
    );
    gauge(
      'tidemark_source_lag',
      'Entries not delivered yet; missing where the queue cannot tell',
      (s) => s.lag,
    );
  }

  watch(source: WatchedSource): void {
    this.watched.push(source);
    // From 0 on, so that a rate sees the first one.
    for (const outcome of ['stored', 'duplicate', 'rejected'])
      this.entries.inc({ source: source.name, outcome }, 0);
  }

  /** Of the sources that can be asked: a scrape does not wait for others. One answer serves all gauges. */
  private statuses(): Promise<[string, SourceStatus][]> {
    this.asked ??= Promise.all(
      this.watched
        .filter((source) => source.healthy())
        .map(async ({ name, status }) => [name, await status().catch(() => null)] as const),
    )
      .then((answers) => answers.filter((answer) => answer[1] !== null) as [string, SourceStatus][])
      .finally(() => {
        this.asked = undefined;
      });
    return this.asked;
  }
}
