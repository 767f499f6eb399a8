import type pg from 'pg';
import { type Actor, writeEntries } from '../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { instant } from '../../ground/db/sqlParameters.ts';
import { TidemarkError } from '../../model/errors.ts';
import { lastVersion } from '../../sums/corrections/versionNumbers.ts';
import {
  ACTION,
  type CorrectionTools,
  type CorrectionWork,
  type Moved,
} from '../corrections/correctionTransaction.ts';
import { holdChunks } from '../corrections/holdChunks.ts';
import {
  COLUMNS,
  EventsMoved,
  insertMoved,
  numberTaken,
  prepareMoves,
  tellPlanner,
} from '../corrections/moveEvents.ts';
import { EVENT_COLUMNS } from '../ingest/copyEncoding.ts';
import {
  type BackfillRow,
  type BackfillScope,
  backfillColumns,
  inScope,
  keptScope,
  MAX_BACKFILL_EVENTS,
  requireState,
} from './backfill.ts';
import { comingEvents, knownIds } from './comingEvents.ts';

/** How long a statement, and a pause between two, may take, in ms: there may be half a million events. */
export const PATIENCE = { statementMs: 600_000, idleMs: 120_000 };

/**
 * Has the events of a backfill count: one transaction, whatever their number, the same as a restore makes, with another cause
 * (docs/adr/0049). Their ids are claimed at the end of it, so that a batch with one of them waits for the last part only; where one
 * has been claimed meanwhile, all is done again.
 */
export function closeBackfill(
  context: TenantContext,
  actor: Actor,
  backfillId: string,
  reason: string,
): CorrectionWork {
  const { tenantId } = context;
  let fresh: string[] = [];
  let counted = 0;
  let replaced = 0;
  return {
    kind: 'backfill',
    context,
    actor,
    reason,
    patience: PATIENCE,
    async move(client, tools, id) {
      const row = await lockBackfill(client, tenantId, backfillId);
      requireState(row, 'staged');
      const scope = await keptScope(client, row!, '');
      await requireStagedKept(client, row!, scope);
      await holdChunks(client, tools.engine)(scope.fromMicros / 1_000, scope.toMicros / 1_000);
      await prepareMoves(client);
      const found = await knownIds(client, client, tools.identities, tenantId, backfillId, '');
      await client.query(
        `create temp table known_id (event_id uuid primary key, claimed_at timestamptz not null) on commit drop`,
      );
      await client.query('insert into known_id select * from unnest($1::uuid[], $2::timestamptz[])', [
        found.known.ids,
        found.known.claimed,
      ]);
      await client.query('analyze known_id');
      // Before anything moves: what it takes the place of is still there.
      await client.query(
        'create temp table coming_event (like staged_event, known_since timestamptz, revived integer) on commit drop',
      );
      const coming = await client.query(
        `insert into coming_event ${comingEvents(scope, row!.replaces, '')}`,
        [tenantId, backfillId, scope.customers],
      );
      counted = coming.rowCount ?? 0;
      await client.query('create unique index on coming_event (event_id)');
      await client.query('analyze coming_event');
      replaced = row!.replaces ? await takeOutScope(client, tenantId, id, scope) : 0;
      await putIn(client, tenantId, id);
      await client.query('delete from staged_event where backfill_id = $1', [backfillId]);
      await client.query('create index on moved_event (event_id, version)');
      fresh = found.fresh;
      return { corrected: counted, unknown: [] } satisfies Moved;
    },
    claim: (client, tools) => claimIds(client, tools, tenantId, fresh),
    async settle(client, id) {
      await client.query(
        `with settled as (
           update backfill set state = 'closed', closed_by = $2, counted = $3, replaced = $4, updated_at = now()
           where id = $1 returning *
         )
         ${writeEntries({
           from: 'settled',
           action: ACTION.backfill,
           before: `jsonb_build_object('state', 'staged')`,
           after: `jsonb_build_object('state', state, 'reason', reason, 'correctionId', closed_by, 'events', counted,
             'replaced', replaced, 'duplicates', events - counted)`,
           actor: '$5',
         })}`,
        [backfillId, id, counted, replaced, JSON.stringify(actor)],
      );
    },
  };
}

