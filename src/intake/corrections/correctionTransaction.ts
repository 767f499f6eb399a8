import type pg from 'pg';
import { type Actor, writeEntries } from '../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { ChunksMoved } from '../../ground/db/chunksMoved.ts';
import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { COUNTER_INCREMENT } from '../../model/usageEvent.ts';
import { WINDOW_MS } from '../../model/window.ts';
import type { Interest } from '../../outbound/delivery/interest.ts';
import { byDay, columnsOf } from '../../sums/corrections/touchedWindow.ts';
import { countersOf, type LiveCounters } from '../../sums/live/liveCounters.ts';
import { unpacksAll } from '../../sums/meters/keeping/foldMeters.ts';
import { recountMeters } from '../../sums/meters/keeping/recountMeters.ts';
import type { Identities } from '../ingest/identities.ts';
import type { CorrectionKind, CorrectionResult } from './correction.ts';
import { correctTallies } from './correctTallies.ts';
import { type MovedWindow, movedWindows } from './movedWindows.ts';
import { EventsMoved, tellPlanner } from './moveEvents.ts';

/** What a correction needs besides its request. */
export interface CorrectionTools {
  engine: Engine;
  identities: Identities;
  interest: Interest;
  live: LiveCounters;
}

/** What a correction does to events, in the transaction that makes it count. */
export interface CorrectionWork {
  kind: CorrectionKind;
  context: TenantContext;
  actor: Actor;
  reason: string;
  /** How long a statement, and a pause between two, may take, in ms. Left out: as long as for a call that names events. */
  patience?: { statementMs: number; idleMs: number };
  /**
   * Moves versions of events, and leaves them in `moved_event`.
   *
   * @param id of the correction.
   * @returns with `nothing` where there is nothing to correct: nothing was changed.
   */
  move(client: pg.ClientBase, tools: CorrectionTools, id: string): Promise<Moved>;
  /** Claims the ids of events that have not been counted before, with the batches' lock held, in the order of batches. */
  claim?(client: pg.ClientBase, tools: CorrectionTools): Promise<void>;
  /** Writes down what has been done, and the audit entry; it stands in the place of the one that names ids. */
  settle?(client: pg.ClientBase, id: string): Promise<void>;
}

/** What has been moved. */
export interface Moved {
  /** Events corrected. */
  corrected: number;
  /** Ids of which no event is known, as the client has them. */
  unknown: string[];
  nothing?: boolean;
}

/** How long one may wait for who folds or fills meters, or covers activity, and for batches; and take in all, in ms. */
const LOCK_WAIT_MS = 30_000;
const MOST_MS = 120_000;
/** How long a process that has been stopped may hold what others wait for, in ms. */
const MOST_IDLE_MS = 10_000;

const DAY_MS = 86_400_000;

/** In the audit log. */
export const ACTION: Record<CorrectionKind, string> = {
  void: 'events.voided',
  restore: 'events.restored',
  amend: 'events.amended',
  backfill: 'backfill.closed',
  revert: 'backfill.reverted',
};
/** Ids of a correction that its audit entry names; all of them are in correction_event. */
const MOST_IDS_LOGGED = 100;

/**
 * One correction in one transaction. What stands in brackets is what goes wrong without it.
 *
 * (1) Alone: nobody folds or fills meters [a part of a void event would be added after its window was counted anew], covers activity
 * [its snapshot has the events] or fills the history of records [likewise], and no other correction is at work. None of
 * these locks is one that batches take. (2) The events are found, and moved. (3) What no batch locks: meters, activity; live
 * counters are told [a read right after the commit would find the sums of before]. (4) The batches' lock: from here on
 * windows do not close [whether a window was announced decides whether its change is], and nobody begins to listen. (5) What
 * batches lock as well, in their order: customers, tallies, windows, hours and days, references, late windows, counters.
 *
 * @param id what it is called: one whose answer was lost has been done.
 * @returns with the id null where none of the events is known, or of a dry run: nothing was changed.
 */
