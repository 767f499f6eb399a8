import type { Queryable } from '../db/queryable.ts';
import type { ZoneOffset } from './zoneOffset.ts';

const DAY_S = 86_400;

/**
 * What the clock of a zone is ahead of UTC in [from, to], as the database has it. It has no list of the changes: the
 * clock is looked at once a day, and where two looks differ the change between them is narrowed down to its second. No
 * zone has changed its clock and changed it back within a day since 1970.
 *
 * @param from in ms since the epoch, as `to`.
 * @throws 22023 when the database does not know the name.
 */
export async function readOffsets(
  db: Queryable,
  name: string,
  from: number,
  to: number,
): Promise<ZoneOffset[]> {
  const { rows } = await db.query<{ at: string; ahead: string }>({
    name: 'zone offsets',
    text: `with recursive look as materialized (
        select at, extract(epoch from to_timestamp(at) at time zone $1)::bigint - at as ahead
        from generate_series($2::bigint, $3::bigint, ${DAY_S}) as at
      ), pair as (
        select at as low, ahead as low_ahead, lead(at) over by_time as high, lead(ahead) over by_time as high_ahead
        from look
        window by_time as (order by at)
      ), change as (
        select * from pair where low_ahead <> high_ahead
        union all
        select half.*
        from change,
          lateral (select (low + high) / 2 as middle) as m,
          lateral (select extract(epoch from to_timestamp(middle) at time zone $1)::bigint - middle as ahead) as a,
          lateral (values (low, low_ahead, middle, ahead), (middle, ahead, high, high_ahead))
            as half (low, low_ahead, high, high_ahead)
        where change.high - change.low > 1 and half.low_ahead <> half.high_ahead
      )
      select at, ahead from look where at = $2
      union all
      select high, high_ahead from change where high - low = 1
      order by at`,
    values: [name, Math.floor(from / 1_000), Math.ceil(to / 1_000) + DAY_S],
  });
  return rows.map(({ at, ahead }) => ({ from: Number(at) * 1_000, offsetMs: Number(ahead) * 1_000 }));
}
