import type { Site } from '../site.ts';
import { DISK_MB } from '../smallDisk.ts';
import type { Fault } from '../trial.ts';

/** The server refuses what needs room (53100), and goes on serving the rest. */
export const dataDiskFull: Fault = {
  name: 'dataDiskFull',
  description: 'no room for data (53100)',
  short: { times: 1, holdMs: 2_500 },
  long: { times: 5, holdMs: 15_000 },
  smallDisk: 'base',
  readiness: 'ready', // it answers, and serves reads
  async run(trial, { times, holdMs }) {
    const disk = trial.site.disk!;
    for (let i = 0; i < times; i++) {
      await trial.outage({ begin: () => disk.fill(), holdMs, end: () => disk.clear() });
    }
  },
};

/** The server ends itself (PANIC); when there is room again, it is started where it has not come back by itself. */
export const walDiskFull: Fault = {
  name: 'walDiskFull',
  description: 'no room for the write-ahead log: the server panics',
  short: { times: 1, holdMs: 2_000 },
  long: { times: 5, holdMs: 15_000 },
  smallDisk: 'pg_wal',
  async run(trial, { times, holdMs }) {
    const { site } = trial;
    const disk = site.disk!;
    for (let i = 0; i < times; i++) {
      await trial.outage({
        async begin() {
          await disk.fill();
          await useUpSegments(site);
        },
        holdMs,
        async end() {
          await disk.clear();
          if (!site.cluster.alive) await site.cluster.start();
          await site.databaseAnswers();
        },
      });
    }
  },
};

/** Segments are 16 MB, and some lie ready: they are passed over until the server needs one that it cannot have. */
async function useUpSegments(site: Site): Promise<void> {
  for (let i = 0; i < DISK_MB / 16 + 2; i++) {
    const went = await site.sql
      .query('select pg_logical_emit_message(false, $1, $1), pg_switch_wal()', [''])
      .then(
        () => true,
        () => false,
      );
    if (!went) return;
  }
}
