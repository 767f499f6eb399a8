import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { decodeCursor, type List, type Page, pageOf } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { positionOf, readRange, readRevised, type WindowPosition } from './listWindows.ts';
import type { WindowSummary } from './windowSummary.ts';

export interface ClosedWindowQuery {
  /** Moment (ms since the epoch) on the database's clock: the `closedThrough` of the poll before. */
  closedAfter: number;
  /** [from, to) in ms since the epoch; windows that start in it. Without a beginning: as far back as they are kept. */
  from: number | undefined;
  to: number;
  customerId?: string | undefined;
  /** `revised` leaves out windows that have not changed since they closed. */
  state: 'closed' | 'revised';
  cursor?: string | undefined;
  limit: number;
}

export interface ClosedWindowPage extends Page<WindowSummary> {
  /** What to pass as `closedAfter` next time, after the last page. The same on each page of a walk. */
  closedThrough: string;
}

const CLOSED_WINDOWS: List = { name: 'closed windows', key: ['ms', 'ms', 'text'] };

/**
 * Windows that have closed, or have changed after they closed, since a moment; by start and customer. Whoever polls
 * with the `closedThrough` of the poll before misses none, and sees each state that a window has when it is asked for.
 *
 * What is given out ends where the closer last held its lock alone (`settled_at`): every batch that entered before has
 * ended, and whatever a later one changes bears a later time. So a change is given out once the next window closes.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 */
export async function listClosedWindows(
  db: Queryable,
  context: TenantContext,
  query: ClosedWindowQuery,
): Promise<ClosedWindowPage> {
  const { closedAfter, customerId, to, limit } = query;
  const [walk, ...rest] = query.cursor === undefined ? [] : decodeCursor(query.cursor, CLOSED_WINDOWS);
  const after = walk === undefined ? null : (rest as unknown as WindowPosition);
  const { closedBefore, through, closedUntil, keptFrom } = await closingsSince(
    db,
    closedAfter,
    walk as number,
  );
  const from = query.from ?? keptFrom;

  const revisedTo = Math.min(to, query.state === 'revised' ? closedUntil : closedBefore);
  const found = await readRevised(db, context, { from, to: revisedTo, customerId }, after, limit + 1, {
    after: closedAfter,
    through,
  });
  if (query.state === 'closed' && found.length <= limit) {
    const closed = { from: Math.max(from, closedBefore), to: Math.min(to, closedUntil), customerId };
    found.push(...(await readRange(db, context, closed, after, limit + 1 - found.length)));
  }
  const page = pageOf(found, limit, CLOSED_WINDOWS, (window) => [through, ...positionOf(window)]);
  return { ...page, closedThrough: new Date(through).toISOString() };
}

interface Closings {
  /** How far (ms) windows were closed at the moment asked for. */
  closedBefore: number;
  /** The closing (ms) up to which windows are given out, and how far (ms) windows were closed then. */
  through: number;
  closedUntil: number;
  /** How far back (ms) windows are kept. */
  keptFrom: number;
}

/** @param walk `through` of the first page of this walk (ms); undefined for the first page itself. */
async function closingsSince(
  db: Queryable,
  closedAfter: number,
  walk: number | undefined,
): Promise<Closings> {
  const { rows } = await db.query<Record<'closed_before' | 'through' | 'closed_until' | 'kept_from', string>>(
    {
      name: 'closings since',
      text: `
      select extract(epoch from c.closed_at) * 1000 as through, extract(epoch from c.closed_until) * 1000 as closed_until,
        coalesce((select extract(epoch from b.closed_until) * 1000 from tenant_data.window_closing b where b.closed_at <= $1
                  order by b.closed_at desc limit 1), 0) as closed_before,
        (select greatest(0, extract(epoch from kept_from)) * 1000 from tenant_data.retention
         where relation = 'usage_30s') as kept_from
      from tenant_data.window_closing c where c.closed_at <= $2
      order by c.closed_at desc limit 1`,
      values: [new Date(closedAfter), walk === undefined ? 'infinity' : new Date(walk)],
    },
  );
  const row = rows[0];
  if (!row) return { closedBefore: 0, through: 0, closedUntil: 0, keptFrom: 0 };
  return {
    closedBefore: Math.min(Number(row.closed_before), Number(row.closed_until)),
    through: Number(row.through),
    closedUntil: Number(row.closed_until),
    keptFrom: Number(row.kept_from),
  };
}
