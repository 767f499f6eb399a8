import type pg from 'pg';
import { inOneSnapshot } from './inOneSnapshot.ts';

/**
 * A step of adding up the revisions of late windows that were covered before there were sums of them (`sum_late_windows` in
 * migrations/functions). Once all are, none is needed any more.
 *
 * @returns whether there is more to do; null while another instance is at it, or covers.
 */
export async function sumLateWindows(client: pg.Client): Promise<boolean | null> {
  const row = await inOneSnapshot<{ more: boolean | null }>(
    client,
    () => 'select sum_late_windows() as more',
  );
  return row?.more ?? null;
}
