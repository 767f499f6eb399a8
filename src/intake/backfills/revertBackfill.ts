import { type Actor, writeEntries } from '../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant } from '../../ground/db/sqlParameters.ts';
import { TidemarkError } from '../../model/errors.ts';
import { WINDOW_MS } from '../../model/window.ts';
import { ACTION, type CorrectionWork } from '../corrections/correctionTransaction.ts';
import { holdChunks } from '../corrections/holdChunks.ts';
import {
  COLUMNS,
  columnsWithin,
  EventsMoved,
  insertMoved,
  numberTaken,
  prepareMoves,
  tellPlanner,
} from '../corrections/moveEvents.ts';
import { MAX_BACKFILL_CUSTOMERS, requireState } from './backfill.ts';
import { lockBackfill, PATIENCE } from './closeBackfill.ts';

/**
 * Has everything be as if the backfill had not been closed. What it has brought goes, whatever version of it counts by now; what
 * it has put that in the place of counts again, or is void again; what it has made void counts again. What others have done
 * since to an event stays done to it: one that it brought and they have made void stays void, as what it was before, and
 * one that it made void and they have restored stays as they have left it. Its ids stay known, and free for another backfill.
 */
export function revertBackfill(
  context: TenantContext,
  actor: Actor,
  backfillId: string,
  reason: string,
): CorrectionWork {
  const { tenantId } = context;
  return {
    kind: 'revert',
    context,
    actor,
    reason,
    patience: PATIENCE,
    async move(client, { engine }, id) {
      const row = await lockBackfill(client, tenantId, backfillId);
      requireState(row, 'closed');
      const closing = row!.closed!.correctionId;
      await requireLast(client, backfillId);
      await requireKept(client, closing);
      await prepareMoves(client);
      await findBrought(client, tenantId, closing);
      const removed = await takeOutBrought(client, engine, tenantId);
      await client.query('create index on moved_event (event_id, version)');
      await client.query('analyze moved_event');
      await numberTaken(client, tenantId);
      await setAside(client, tenantId, id);
      await voidAgain(client, tenantId);
      await putBackReplaced(client, tenantId, closing);
      await insertMoved(client);
      return { corrected: removed, unknown: [] };
    },
    async settle(client, id) {
      await client.query(
        `with settled as (
           update backfill set state = 'reverted', reverted_by = $2, updated_at = now() where id = $1 returning *
         )
         ${writeEntries({
           from: 'settled',
           action: ACTION.revert,
           before: `jsonb_build_object('state', 'closed')`,
           after: `jsonb_build_object('state', state, 'reason', $3::text, 'correctionId', reverted_by)`,
           actor: '$4',
         })}`,
        [backfillId, id, reason, JSON.stringify(actor)],
      );
    },
  };
}

/**
 * One that was closed later may have taken out what this one brought, and would count beside what comes back; of another time, too,
 * where an amendment has put an event there.
 *
 * @throws {TidemarkError} `backfill_superseded`.
 */
async function requireLast(db: Queryable, backfillId: string): Promise<void> {
  const { rows } = await db.query<{ id: string }>(
    `select later.id
     from backfill b join correction closing on closing.id = b.closed_by
     join backfill later on later.tenant_id = b.tenant_id and later.state = 'closed' and later.id <> b.id
     join correction c on c.id = later.closed_by and c.at > closing.at
     where b.id = $1
       and (later.from_at < b.to_at and later.to_at > b.from_at
              and (later.customers is null or b.customers is null or later.customers && b.customers)
            or later.closed_by in (
              select theirs.correction_id
              from correction_event mine join correction_event theirs
                on theirs.tenant_id = mine.tenant_id and theirs.event_id = mine.event_id
              where mine.correction_id = (select closed_by from backfill where id = $1)))
     order by c.at desc limit 1`,
    [backfillId],
  );
  const later = rows[0];
  if (!later) return;
  throw new TidemarkError(
    'backfill_superseded',
    `another one of that range, or of some of its events, was closed later; revert it first: ${later.id}`,
    { members: { backfillId: later.id } },
  );
}

/** @throws {TidemarkError} `range_not_kept`. */
async function requireKept(db: Queryable, closing: string): Promise<void> {
  const { rows } = await db.query<{ gone: boolean }>(
    `select exists (select from correction_event where correction_id = $1
                    and bucket < (select kept_from from retention where relation = 'event')) as gone`,
    [closing],
  );
  if (rows[0]!.gone) throw notKept();
}

function notKept(): TidemarkError {
  return new TidemarkError(
    'range_not_kept',
    'events of the backfill are no longer kept: it cannot be reverted wholly',
  );
}

/**
 * What the backfill has brought, and where it is by now: `brought_event`; and what was there of it before: `before_event`, whose
 * `voided_version` is what others have made void since, and `voided_by` the correction that did.
 *
 * @throws {TidemarkError} `range_not_kept`.
 */
