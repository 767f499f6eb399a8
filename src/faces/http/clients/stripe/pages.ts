import type { Context } from 'hono';
import { TidemarkError } from '../../../../model/errors.ts';
import type { AppEnv } from '../../appEnv.ts';

const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 100;

/** How many things a page is to have. @throws {TidemarkError} `invalid_request`. */
export function limitOf(c: Context<AppEnv>): number {
  const sent = c.req.query('limit');
  if (sent === undefined) return DEFAULT_LIMIT;
  const limit = /^\d{1,3}$/.test(sent) ? Number(sent) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new TidemarkError('invalid_request', `limit must be a number from 1 to ${MAX_LIMIT}`);
}

/**
 * The page of a list that is asked for: behind the thing `starting_after`, or before `ending_before`.
 *
 * @throws {TidemarkError} `invalid_request` where there is no such thing.
 */
export function pageOfList<Thing extends { id: string }>(
  c: Context<AppEnv>,
  all: Thing[],
): { data: Thing[]; has_more: boolean } {
  const limit = limitOf(c);
  const { starting_after, ending_before } = c.req.query();
  if (ending_before !== undefined) {
    const end = placeOf(all, ending_before, 'ending_before');
    const start = Math.max(0, end - limit);
    return { data: all.slice(start, end), has_more: start > 0 };
  }
  const start = starting_after === undefined ? 0 : placeOf(all, starting_after, 'starting_after') + 1;
  return { data: all.slice(start, start + limit), has_more: start + limit < all.length };
}

function placeOf(all: { id: string }[], id: string, parameter: string): number {
  const place = all.findIndex((thing) => thing.id === id);
  if (place < 0) throw new TidemarkError('invalid_request', `${parameter}: there is no ${id} in the list`);
  return place;
}
