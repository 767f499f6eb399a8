import { setTimeout as sleep } from 'node:timers/promises';
import { interruption } from '../support/interruption.ts';
import { type BenchDatabase, withClient } from '../support/servers.ts';

const CATCH_UP_MS = 1_800_000;

/**
 * Waits until what has ended is closed, what has closed refreshed, and covered.
 *
 * @param until the time, ms since the epoch, up to which it has ended, where it is not a minute ago.
 */
export async function caughtUp({ url, engine }: BenchDatabase, until?: number): Promise<void> {
  const refreshed =
    engine === 'timescale'
      ? `and refreshed_30s = closed_until
         and refreshed_1h = date_bin('1 hour', refreshed_30s, 'epoch')
         and refreshed_1d = date_bin('1 day', refreshed_1h, 'epoch')`
      : '';
  const deadline = Date.now() + CATCH_UP_MS;
  await withClient(url, async (client) => {
    for (;;) {
      const { rows } = await client.query(
        `select closed_until >= coalesce($1, now() - interval '1 minute') and covered_until = closed_until ${refreshed} as done
         from window_state, window_coverage`,
        [until === undefined ? null : new Date(until).toISOString()],
      );
      if (rows[0].done) return;
      if (Date.now() > deadline) throw new Error('the closer does not catch up');
      await sleep(200, undefined, { signal: interruption });
    }
  });
}