async function findBrought(db: Queryable, tenantId: string, closing: string): Promise<void> {
  await db.query(
    `create temp table brought_event on commit drop as
     select distinct on (l.event_id) l.event_id, l.customer_id, l.bucket, l.counts
     from correction_event b
     join correction_event l on l.tenant_id = b.tenant_id and l.event_id = b.event_id
     join correction c on c.id = l.correction_id
     where b.correction_id = $1 and b.counts
     order by l.event_id, c.at desc, l.counts desc, l.version desc`,
    [closing],
  );
  await db.query('analyze brought_event');
  const { rows } = await db.query<{ gone: boolean }>(
    `select exists (select from brought_event
                    where counts and bucket < (select kept_from from retention where relation = 'event')) as gone`,
  );
  if (rows[0]!.gone) throw notKept();
  await db.query(
    `create temp table before_event on commit drop as
     select u.event_id, u.version, u.revived_by is not distinct from $2 as was_void,
       since.version as voided_version, since.correction_id as voided_by
     from brought_event b
     join uncounted_event u on u.tenant_id = $1 and u.event_id = b.event_id and u.state = 'superseded'
       and (u.correction_id = $2 or u.revived_by = $2)
     left join uncounted_event since on not b.counts and since.tenant_id = $1 and since.event_id = b.event_id
       and since.state = 'voided'
     where b.counts or since.version is not null`,
    [tenantId, closing],
  );
  await db.query('create index on before_event (event_id)');
  await db.query('analyze before_event');
}

/** Takes out what the backfill has brought. @returns how many events. */
async function takeOutBrought(db: Queryable, engine: Engine, tenantId: string): Promise<number> {
  const { rows } = await db.query<{ n: number; from_ms: string; to_ms: string; customers: string[] }>(
    `select count(*)::int as n, extract(epoch from min(bucket)) * 1000 as from_ms, extract(epoch from max(bucket)) * 1000 as to_ms,
       array(select distinct customer_id from brought_event where counts limit ${MAX_BACKFILL_CUSTOMERS + 1}) as customers
     from brought_event where counts`,
  );
  const { n, from_ms, to_ms, customers } = rows[0]!;
  if (n === 0) return 0;
  await holdChunks(db, engine)(Number(from_ms), Number(to_ms) + WINDOW_MS);
  // In packed chunks only what the literals leave is unpacked.
  const few = customers.length <= MAX_BACKFILL_CUSTOMERS;
  const taken = await db.query<{ events: number }>(
    `with gone as (
       delete from event e using brought_event b
       where b.counts and e.tenant_id = $1 and e.ts >= ${instant(Number(from_ms))} and e.ts < ${instant(Number(to_ms) + WINDOW_MS)}
         and ${few ? 'e.customer_id = any ($2::text[])' : '$2::text[] is null'}
         and e.event_id = b.event_id and e.customer_id = b.customer_id
         and e.ts >= b.bucket and e.ts < b.bucket + interval '30 seconds'
       returning ${columnsWithin('e')}
     ), moved as (
       insert into moved_event (${COLUMNS}, counts) select ${COLUMNS}, false from gone
     )
     select count(distinct event_id)::int as events from gone`,
    [tenantId, few ? customers : null],
  );
  if (taken.rows[0]!.events !== n) throw new EventsMoved('events have gone since they were found');
  return n;
}

/** What has been taken out is void, unless there was something before. */
async function setAside(db: Queryable, tenantId: string, id: string): Promise<void> {
  const set = await db.query(
    `insert into uncounted_event (${COLUMNS}, state, version, correction_id)
     select ${COLUMNS}, case when exists (select from before_event f where f.event_id = m.event_id)
                        then 'superseded' else 'voided' end, version, $1
     from moved_event m where not counts`,
    [id],
  );
  await tellPlanner(db, 'uncounted_event', set.rowCount ?? 0);
  await db.query(
    `update uncounted_event u set state = 'superseded' from before_event f
     where u.tenant_id = $1 and u.event_id = f.event_id and u.version = f.voided_version`,
    [tenantId],
  );
}

/** What was void before is void again, by what made it so; what counted and has been made void since is void by that. */
async function voidAgain(db: Queryable, tenantId: string): Promise<void> {
  await db.query(
    `update uncounted_event u
     set state = 'voided', revived_by = null, correction_id = coalesce(f.voided_by, u.correction_id)
     from before_event f
     where (f.was_void or f.voided_version is not null)
       and u.tenant_id = $1 and u.event_id = f.event_id and u.version = f.version`,
    [tenantId],
  );
}

/** What the backfill took out, and nobody has touched since, counts again, as it was. */
async function putBackReplaced(db: Queryable, tenantId: string, closing: string): Promise<void> {
  await db.query(
    `with back as (
       delete from uncounted_event u using correction_event t
       where t.correction_id = $2 and not t.counts and u.tenant_id = $1 and u.event_id = t.event_id
         and u.version = t.version and u.correction_id = $2
         and (u.state = 'voided'
              or exists (select from before_event f where f.event_id = u.event_id and f.version = u.version
                         and not f.was_void and f.voided_version is null))
       returning ${columnsWithin('u')}, u.version
     )
     insert into moved_event (${COLUMNS}, counts, version) select ${COLUMNS}, true, version from back`,
    [tenantId, closing],
  );
}
