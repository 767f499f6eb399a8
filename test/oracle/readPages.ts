import { expect } from 'vitest';
import type { Answer } from '../support/service.ts';
import type { Instance } from '../support/world.ts';

/**
 * All pages of a list, while anything may happen to the instance.
 *
 * @param path with its parameters.
 * @param mayBeGone whether a 404 is no fault.
 * @returns null where it has not answered, or has said 503.
 */
export async function readPages<Row>(
  instance: Instance,
  path: string,
  key: string,
  mayBeGone: () => boolean = () => false,
): Promise<Row[] | null> {
  const rows: Row[] = [];
  let cursor: string | null = null;
  do {
    const next: string = cursor === null ? path : `${path}&cursor=${encodeURIComponent(cursor)}`;
    const answer: Answer | null = await instance.call('GET', next, key);
    if (answer?.status !== 200) {
      if (answer && !(answer.status === 404 && mayBeGone())) {
        expect(answer.status, JSON.stringify(answer.body)).toBe(503);
      }
      return null;
    }
    rows.push(...answer.body.data);
    cursor = answer.body.nextCursor;
  } while (cursor !== null);
  return rows;
}