/** A backfill that nobody else changes before the end of the transaction. */
export async function lockBackfill(
  db: Queryable,
  tenantId: string,
  backfillId: string,
): Promise<BackfillRow | undefined> {
  const { rows } = await db.query<BackfillRow>(
    `select ${backfillColumns('')} from backfill b where b.id = $1 and b.tenant_id = $2 for update of b`,
    [backfillId, tenantId],
  );
  return rows[0];
}

/**
 * All that was posted to it is there, and will be: those that were too old may have been removed already.
 *
 * @throws {TidemarkError} `range_not_kept`.
 */
async function requireStagedKept(
  db: Queryable,
  { id, events }: BackfillRow,
  { fromMicros }: BackfillScope,
): Promise<void> {
  const { rows } = await db.query<{ kept: number }>(
    `select count(*)::int as kept from staged_event where backfill_id = $1 and ts >= ${instant(fromMicros / 1_000)}`,
    [id],
  );
  if (rows[0]!.kept < events) {
    throw new TidemarkError(
      'range_not_kept',
      'events of the backfill are older than events are kept; drop it',
    );
  }
}

/** Takes out what is in the scope. @returns how many events. @throws {TidemarkError} `transaction_too_large`. */
async function takeOutScope(
  db: Queryable,
  tenantId: string,
  correctionId: string,
  scope: BackfillScope,
): Promise<number> {
  const there = inScope('e', scope, '$1', '$2');
  const values = [tenantId, scope.customers];
  const { rows } = await db.query<{ n: number }>(
    `select count(*)::int as n from (select from event e where ${there} limit ${MAX_BACKFILL_EVENTS + 1}) as found`,
    values,
  );
  if (rows[0]!.n > MAX_BACKFILL_EVENTS) {
    throw new TidemarkError(
      'transaction_too_large',
      `it would take the place of more than ${MAX_BACKFILL_EVENTS} events: make one of a shorter range, or of fewer customers`,
    );
  }
  if (rows[0]!.n === 0) return 0;
  const { rowCount } = await db.query(
    `with gone as (delete from event e where ${there} returning ${COLUMNS})
     insert into moved_event (${COLUMNS}, counts) select ${COLUMNS}, false from gone`,
    values,
  );
  await db.query('analyze moved_event');
  await numberTaken(db, tenantId);
  await db.query(
    `insert into uncounted_event (${COLUMNS}, state, version, correction_id)
     select ${COLUMNS}, case when exists (select from coming_event c where c.event_id = m.event_id)
                        then 'superseded' else 'voided' end, version, $1
     from moved_event m where not counts`,
    [correctionId],
  );
  await tellPlanner(db, 'uncounted_event', rowCount ?? 0);
  return rowCount ?? 0;
}

/** Has the events that come count, each as the next version of what is known of it. */
async function putIn(db: Queryable, tenantId: string, correctionId: string): Promise<void> {
  await db.query(
    `update uncounted_event u set state = 'superseded', revived_by = $2 from coming_event c
     where u.tenant_id = $1 and u.event_id = c.event_id and u.version = c.revived and u.state = 'voided'`,
    [tenantId, correctionId],
  );
  await db.query(
    `insert into moved_event (${COLUMNS}, counts, version)
     select ${EVENT_COLUMNS.map((name) => `c.${name}`).join(', ')}, coalesce(c.known_since, now()), true,
       1 + ${lastVersion('$1', 'c.event_id')}
     from coming_event c`,
    [tenantId],
  );
  await insertMoved(db);
}

/** @throws {EventsMoved} where somebody has posted one of them meanwhile. */
async function claimIds(
  client: pg.ClientBase,
  { identities }: CorrectionTools,
  tenantId: string,
  ids: readonly string[],
): Promise<void> {
  if (ids.length === 0) return;
  const claimed = await identities.claimEach(
    client,
    ids.map((eventId) => ({ tenantId, eventId })),
  );
  if (claimed.size < ids.length) throw new EventsMoved('ids have been counted since they were looked for');
}
