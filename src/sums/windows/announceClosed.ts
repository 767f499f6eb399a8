import type pg from 'pg';
import { inOneSnapshot } from './inOneSnapshot.ts';

/** Windows announced in one transaction: ten minutes of them. */
const WINDOWS_PER_STEP = 20;

/**
 * Writes `window.closed` messages for what has closed into the outbox, for tenants that have asked for them.
 *
 * @returns whether there is more to do. Also false when another instance is at it.
 */
export async function announceClosed(client: pg.Client): Promise<boolean> {
  const done = await inOneSnapshot<{ more: boolean }>(
    client,
    () => `select announce_closed_windows(${WINDOWS_PER_STEP}) as more`,
  );
  return done?.more ?? false;
}
