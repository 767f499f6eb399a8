import { type Actor, writeEntries } from '../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant } from '../../ground/db/sqlParameters.ts';
import { TidemarkError } from '../../model/errors.ts';
import { WINDOW_MS } from '../../model/window.ts';
import { ACTION, type CorrectionWork } from '../corrections/correctionTransaction.ts';
import { COLUMNS, EventsMoved, insertMoved, numberTaken, prepareMoves } from '../corrections/moveEvents.ts';
import { MAX_BACKFILL_CUSTOMERS, requireState } from './backfill.ts';
import { lockBackfill, PATIENCE } from './closeBackfill.ts';

/**
 * Takes out what a backfill has brought, whatever version of it counts by now, and has what it took out count again: what has been
 * voided or restored since by others stays so. Its ids stay known, and free for another backfill.
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
    async move(client, _tools, id) {
      const row = await lockBackfill(client, tenantId, backfillId);
      requireState(row, 'closed');
      const closing = row!.closed!.correctionId;
      await requireLast(client, backfillId);
      await requireKept(client, closing);
      await prepareMoves(client);
      const removed = await takeOutBrought(client, tenantId, closing);
      await client.query('create index on moved_event (event_id, version)');
      await client.query('analyze moved_event');
      await numberTaken(client, tenantId);
      await setAside(client, tenantId, closing, id);
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
 * One that was closed later may have taken out what this one brought, and would count beside what comes back.
 *
 * @throws {TidemarkError} `backfill_superseded`.
 */
async function requireLast(db: Queryable, backfillId: string): Promise<void> {
  const { rows } = await db.query<{ id: string }>(
    `select later.id
     from backfill b join correction closing on closing.id = b.closed_by
     join backfill later on later.tenant_id = b.tenant_id and later.state = 'closed' and later.id <> b.id
       and later.from_at < b.to_at and later.to_at > b.from_at
       and (later.customers is null or b.customers is null or later.customers && b.customers)
     join correction c on c.id = later.closed_by and c.at > closing.at
     where b.id = $1
     order by c.at desc limit 1`,
    [backfillId],
  );
  const later = rows[0];
  if (!later) return;
  throw new TidemarkError(
    'backfill_superseded',
    `another one of that range was closed later; revert it first: ${later.id}`,
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
  if (rows[0]!.gone) {
    throw new TidemarkError(
      'range_not_kept',
      'events of the backfill are no longer kept: it cannot be reverted wholly',
    );
  }
}

/** Takes out what the backfill has brought, where it is by now. @returns how many events. */
async function takeOutBrought(db: Queryable, tenantId: string, closing: string): Promise<number> {
  await db.query(
    `create temp table brought_event on commit drop as
     select distinct on (l.event_id) l.event_id, l.customer_id, l.bucket, l.counts
     from correction_event b
     join correction_event l on l.tenant_id = b.tenant_id and l.event_id = b.event_id
     join correction c on c.id = l.correction_id
     where b.correction_id = $1 and b.counts
     order by l.event_id, l.version desc, c.at desc`,
    [closing],
  );
  await db.query('analyze brought_event');
  const { rows } = await db.query<{ n: number; from_ms: string; to_ms: string; customers: string[] }>(
    `select count(*)::int as n, extract(epoch from min(bucket)) * 1000 as from_ms, extract(epoch from max(bucket)) * 1000 as to_ms,
       array(select distinct customer_id from brought_event where counts limit ${MAX_BACKFILL_CUSTOMERS + 1}) as customers
     from brought_event where counts`,
  );
  const { n, from_ms, to_ms, customers } = rows[0]!;
  if (n === 0) return 0;
  // In packed chunks only what the literals leave is unpacked.
  const few = customers.length <= MAX_BACKFILL_CUSTOMERS;
  const { rowCount } = await db.query(
    `with gone as (
       delete from event e using brought_event b
       where b.counts and e.tenant_id = $1 and e.ts >= ${instant(Number(from_ms))} and e.ts < ${instant(Number(to_ms) + WINDOW_MS)}
         and ${few ? 'e.customer_id = any ($2::text[])' : '$2::text[] is null'}
         and e.event_id = b.event_id and e.customer_id = b.customer_id
         and e.ts >= b.bucket and e.ts < b.bucket + interval '30 seconds'
       returning ${COLUMNS.replaceAll(/\w+/g, 'e.$&')}
     )
     insert into moved_event (${COLUMNS}, counts) select ${COLUMNS}, false from gone`,
    [tenantId, few ? customers : null],
  );
  if (rowCount !== n) throw new EventsMoved('events have gone since they were found');
  return n;
}

/** What has been taken out is void, unless what was there before comes back in its place; what was void then is so again. */
async function setAside(db: Queryable, tenantId: string, closing: string, id: string): Promise<void> {
  await db.query(
    `with before as (
       select b.event_id, u.version, u.correction_id = $3 as counted
       from correction_event b
       join moved_event m on m.event_id = b.event_id and not m.counts
       join uncounted_event u on u.tenant_id = $1 and u.event_id = b.event_id and u.version = b.version - 1
         and u.state = 'superseded'
       where b.correction_id = $3 and b.counts
     ), aside as (
       insert into uncounted_event (${COLUMNS}, state, version, correction_id)
       select ${COLUMNS}, case when exists (select from before f where f.event_id = m.event_id)
                          then 'superseded' else 'voided' end, version, $2
       from moved_event m where not counts
     )
     update uncounted_event u set state = 'voided' from before f
     where not f.counted and u.tenant_id = $1 and u.event_id = f.event_id and u.version = f.version`,
    [tenantId, id, closing],
  );
}

/** What the backfill took out, and nobody has touched since: as it was; another version of an id of its own, as a new one. */
async function putBackReplaced(db: Queryable, tenantId: string, closing: string): Promise<void> {
  await db.query(
    `with back as (
       delete from uncounted_event u using correction_event t
       where t.correction_id = $2 and not t.counts and u.tenant_id = $1 and u.event_id = t.event_id
         and u.version = t.version and u.state = 'voided' and u.correction_id = $2
       returning ${COLUMNS.replaceAll(/\w+/g, 'u.$&')}, u.version
     ), again as (
       select distinct on (u.event_id) ${COLUMNS.replaceAll(/\w+/g, 'u.$&')},
         1 + (select max(l.version) from uncounted_event l where l.tenant_id = $1 and l.event_id = u.event_id) as version
       from moved_event m
       join uncounted_event u on u.tenant_id = $1 and u.event_id = m.event_id and u.state = 'superseded'
         and u.correction_id = $2
       where not m.counts
       order by u.event_id, u.version desc
     )
     insert into moved_event (${COLUMNS}, counts, version)
     select ${COLUMNS}, true, version from back
     union all select ${COLUMNS}, true, version from again`,
    [tenantId, closing],
  );
}
