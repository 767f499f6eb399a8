import { setTimeout as sleep } from 'node:timers/promises';
import { interruption } from '../support/interruption.ts';
import { type BenchDatabase, withClient } from '../support/servers.ts';

const CATCH_UP_MS = 1_800_000;

/** Waits until the closer has closed what has ended, refreshed what has closed, and covered it. */
export async function caughtUp({ url, engine }: BenchDatabase): Promise<void> {
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
        `select closed_until > now() - interval '1 minute' and covered_until = closed_until ${refreshed} as done
         from window_state, window_coverage`,
      );
      if (rows[0].done) return;
      if (Date.now() > deadline) throw new Error('the closer does not catch up');
      await sleep(200, undefined, { signal: interruption });
    }
  });
}
