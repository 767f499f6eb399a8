import type pg from 'pg';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MINUTE = 60_000;
const QUARTER = 15 * MINUTE;

/**
 * The starts of hours, days and months in a zone, found by looking at its clock minute after minute: slow, and nothing
 * of what it is to check. The clock is what the database shows every hour, and every minute of an hour in which it was
 * set. Otherwise it is looked at every quarter of an hour: all are ahead of UTC by whole quarters.
 *
 * @param from in ms since the epoch, a whole hour in UTC, as `to`.
 */
export async function zoneEdges(
  sql: pg.ClientBase,
  zone: string,
  from: number,
  to: number,
): Promise<Record<'1h' | '1d' | '1mo', number[]>> {
  const begin = from - 70 * DAY;
  const ahead = `(extract(epoch from ((at at time zone $1) - (at at time zone 'UTC'))) / 60)::int`;
  const looked = (step: string) =>
    `select at, ${ahead} as ahead from generate_series($2::timestamptz, $3, ${step}) as at`;
  const values = (since: number, until: number) => [zone, new Date(since), new Date(until)];
  const { rows } = await sql.query<{ at: Date; ahead: number }>(
    `select at, ahead from (select at, ahead, lag(ahead) over (order by at) as was
       from (${looked(`interval '1 hour'`)}) as look) as looks
     where was is distinct from ahead order by at`,
    values(begin, to + 40 * DAY),
  );
  const clock: { at: number; ahead: number }[] = [];
  for (const { at, ahead } of rows) {
    if (clock.length === 0) {
      clock.push({ at: at.getTime(), ahead });
      continue;
    }
    const minutes = await sql.query<{ at: Date; ahead: number }>(
      `${looked(`interval '1 minute'`)} order by at`,
      values(at.getTime() - HOUR, at.getTime()),
    );
    for (const minute of minutes.rows) {
      if (minute.ahead !== clock.at(-1)!.ahead) clock.push({ at: minute.at.getTime(), ahead: minute.ahead });
    }
  }

  const edges: Record<'1h' | '1d' | '1mo', number[]> = { '1h': [], '1d': [], '1mo': [] };
  let next = 0;
  let [day, month] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let at = begin; at < to + 40 * DAY; ) {
    const set = at === clock[next]?.at;
    if (set) next++;
    const shown = at + clock[next - 1]!.ahead * MINUTE;
    if (set || shown % HOUR === 0) edges['1h'].push(at);
    if (shown >= (day + 1) * DAY) {
      day = Math.floor(shown / DAY);
      edges['1d'].push(at);
      const date = new Date(shown);
      const ofMonth = date.getUTCFullYear() * 12 + date.getUTCMonth();
      if (ofMonth > month) edges['1mo'].push(at);
      month = Math.max(month, ofMonth);
    }
    const quarter = Math.floor(at / QUARTER) * QUARTER + QUARTER;
    at = Math.min(quarter, clock[next]?.at ?? quarter);
  }
  return edges;
}
