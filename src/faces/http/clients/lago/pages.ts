import type { Context } from 'hono';
import { TidemarkError } from '../../../../model/errors.ts';
import type { AppEnv } from '../../appEnv.ts';

const DEFAULT_PER_PAGE = 20;
const MAX_PER_PAGE = 1_000;

/** Which page is asked for, from 1. @throws {TidemarkError} `invalid_request`. */
export function requirePage(c: Context<AppEnv>): { page: number; perPage: number } {
  return {
    page: positive('page', c.req.query('page'), 1, Number.MAX_SAFE_INTEGER),
    perPage: positive('per_page', c.req.query('per_page'), DEFAULT_PER_PAGE, MAX_PER_PAGE),
  };
}

/** What Lago says of a page. */
export function pageMeta(page: number, perPage: number, total: number) {
  const pages = Math.ceil(total / perPage);
  return {
    current_page: page,
    next_page: page < pages ? page + 1 : null,
    prev_page: page > 1 ? page - 1 : null,
    total_pages: pages,
    total_count: total,
  };
}

function positive(name: string, text: string | undefined, otherwise: number, most: number): number {
  if (text === undefined) return otherwise;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= most) return value;
  throw new TidemarkError('invalid_request', `${name} must be a number from 1 to ${most}`);
}
