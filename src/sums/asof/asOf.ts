import type { Queryable } from '../../ground/db/queryable.ts';
import { TidemarkError } from '../../model/errors.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import { WINDOW_MS } from '../../model/window.ts';

/** A moment as of which is answered: nothing that was in before it can come to be, or cease to be (docs/adr/0048). */
export interface AsOf {
  /** Since the epoch, µs. */
  micros: number;
  /** How far (ms) windows were closed then. */
  closedUntil: number;
  /** Up to where (ms) sums have what was closed then, and nothing that came after it but by revisions. -Infinity: not known. */
  summedUntil: number;
}

/** A moment that is asked for. */
export interface AskedMoment {
  /** Of the parameter. */
  name: string;
  /** Since the epoch, µs. Undefined: the last that there is. */
  micros: number | undefined;
  /** The moment that the pages before were of, µs. */
  walk?: number | undefined;
}

interface Row {
  now: string;
  used: string;
  kept: string | null;
  closed_until: string | null;
  summed_until: string | null;
}

const STATEMENT = {
  name: 'as of',
  text: `
    with used as materialized (
      select least($1::timestamptz, max(closed_at)) as at from tenant_data.window_closing
    )
    select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now,
      (extract(epoch from at) * 1000000)::bigint as used,
      (select (extract(epoch from nullif(kept_from, '-infinity')) * 1000000)::bigint from tenant_data.retention
       where relation = 'event') as kept,
      (select extract(epoch from closed_until) * 1000 from tenant_data.window_closing
       where closed_at <= at order by closed_at desc limit 1) as closed_until,
      -- Closings are told in whole ms: what was received within that of one may have been in before it.
      (select extract(epoch from closed_until) * 1000 from tenant_data.window_closing
       where closed_at <= at - interval '1 millisecond' order by closed_at desc limit 1) as summed_until
    from used`,
};

/**
 * The moment that an answer is of where one is asked for: that one, or the last at which windows closed where it is later, since
 * what was received after that may still be under way. In the snapshot that the answer is read in.
 *
 * @throws {TidemarkError} `as_of_in_future`, `as_of_not_kept`; `cursor_invalid` where no page can be of `walk`.
 */
export async function readAsOf(db: Queryable, { name, micros, walk }: AskedMoment): Promise<AsOf> {
  const asked = walk ?? micros;
  const values = [asked === undefined ? 'infinity' : formatTimestamp(asked)];
  const { rows } = await db.query<Row>({ ...STATEMENT, values });
  const row = rows[0]!;
  const used = Number(row.used);
  if (micros !== undefined && micros > Number(row.now))
    throw refused('as_of_in_future', name, 'is in the future');
  if (walk !== undefined && (used !== walk || (micros !== undefined && walk > micros))) {
    throw new TidemarkError('cursor_invalid', 'the cursor is not one that this list has returned');
  }
  if (row.kept !== null && used < Number(row.kept)) {
    const since = formatTimestamp(Number(row.kept));
    throw refused('as_of_not_kept', name, `is before ${since}, since when single events are kept`);
  }
  return {
    micros: used,
    closedUntil: row.closed_until === null ? closedOnTime(used / 1_000) : Number(row.closed_until),
    summedUntil: row.summed_until === null ? Number.NEGATIVE_INFINITY : Number(row.summed_until),
  };
}

/** How far windows were closed at a moment that is longer ago than closings are noted, had they closed in time. */
function closedOnTime(at: number): number {
  return (Math.floor(at / WINDOW_MS) - 1) * WINDOW_MS;
}

function refused(code: 'as_of_in_future' | 'as_of_not_kept', name: string, fault: string): TidemarkError {
  return new TidemarkError(code, `${name} ${fault}`, {
    errors: [{ index: 0, pointer: `/${name}`, code, message: fault }],
  });
}

/** A cursor of a list as of moments: the pages behind it are of the same ones. */
export function asOfCursor(moments: readonly AsOf[], cursor: string | null): string | null {
  return cursor === null ? null : `${moments.map(({ micros }) => `${micros}.`).join('')}${cursor}`;
}

/**
 * What `asOfCursor` has put together.
 *
 * @throws {TidemarkError} `cursor_invalid`.
 */
export function readAsOfCursor(
  cursor: string | undefined,
  moments: number,
): { walks: (number | undefined)[]; cursor: string | undefined } {
  if (cursor === undefined) return { walks: [], cursor };
  const parts = cursor.split('.');
  const walks = parts.slice(0, moments);
  if (parts.length !== moments + 1 || !walks.every((walk) => /^\d{1,16}$/.test(walk))) {
    throw new TidemarkError('cursor_invalid', 'the cursor is not one that this list has returned');
  }
  return { walks: walks.map(Number), cursor: parts[moments]! };
}