export async function correct(
  client: pg.ClientBase,
  tools: CorrectionTools,
  work: CorrectionWork,
  id: string,
): Promise<CorrectionResult> {
  const { kind, context } = work;
  const { tenantId } = context;
  const { statementMs, idleMs } = work.patience ?? { statementMs: MOST_MS, idleMs: MOST_IDLE_MS };
  await client.query(
    `begin isolation level read committed; set local lock_timeout = ${LOCK_WAIT_MS}; set local statement_timeout = ${statementMs};
     set local work_mem = '64MB'; ${unpacksAll(tools.engine)};
     set local plan_cache_mode = force_custom_plan; set local idle_in_transaction_session_timeout = ${idleMs};
     set local client_connection_check_interval = '1s';
     set local synchronous_commit = on`,
  );
  await client.query('lock table meter_fold in exclusive mode');
  await client.query(
    `select pg_advisory_xact_lock(hashtext('tidemark.activity'));
     select pg_advisory_xact_lock(hashtext('tidemark.record_history'))`,
  );

  const done = await doneBefore(client, context, id);
  if (done) {
    await client.query('rollback');
    return done;
  }
  const moved = await work.move(client, tools, id);
  if (moved.nothing) {
    await client.query('rollback');
    return { id: null, at: null, corrected: moved.corrected, windows: 0, unknown: moved.unknown };
  }
  await client.query('analyze moved_event');
  const windows = await movedWindows(client);
  const types = await movedTypes(client);

  const chunks = await chunkStates(client, tools.engine, windows);
  await recountMeters(client, tenantId, windows, types);
  if ((await chunkStates(client, tools.engine, windows)) !== chunks) throw new ChunksMoved();
  for (const day of byDay(windows)) {
    await client.query('select forget_inactive($1, $2, $3)', [tenantId, ...columnsOf(day)]);
  }
  await tools.live.distrust(countersOf(tenantId, windows, Date.now()));

  await client.query(`select pg_advisory_xact_lock_shared(hashtext('tidemark.windows'))`);
  await requireStillKept(client);
  await work.claim?.(client, tools);
  if (kind !== 'void') await registerCustomers(client);
  await tools.interest.reload(client);
  await correctTallies(client, context, tools.interest.current);
  if (tools.engine === 'postgres') await recountRollups(client, tenantId, windows);
  await reviseWindows(client, tenantId, windows, kind, id);
  await correctCounters(client);
  const at = await record(client, work, id, windows.length, moved.unknown);
  await work.settle?.(client, id);
  // Foreign keys are checked now, row by row, with the locks held: not planned anew for each.
  await client.query('set local plan_cache_mode = auto');
  await client.query('commit');
  return { id, at, corrected: moved.corrected, windows: windows.length, unknown: moved.unknown };
}

/** What became of it when its connection was lost around the commit. Asked once nobody else can be at it. */
async function doneBefore(
  db: Queryable,
  context: TenantContext,
  id: string,
): Promise<CorrectionResult | null> {
  const { rows } = await db.query<{ at: string; events: number; windows: number; unknown: string[] }>(
    `select iso8601_micros(at) as at, events, windows, unknown from correction where id = $1 and tenant_id = $2`,
    [id, context.tenantId],
  );
  const row = rows[0];
  return row ? { id, at: row.at, corrected: row.events, windows: row.windows, unknown: row.unknown } : null;
}

async function movedTypes(db: Queryable): Promise<string[]> {
  const { rows } = await db.query<{ event_type: string }>('select distinct event_type from moved_event');
  return rows.map(({ event_type }) => event_type);
}

/** Status bits of a packed chunk that has rows beside its columns, or columns out of order. */
const ROWS_BESIDE = 2 | 8;

/**
 * The chunks of the days of some windows as they are now: a statement that was planned before one was made or packed may have
 * missed what is in it (docs/adr/0025). What becomes of others, while all that is old is being packed, is nothing to it. The
 * correction itself puts rows beside the columns of meters, where nobody else does meanwhile.
 */
async function chunkStates(db: Queryable, engine: Engine, windows: readonly MovedWindow[]): Promise<string> {
  if (engine === 'postgres') return '';
  const { rows } = await db.query<{ states: string }>(
    `select coalesce(md5(string_agg(chunk, ',' order by chunk)), '') as states
     from (
       select (row || case when r.relation = 'event' then '{}'
                           else jsonb_build_object('status', (row ->> 'status')::integer & ~${ROWS_BESIDE}) end)::text as chunk
       from retention_chunk r
       join (select to_jsonb(c) as row from _timescaledb_catalog.chunk c) as catalog
         -- The name, or from 2.29 on the relation
         on r.chunk::regclass
            = to_regclass(coalesce(row ->> 'relid', format('%I.%I', row ->> 'schema_name', row ->> 'table_name')))
       where r.relation in ('event', 'meter_30s', 'meter_1h', 'meter_1d')
         and exists (select from unnest($1::timestamptz[]) as day
                     where r.range_start < day + interval '1 day' and r.range_end > day)
     ) as chunks`,
    [byDay(windows).map(([first]) => new Date(Math.floor(first!.start / DAY_MS) * DAY_MS).toISOString())],
  );
  return rows[0]!.states;
}

/** Events whose time for removal has come meanwhile: nothing would make their summaries anew. */
async function requireStillKept(db: Queryable): Promise<void> {
  const { rows } = await db.query<{ gone: boolean }>(
    `select exists (select from moved_event
                    where ts < (select kept_from from retention where relation = 'event')) as gone`,
  );
  if (rows[0]!.gone) throw new EventsMoved('events are no longer kept');
}

