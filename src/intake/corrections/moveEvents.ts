import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant } from '../../ground/db/sqlParameters.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { countedVersion, lastVersion } from '../../sums/corrections/versionNumbers.ts';
import { EVENT_COLUMNS } from '../ingest/copyEncoding.ts';
import { arraysOf, EVENTS_OF_ARRAYS } from './eventArrays.ts';
import type { EventPlace } from './locateEvents.ts';
import { runsOf } from './runsOfEvents.ts';

/** All columns of an event, in an order of ours. */
export const COLUMNS = [...EVENT_COLUMNS, 'received_at'].join(', ');

/** The same of a relation, by its alias. */
export const columnsWithin = (alias: string) => COLUMNS.replaceAll(/\w+/g, `${alias}.$&`);

export type UncountedState = 'voided' | 'superseded';

/** Something has moved the events meanwhile: the whole is to be done again. */
export class EventsMoved extends Error {
  /** As a transaction that met another. */
  readonly code = '40001';
}

/**
 * Where the versions of events lie that a correction has moved, for as long as its transaction: `moved_event`, with the columns of
 * `event`, whether they count now, and their version.
 */
export async function prepareMoves(db: Queryable): Promise<void> {
  await db.query(
    `select set_config('tidemark.correcting', 'on', true);
     create temp table moved_event (like event, counts boolean not null, version integer) on commit drop`,
  );
}

/** Rows written at once that the planner is told of. */
const MANY_ROWS = 5_000;

/**
 * Has the planner know of what has just been written to tables of corrections. To those that know nothing of a tenant's rows, the
 * index by tenant and time looks as good as the one by tenant and event, and for each event all rows of the tenant were read.
 *
 * @param rows how many have been written.
 */
export async function tellPlanner(
  db: Queryable,
  relation: 'uncounted_event' | 'correction_event',
  rows: number,
): Promise<void> {
  if (rows >= MANY_ROWS) await db.query(`analyze ${relation}`);
}

/** Takes events out of what counts. @throws {EventsMoved} where one of them is not there. */
export async function takeOut(
  db: Queryable,
  engine: Engine,
  tenantId: string,
  correctionId: string,
  state: UncountedState,
  places: readonly EventPlace[],
): Promise<void> {
  let taken = 0;
  for (const run of await runsOf(db, engine, tenantId, places)) {
    // The bounds are written out: by them alone is told what is unpacked.
    const { rowCount } = await db.query(
      `with gone as (
         delete from event e using unnest($2::uuid[], $3::timestamptz[]) as p (id, at)
         where e.tenant_id = $1 and e.event_id = p.id and e.ts = p.at
           and e.ts >= ${instant(run[0]!.tsMicros / 1_000)} and e.ts <= ${instant(run.at(-1)!.tsMicros / 1_000)}
         returning ${columnsWithin('e')}
       )
       insert into moved_event (${COLUMNS}, counts) select ${COLUMNS}, false from gone`,
      [tenantId, run.map(({ eventId }) => eventId), run.map(({ ts }) => ts)],
    );
    taken += rowCount ?? 0;
  }
  if (taken < places.length) throw new EventsMoved('events have gone since they were found');
  await numberTaken(db, tenantId);
  const set = await db.query(
    `insert into uncounted_event (${COLUMNS}, state, version, correction_id)
     select ${COLUMNS}, $1, version, $2 from moved_event where not counts`,
    [state, correctionId],
  );
  await tellPlanner(db, 'uncounted_event', set.rowCount ?? 0);
}

/**
 * Numbers the versions that have been taken out, before they are among those that do not count. Past its horizon an id may have
 * been counted twice.
 */
export async function numberTaken(db: Queryable, tenantId: string): Promise<void> {
  await db.query(
    `update moved_event m set version = v.version
     from (
       select place, case nth when 1 then ${countedVersion('$1', 'e.event_id')}
                              else ${lastVersion('$1', 'e.event_id')} + nth end as version
       from (
         select ctid as place, event_id, row_number() over (partition by event_id order by ts, ctid) as nth
         from moved_event where not counts
       ) as e
     ) as v
     where m.ctid = v.place`,
    [tenantId],
  );
}

/** Has void events count again, as they were. */
export async function putBack(db: Queryable, tenantId: string, ids: readonly string[]): Promise<void> {
  await db.query(
    `with back as (
       delete from uncounted_event
       where tenant_id = $1 and event_id = any ($2::uuid[]) and state = 'voided'
       returning ${COLUMNS}, version
     )
     insert into moved_event (${COLUMNS}, counts, version) select ${COLUMNS}, true, version from back`,
    [tenantId, ids],
  );
  await insertMoved(db);
}

/**
 * Has other versions of events count in the place of those that have been taken out. They keep what they are called, and when
 * they were received.
 */
export async function putInPlace(db: Queryable, events: readonly UsageEvent[]): Promise<void> {
  await db.query(
    `insert into moved_event (${COLUMNS}, counts, version)
     select ${EVENT_COLUMNS.map((name) => `${name === 'external_id' ? 'm' : 'n'}.${name}`).join(', ')},
       m.received_at, true, 1 + ${lastVersion('m.tenant_id', 'm.event_id')}
     from ${EVENTS_OF_ARRAYS} as n (${EVENT_COLUMNS.join(', ')})
     -- Past its horizon an id may have been counted twice at one moment: one version takes the place of both.
     join (select distinct on (event_id) * from moved_event where not counts order by event_id, version desc) as m
       on m.event_id = n.event_id`,
    arraysOf(events),
  );
  await insertMoved(db);
}

/** Has those count that have been moved to count. */
export async function insertMoved(db: Queryable): Promise<void> {
  await db.query(
    `insert into event (${COLUMNS}) select ${COLUMNS} from moved_event where counts order by ts`,
  );
}
