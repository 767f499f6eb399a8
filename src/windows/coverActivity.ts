import type pg from 'pg';
import { inOneSnapshot } from './inOneSnapshot.ts';

/** Changed windows of a tenant, over all its customers, brought in at a time. */
const WINDOWS_PER_ROUND = 2_000;

/**
 * Brings what has closed, and what late events have changed since, into the activity tables (`cover_activity` in the
 * migrations says how). One call, on both engines.
 *
 * @returns whether there is more to do. Also false when another instance is at it.
 */
export async function coverActivity(client: pg.Client, stepMinutes: number): Promise<boolean> {
  const done = await inOneSnapshot<{ more: boolean }>(
    client,
    `select more from cover_activity(${Number(stepMinutes)} * interval '1 minute', ${WINDOWS_PER_ROUND})`,
  );
  return done?.more ?? false;
}
