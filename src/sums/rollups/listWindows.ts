import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { lastStatement } from '../../ground/db/tenantReads.ts';
import { WINDOW_MS } from '../../model/window.ts';
import type { AsOf } from '../asof/asOf.ts';
import { windowsInRange, windowsRevised } from './windowStatements.ts';
import { type WindowRow, type WindowSummary, windowSummaries } from './windowSummary.ts';
import { windowsAsOf } from './windowsAsOf.ts';

/** Which windows: `closed` are all that are no longer open, `revised` those of them that have changed since. */
export type WindowState = 'open' | 'closed' | 'revised';

export interface WindowQuery {
  /** [from, to) in ms since the epoch; windows that start in it. */
  from: number;
  to: number;
  customerId?: string | undefined;
  state?: WindowState | undefined;
  /** Left out: as they are now. */
  asOf?: AsOf | undefined;
  cursor?: string | undefined;
  limit: number;
}

const WINDOWS: List = { name: 'windows', key: ['ms', 'text'] };
/** First stretch of time read when a page may hold many customers, in ms; it grows until the page is full. */
const FIRST_SLICE_MS = 20 * WINDOW_MS;

/**
 * Windows with events, by start and customer. A page reads no more time than it takes to fill it, so what it costs
 * follows what it returns and not what is stored.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 */
export async function listWindows(
  db: Queryable,
  context: TenantContext,
  query: WindowQuery,
): Promise<Page<WindowSummary>> {
  const { cursor, limit } = query;
  const after = cursor === undefined ? null : (decodeCursor(cursor, WINDOWS) as WindowPosition);
  const found =
    query.state === 'revised' && query.asOf === undefined
      ? await readRevised(db, context, query, after, limit + 1)
      : await readRange(db, context, query, after, limit + 1);
  return pageOf(found, limit, WINDOWS, positionOf);
}

/** Start (ms) and customer of a window. */
export type WindowPosition = [startMs: number, customerId: string];

export function positionOf(window: WindowSummary): WindowPosition {
  return [Date.parse(window.windowStart), window.customerId];
}

/** At most `most` windows of a range that come after a position. Nothing is read after them. */
export async function readRange(
  db: Queryable,
  context: TenantContext,
  { from, to, customerId, state, asOf }: Pick<WindowQuery, 'from' | 'to' | 'customerId' | 'state' | 'asOf'>,
  after: WindowPosition | null,
  most: number,
): Promise<WindowSummary[]> {
  const statement = windowsInRange(
    state === 'revised' ? 'closed' : (state ?? 'any'),
    customerId !== undefined,
  );
  let at = firstStart(from, after);
  let slice = customerId === undefined ? FIRST_SLICE_MS : most * WINDOW_MS;
  const found: WindowSummary[] = [];
  while (at < to && found.length < most) {
    const end = Math.min(to, at + slice);
    const left = most - found.length;
    const values = [context.tenantId, new Date(at), new Date(end), customerAfter(after, at)];
    const slicing = asOf
      ? await windowsAsOf(
          db,
          context,
          asOf,
          { from: at, to: end, customerId, state },
          customerAfter(after, at),
          left,
        )
      : { ...statement, values: [...values, left, ...(customerId === undefined ? [] : [customerId])] };
    const { rows } = await db.query<WindowRow>(end === to ? lastStatement(slicing) : slicing);
    found.push(...windowSummaries(context, rows));
    at = end;
    slice *= 4;
  }
  return found;
}

/**
 * At most `most` revised windows of a range that come after a position.
 *
 * @param revised only those whose last change came after one moment (ms) and not after another.
 */
export async function readRevised(
  db: Queryable,
  context: TenantContext,
  { from, to, customerId }: Pick<WindowQuery, 'from' | 'to' | 'customerId'>,
  after: WindowPosition | null,
  most: number,
  revised?: { after: number; through: number },
): Promise<WindowSummary[]> {
  const at = firstStart(from, after);
  if (at >= to) return [];
  const { rows } = await db.query<WindowRow>({
    ...windowsRevised(customerId !== undefined),
    values: [
      ...[context.tenantId, new Date(at), new Date(to), customerAfter(after, at), most],
      revised ? new Date(revised.after) : '-infinity',
      revised ? new Date(revised.through) : 'infinity',
      ...(customerId === undefined ? [] : [customerId]),
    ],
  });
  return windowSummaries(context, rows);
}

function firstStart(from: number, after: WindowPosition | null): number {
  const start = Math.ceil(from / WINDOW_MS) * WINDOW_MS;
  return after ? Math.max(start, after[0]) : start;
}

/** The customer whose window the page before ended with, where that is the window to begin with. */
function customerAfter(after: WindowPosition | null, at: number): string | null {
  return after && at <= after[0] ? after[1] : null;
}
