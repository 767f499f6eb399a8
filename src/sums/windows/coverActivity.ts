import type pg from 'pg';
import { inOneSnapshot } from './inOneSnapshot.ts';

/** Changed windows of a tenant, over all its customers, brought in at a time. */
export const CHANGED_PER_ROUND = 2_000;

/**
 * Brings what has closed, and what late events have changed since, into the activity tables (`cover_activity` in
 * migrations/functions says how). One call, on both engines: of fewer changed windows, in the end of none, where chunks are
 * rearranged faster than it gets done.
 *
 * @param changed how many windows that late events have changed, at most.
 * @returns whether there is more to do. Also false when another instance is at it.
 */
export async function coverActivity(
  client: pg.Client,
  stepMinutes: number,
  changed = CHANGED_PER_ROUND,
): Promise<boolean> {
  const done = await inOneSnapshot<{ more: boolean | null }>(client, (repeats) => {
    const most = Math.floor(Number(changed) / 2 ** repeats);
    return `select more from cover_activity(${Number(stepMinutes)} * interval '1 minute', ${most})`;
  });
  return done?.more ?? false;
}
