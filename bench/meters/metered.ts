import type pg from 'pg';
import { TENANT } from '../load/workload.ts';

/**
 * Compares what is kept of each live series with the events: how many, their sum and their distinct members. Every event of
 * the tenant is to count in every series.
 *
 * @returns what differs.
 */
export async function checkMetered(client: pg.Client, series: number): Promise<string[]> {
  const { rows } = await client.query<Record<string, string | null>>(
    `with kept as (
       select series_id, events, counted, sum, members from meter_part
       union all
       select series_id, events, counted, sum, members from meter_30s where customer_id <> ''
     ), series as (
       select k.series_id, sum(events) as events, sum(counted) as counted, sum(sum) as sum
       from kept k join meter_series s on s.id = k.series_id where retired_at is null group by 1
     ), levels as (
       select sum(events) filter (where customer_id <> '') as own, sum(events) filter (where customer_id = '') as every
       from meter_30s
     ), hours as (
       select sum(events) filter (where customer_id <> '') as own, sum(events) filter (where customer_id = '') as every
       from meter_1h
     ), days as (
       select sum(events) filter (where customer_id <> '') as own, sum(events) filter (where customer_id = '') as every
       from meter_1d
     ), stored as (
       select count(*) as events, sum((metadata ->> 'gb')::numeric) as gb,
         count(distinct metadata ->> 'document') as documents
       from event where tenant_id = $1
     )
     select (select count(*) from series) as series,
       (select count(*) from series, stored where series.events <> stored.events or series.counted <> stored.events)
         as "series with other counts",
       (select count(*) from series, stored where series.sum <> stored.gb) as "series with another sum",
       (select count(distinct member) from kept, unnest(members) as member) as members,
       (select documents from stored) as documents,
       (select count(*) from levels l, hours h, days d
        where l.own is distinct from l.every or l.own is distinct from h.own or l.own is distinct from h.every
          or l.own is distinct from d.own or l.own is distinct from d.every) as "levels that differ"`,
    [TENANT],
  );
  const found = rows[0]!;
  const problems: string[] = [];
  if (Number(found.series) !== series)
    problems.push(`${found.series} series have events where ${series} are`);
  for (const what of ['series with other counts', 'series with another sum', 'levels that differ']) {
    if (found[what] !== '0') problems.push(`${found[what]} ${what}`);
  }
  if (found.members !== found.documents) {
    problems.push(`${found.members} members where the events have ${found.documents}`);
  }
  return problems;
}
