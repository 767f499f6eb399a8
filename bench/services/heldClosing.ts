import pg from 'pg';
import { gaveWay } from '../../src/ground/db/sqlstate.ts';
import { closeWindows } from '../../src/sums/windows/closeWindows.ts';

/** The closing of windows in the hand of a benchmark: time is what it says. */
export interface HeldClosing {
  client: pg.Client;
  /** Closes all windows that ended before a moment, ms since the epoch, unless batches are in the way just now. */
  closeUntil(ms: number): Promise<void>;
  /** Leaves closing to the service again. */
  release(): Promise<void>;
}

/** As by default: how long batches under way are waited for, and after how long one that sends nothing is ended, in ms. */
const LIMITS = { lockTimeoutMs: 500, stalledMs: 5_000 };

/**
 * Takes the lock of whoever closes windows, so that a service finds another one at it, again and again. Events of the
 * past are then none that come late, for as long as the windows of their time are not closed here.
 */
export async function holdClosing(url: string): Promise<HeldClosing> {
  const client = new pg.Client(url);
  client.on('error', () => undefined);
  await client.connect();
  await client.query(`select pg_advisory_lock(hashtext('tidemark.closer'))`);
  return {
    client,
    async closeUntil(ms) {
      await closeWindows(client, { ...LIMITS, graceMs: Date.now() - ms }).catch((error) => {
        if (!gaveWay(error)) throw error;
      });
    },
    release: () => client.end(),
  };
}
