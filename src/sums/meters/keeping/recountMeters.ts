import type { Queryable } from '../../../ground/db/queryable.ts';
import { instant } from '../../../ground/db/sqlParameters.ts';
import { byDay, columnsOf, type TouchedWindow } from '../../corrections/touchedWindow.ts';
import { type SeriesDefinition, seriesFromJson } from '../definition/meterDefinition.ts';
import { PART_COLUMNS } from '../feed/meterParts.ts';
import { literals } from '../rules/sqlOfSeries.ts';
import { partsOfEvents } from './partsOfEvents.ts';

const DAY_MS = 86_400_000;

/**
 * Makes the numbers of windows anew, in all series of a tenant that are read and are filled that far, of the events that
 * count. In a transaction that has `meter_fold` locked, so that nobody folds or fills. A window's parts go and one has all
 * its events in their place, in one snapshot, which shows what a batch has written of both or neither; then it is taken out of
 * the levels, and folded into them again as the parts of batches are.
 *
 * @param types of the events that came or went.
 */
export async function recountMeters(
  db: Queryable,
  tenantId: string,
  windows: readonly TouchedWindow[],
  types: readonly string[],
): Promise<void> {
  const { rows } = await db.query<{ id: number; definition: string; filled_from: string }>(
    `select id, definition::text as definition, extract(epoch from filled_from) * 1000 as filled_from
     from meter_series s
     where tenant_id = $1 and event_type = any ($2)
       -- of those that are fed no more, what is read where the events of before are no longer kept
       and (retired_at is null or exists (select from meter_series later where later.predecessor = s.id))
     order by id`,
    [tenantId, ['', ...types]], // '': all AI usage, of whatever type
  );
  for (const { id, definition, filled_from } of rows) {
    const filled = windows.filter(({ start }) => start >= Number(filled_from));
    for (const day of byDay(filled)) {
      await renewParts(db, tenantId, id, seriesFromJson(definition), day);
      await db.query('select take_out_of_meters($1, $2, $3)', [id, ...columnsOf(day)]);
    }
  }
}

async function renewParts(
  db: Queryable,
  tenantId: string,
  id: number,
  rule: SeriesDefinition,
  windows: readonly TouchedWindow[],
): Promise<void> {
  const day = Math.floor(windows[0]!.start / DAY_MS) * DAY_MS;
  const from = `touched cross join lateral (
      select * from event e
      where e.tenant_id = ${literals(tenantId, 'text')} and e.customer_id = touched.customer_id
        and e.ts >= touched.bucket and e.ts < touched.bucket + interval '30 seconds'
        and e.ts >= ${instant(day)} and e.ts < ${instant(day + DAY_MS)} -- so that other chunks are not looked at
      offset 0
    ) as e`;
  const columns = PART_COLUMNS.join(', ');
  await db.query(
    `with touched as materialized (
       select * from unnest($1::text[], $2::timestamptz[]) as t (customer_id, bucket)
     ), gone as (
       delete from meter_part p using touched t
       where p.series_id = ${id} and p.bucket = t.bucket and p.customer_id = t.customer_id
     )
     insert into meter_part (${columns})
     select ${columns} from (${partsOfEvents(id, tenantId, rule, { from, where: 'true' })}) as part`,
    columnsOf(windows),
  );
}
