import { setTimeout as sleep } from 'node:timers/promises';
import type { Rejection, Source, SourceEntry, SourceStatus } from '../../src/intake/sources/source.ts';

type Contents = Partial<Pick<SourceEntry, 'body' | 'type' | 'tenantId' | 'idempotencyKey'>>;

interface Held {
  entry: SourceEntry;
  owner: MemorySource;
  since: number;
}

/** A queue in this process, which several sources share as instances share one. */
export class MemoryQueue {
  readonly waiting: SourceEntry[] = [];
  readonly held = new Map<string, Held>();
  readonly dead: { entry: SourceEntry; reason: Rejection }[] = [];
  readonly claimAfterMs: number;
  /** Thrown by whatever is asked of the queue meanwhile. */
  away: Error | null = null;
  private added = 0;

  constructor(claimAfterMs: number) {
    this.claimAfterMs = claimAfterMs;
  }

  add(contents: Contents): string {
    const id = String(++this.added);
    this.waiting.push({
      id,
      origin: `memory ${id}`,
      body: Buffer.alloc(0),
      type: null,
      tenantId: null,
      idempotencyKey: null,
      attributes: null,
      addedMs: Date.now(),
      redelivered: false,
      ...contents,
    });
    return id;
  }
}

export class MemorySource implements Source {
  readonly name = 'memory';
  readonly queue: MemoryQueue;
  readonly batchEntries: number;
  closed = false;

  constructor(queue: MemoryQueue, batchEntries = 10) {
    this.queue = queue;
    this.batchEntries = batchEntries;
  }

  async read(): Promise<SourceEntry[]> {
    this.requireThere();
    const now = performance.now();
    const { waiting, held, claimAfterMs } = this.queue;
    const left = [...held.values()].filter(({ since }) => since <= now - claimAfterMs);
    const entries = [
      ...left.map(({ entry }) => ({ ...entry, redelivered: true })),
      ...waiting.splice(0, Math.max(this.batchEntries - left.length, 0)),
    ];
    for (const entry of entries) held.set(entry.id, { entry, owner: this, since: now });
    if (entries.length === 0) await sleep(5);
    return entries;
  }

  async acknowledge(entries: SourceEntry[]): Promise<void> {
    await sleep(1);
    this.requireThere();
    for (const { id } of entries) this.queue.held.delete(id);
  }

  async reject(entry: SourceEntry, reason: Rejection): Promise<void> {
    this.requireThere();
    this.queue.dead.push({ entry, reason });
    this.queue.held.delete(entry.id);
  }

  async status(): Promise<SourceStatus> {
    return { pending: this.queue.held.size, lag: this.queue.waiting.length };
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  private requireThere(): void {
    if (this.queue.away) throw this.queue.away;
  }
}
