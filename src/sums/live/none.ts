import type { LiveCounters } from './liveCounters.ts';

/** No counters: every live read is answered by the database. */
export class NoLiveCounters implements LiveCounters {
  readonly store = 'none';

  async add(): Promise<void> {}

  async distrust(): Promise<void> {}

  async read(): Promise<null> {
    return null;
  }

  healthy(): boolean {
    return true;
  }

  async close(): Promise<void> {}
}
