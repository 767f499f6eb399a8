import type { Queryable } from '../../../ground/db/queryable.ts';

/** How far meters' numbers are kept, in the whole database. */
export interface MeterSurvey {
  /** Parts that are not folded yet, as the server's statistics have it. */
  partsWaiting: number;
  /** Series whose past is not filled, and the longest time that one of them lacks, in seconds. */
  seriesFilling: number;
  behindSeconds: number;
  /** Rows of identities ever written, as the statistics have it: by how much they grow, ingest is busy. */
  identityRows: number;
}

export async function surveyMeters(db: Queryable): Promise<MeterSurvey> {
  const { rows } = await db.query<Record<keyof MeterSurvey, string>>(
    `select coalesce(pg_stat_get_live_tuples('meter_part'::regclass), 0) as "partsWaiting",
       coalesce(pg_stat_get_tuples_inserted('event_key'::regclass), 0) as "identityRows",
       f.series as "seriesFilling",
       case when f.series = 0 then 0 else greatest(0, coalesce(extract(epoch from f.until - (
         -- Where there are no events the floor may be -infinity, and PostgreSQL 15 and 16 cannot subtract that.
         select case when oldest is not null then greatest(f.floor, oldest) end
         from (select min(ts) as oldest from event) as e)), 0)) end as "behindSeconds"
     from (
       select count(*) as series, least(max(filled_from), now()) as until, min(fill_floor) as floor
       from meter_series where retired_at is null and filled_from > fill_floor
     ) as f`,
  );
  const { partsWaiting, seriesFilling, behindSeconds, identityRows } = rows[0]!;
  return {
    partsWaiting: Number(partsWaiting),
    seriesFilling: Number(seriesFilling),
    behindSeconds: Number(behindSeconds),
    identityRows: Number(identityRows),
  };
}
