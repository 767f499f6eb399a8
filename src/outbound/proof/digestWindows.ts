import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { Turns } from '../../access/tenancy/turns.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant } from '../../ground/db/sqlParameters.ts';
import { TidemarkError } from '../../model/errors.ts';
import { WINDOW_MS } from '../../model/window.ts';
import { eventsKeptFrom } from '../../sums/retention/eventsKeptFrom.ts';
import type { WindowSummary } from '../../sums/rollups/windowSummary.ts';
import { EXPORTED_COLUMNS, type ExportedEvent } from '../exporting/eventLines.ts';
import { countedEvent } from './countedEvent.ts';
import { type WindowDigest, WindowHasher } from './windowDigest.ts';

/** Why a window has no digest. */
export const REASONS = ['open', 'events_not_kept', 'too_many_events', 'superseded'] as const;

/** The digest of a window, or why there is none. */
export type Digested =
  | { digest: WindowDigest; digestUnavailable?: never }
  | { digest: null; digestUnavailable: (typeof REASONS)[number] };

/** A window that has closed, by what is known of it at the moment in which its events are read. */
export interface ClosedWindow {
  customerId: string;
  /** In ms since the epoch. */
  startMs: number;
  /** How many events it has. */
  events: number;
}

/** Events that are read for one answer, or one message. */
export const MAX_EVENTS = 1_000_000;
/** Events that the database sorts at a time, unless one window has more. */
const EVENTS_SORTED = 20_000;
/** How far apart windows may be that one statement reads, in ms: it plans all chunks in between. */
const LONGEST_SPAN_MS = 8 * 86_400_000;
/** Rows that are asked for at a time. */
const FETCH_ROWS = 500;
/** Answers with digests that an instance makes at a time, and how long others wait for their turn, in ms. */
const AT_ONCE = 2;
const LONGEST_WAIT_MS = 10_000;

const turns = new Turns(
  AT_ONCE,
  LONGEST_WAIT_MS,
  () => new TidemarkError('overloaded', 'too many digests are being made', { retryAfterSeconds: 5 }),
);

/**
 * Makes an answer that has digests, when it is its turn: no snapshot waits for another.
 *
 * @throws {TidemarkError} `overloaded`.
 */
export function inTurn<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  return turns.take(work);
}

/**
 * Windows with their digests, of the moment in which the windows have been read. One that is open has none, nor has one
 * whose events are no longer kept, or are more than `MAX_EVENTS`.
 *
 * @throws {TidemarkError} `range_too_large` where the windows together have more events than that.
 */
export async function withDigests<Window extends WindowSummary>(
  db: Queryable,
  context: TenantContext,
  windows: Window[],
): Promise<(Window & Digested)[]> {
  const closed = windows.filter(({ state }) => state !== 'open');
  const digests = await digestWindows(
    db,
    context,
    closed.map(({ windowStart, customerId, aggregations }) => {
      return { startMs: Date.parse(windowStart), customerId, events: aggregations.totalCalls };
    }),
  );
  const found = new Map(closed.map((window, i) => [window, digests[i]!]));
  return windows.map((window) => ({
    ...window,
    ...(found.get(window) ?? { digest: null, digestUnavailable: 'open' }),
  }));
}

/**
 * Digests of closed windows, in their order.
 *
 * @param windows by their start.
 * @param db in the moment in which they were found closed.
 * @throws {TidemarkError} `range_too_large`.
 */
export async function digestWindows(
  db: Queryable,
  context: TenantContext,
  windows: ClosedWindow[],
): Promise<Digested[]> {
  if (windows.length === 0) return [];
  const keptFrom = await eventsKeptFrom(db);
  const reasons = windows.map(({ startMs, events }) =>
    startMs < keptFrom ? 'events_not_kept' : events > MAX_EVENTS ? 'too_many_events' : null,
  );
  const readable = windows.filter((_, i) => reasons[i] === null);
  const total = readable.reduce((sum, { events }) => sum + events, 0);
  if (total > MAX_EVENTS) {
    throw new TidemarkError(
      'range_too_large',
      `the windows of this answer have ${total} events, and digests are made of ${MAX_EVENTS} at a time: ask with a smaller limit`,
    );
  }
  const digests: WindowDigest[] = [];
  for (const portion of portionsOf(readable)) digests.push(...(await readPortion(db, context, portion)));
  const rest = digests.values();
  return reasons.map((reason) =>
    reason === null
      ? { digest: rest.next().value! }
      : { digest: null, digestUnavailable: reason as 'events_not_kept' | 'too_many_events' },
  );
}

/** What one statement reads each. @param windows by their start. */
function portionsOf(windows: ClosedWindow[]): ClosedWindow[][] {
  const portions: ClosedWindow[][] = [];
  let portion: ClosedWindow[] = [];
  let events = 0;
  for (const window of windows) {
    const isFar = portion.length > 0 && window.startMs - portion[0]!.startMs > LONGEST_SPAN_MS;
    if (portion.length === 0 || isFar || events + window.events > EVENTS_SORTED) {
      portion = [];
      portions.push(portion);
      events = 0;
    }
    portion.push(window);
    events += window.events;
  }
  return portions;
}

async function readPortion(
  db: Queryable,
  { tenantId }: TenantContext,
  windows: ClosedWindow[],
): Promise<WindowDigest[]> {
  const starts = windows.map(({ startMs }) => startMs);
  // Each window by itself, as its index has it; the bounds keep other chunks from being looked at.
  await db.query(
    `declare window_events no scroll cursor for
     select w.n, e.*
     from unnest($2::timestamptz[], $3::text[]) with ordinality as w (bucket, customer_id, n)
     cross join lateral (
       select ${EXPORTED_COLUMNS}
       from tenant_data.event
       where tenant_id = $1 and customer_id = w.customer_id
         and ts >= w.bucket and ts < w.bucket + interval '30 seconds'
         and ts >= ${instant(Math.min(...starts))} and ts < ${instant(Math.max(...starts) + WINDOW_MS)}
       offset 0
     ) as e
     order by w.n, e.event_id`,
    [tenantId, starts.map((ms) => new Date(ms)), windows.map(({ customerId }) => customerId)],
  );
  const hashers = windows.map((window) => new WindowHasher({ tenantId, ...window }));
  for (;;) {
    const { rows } = await db.query<ExportedEvent & { n: string }>(`fetch ${FETCH_ROWS} from window_events`);
    for (const row of rows) hashers[Number(row.n) - 1]!.add(countedEvent(tenantId, row));
    if (rows.length < FETCH_ROWS) break;
  }
  await db.query('close window_events');
  return hashers.map((hasher) => hasher.finish());
}