async function registerCustomers(db: Queryable): Promise<void> {
  await db.query(
    `select register_customers(customers) from (
       select jsonb_agg(distinct jsonb_build_object('tenant_id', tenant_id, 'external_id', customer_id)) as customers
       from moved_event where counts
     ) as moved`,
  );
}

/** On the postgres engine, where no refresher makes rollups anew. */
async function recountRollups(
  db: Queryable,
  tenantId: string,
  windows: readonly MovedWindow[],
): Promise<void> {
  await db.query('select recount_usage($1)', [
    JSON.stringify(
      windows.map(({ customerId, start }) => ({
        tenant_id: tenantId,
        customer_id: customerId,
        bucket: new Date(start).toISOString(),
      })),
    ),
  ]);
  await db.query(
    `select recount_references(days) from (
       select jsonb_agg(distinct jsonb_build_object('tenant_id', tenant_id, 'reference', reference,
         'bucket', date_bin('1 day', ts, 'epoch'::timestamptz), 'customer_id', customer_id, 'event_type', event_type)) as days
       from moved_event where reference is not null
     ) as moved where days is not null`,
  );
}

/** One revision of each window, and word of it to who listens. */
async function reviseWindows(
  db: Queryable,
  tenantId: string,
  windows: MovedWindow[],
  cause: string,
  correction: string,
): Promise<void> {
  await db.query(
    `select tell_revisions(changed_buckets, changed_tenants, changed_customers, changed_revisions)
     from record_revisions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
    [
      windows.map(() => tenantId),
      windows.map((window) => window.customerId),
      windows.map((window) => window.start / WINDOW_MS),
      windows.map((window) => window.references),
      cause,
      correction,
      windows.map((window) => window.events),
      windows.map((window) => window.tokens),
      windows.map((window) => window.inputTokens),
      windows.map((window) => window.outputTokens),
      windows.map((window) => window.value),
      windows.map((window) => window.calls),
    ],
  );
}

async function correctCounters(db: Queryable): Promise<void> {
  await db.query(
    `select add_to_counters(sums, '[]') from (
       select jsonb_agg(jsonb_build_object('tenant_id', tenant_id, 'key', customer_id, 'value', value)) as sums
       from (
         select tenant_id, customer_id, sum(case when counts then value else -value end) as value
         from moved_event where event_type = $1 group by 1, 2
       ) as sums where value <> 0
     ) as moved where sums is not null`,
    [COUNTER_INCREMENT],
  );
}

/**
 * @returns when it was: after all that was done to its events before, also where the clock has been set back, and after what is
 * settled. What was, as of a moment, goes by it.
 */
async function record(
  db: Queryable,
  { kind, context, actor, reason, settle }: CorrectionWork,
  id: string,
  windows: number,
  unknown: string[],
): Promise<string> {
  const { rowCount } = await db.query(
    `insert into correction_event (correction_id, tenant_id, event_id, external_id, version, counts, customer_id, bucket)
     select $1, tenant_id, event_id, external_id, version, counts, customer_id,
       date_bin('30 seconds', ts, 'epoch'::timestamptz)
     from moved_event`,
    [id],
  );
  await tellPlanner(db, 'correction_event', rowCount ?? 0);
  const { rows } = await db.query<{ at: string }>(
    `with made as (
       insert into correction (id, tenant_id, kind, reason, actor_kind, actor_key_id, events, windows, unknown, at)
       select $1, $2, $3, $4, $5, $6, (select count(distinct event_id) from moved_event), $7, $9,
         greatest(clock_timestamp(), settled_at + interval '1 microsecond',
                  interval '1 microsecond' + (select max(received_at) from moved_event),
                  interval '1 microsecond' + (
                    select max(c.at) from moved_event m
                      join correction_event e on e.tenant_id = m.tenant_id and e.event_id = m.event_id
                      join correction c on c.id = e.correction_id))
       from window_state
       returning *
     ), logged as (${settle ? 'select $8::text' : entryOfIds(kind)})
     select iso8601_micros(at) as at from made`,
    [id, context.tenantId, kind, reason, actor.kind, actor.keyId, windows, JSON.stringify(actor), unknown],
  );
  return rows[0]!.at;
}

/** The audit entry of a correction of events that a call names. */
function entryOfIds(kind: CorrectionKind): string {
  return writeEntries({
    from: 'made',
    action: ACTION[kind],
    after: `jsonb_build_object('reason', reason, 'events', events, 'windows', windows, 'eventIds', (
         select jsonb_agg(client_id) from (
           select distinct coalesce(external_id, event_id::text) as client_id from moved_event
           order by 1 limit ${MOST_IDS_LOGGED}) as ids))`,
    actor: '$8',
  });
}
