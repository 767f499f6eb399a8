import { randomUUID } from 'node:crypto';
import { type Actor, writeEntries } from '../../access/tenancy/auditLog.ts';
import type { TenantContext } from '../../access/tenancy/tenantContext.ts';
import { Turns } from '../../access/tenancy/turns.ts';
import { byAge, listByAge } from '../../ground/db/listByAge.ts';
import type { Page } from '../../ground/db/paging.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { TenantReads } from '../../ground/db/tenantReads.ts';
import { TidemarkError } from '../../model/errors.ts';
import { formatTimestamp } from '../../model/timestamp.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import type { Corrections } from '../corrections/corrections.ts';
import { Identities } from '../ingest/identities.ts';
import {
  type Backfill,
  type BackfillRow,
  type BackfillScope,
  type BackfillState,
  backfillColumns,
  MAX_STAGED_BACKFILLS,
  readBackfill,
  requireState,
  scopeOf,
  toBackfill,
} from './backfill.ts';
import { closeBackfill } from './closeBackfill.ts';
import { type BackfillPreview, previewBackfill } from './previewBackfill.ts';
import { revertBackfill } from './revertBackfill.ts';
import { type Staged, stageEvents } from './stageEvents.ts';

export interface BackfillsOptions {
  /** The service's own tables, and where identities are asked for. */
  admin: Queryable;
  reads: TenantReads;
  /** Whose turn and transaction closing and reverting take. */
  corrections: Pick<Corrections, 'run'>;
}

export interface NewBackfill extends BackfillScope {
  replaces: boolean;
  reason: string;
}

const BACKFILLS = byAge('backfills');
/** Previews of this instance at a time: each may read half a million events. */
const PREVIEWS_AT_ONCE = 2;
const PREVIEW_WAIT_MS = 5_000;

/** Stages events that do not count yet, shows what they would change, and has them count: docs/adr/0049. */
export class Backfills {
  private readonly options: BackfillsOptions;
  private readonly identities = new Identities();
  private readonly previews = new Turns(
    PREVIEWS_AT_ONCE,
    PREVIEW_WAIT_MS,
    () =>
      new TidemarkError('overloaded', 'other backfills are being looked through; try again later', {
        retryAfterSeconds: 1,
      }),
  );

  constructor(options: BackfillsOptions) {
    this.options = options;
  }

  /** @throws {TidemarkError} `range_not_kept`, `backfill_overlaps`, `limit_reached`. */
  async create(context: TenantContext, actor: Actor, wanted: NewBackfill): Promise<Backfill> {
    const { admin } = this.options;
    const { rows } = await admin.query<{ id: string | null; kept: boolean; overlapping: string | null }>(
      `with there as materialized (
         select o.overlapping, o.staged < ${MAX_STAGED_BACKFILLS} as room,
           (select kept_from <= $3 from retention where relation = 'event') as kept
         from overlapping_backfill($2, $3, $4, $5) as o
       ), made as (
         insert into backfill (id, tenant_id, from_at, to_at, customers, replaces, reason, actor_kind, actor_key_id)
         select $1, $2, $3::timestamptz, $4::timestamptz, $5::text[], $6, $7, $8, $9 from there where kept and overlapping is null and room
         returning *
       ), logged as (${writeEntries({
         from: 'made',
         action: 'backfill.created',
         after: `jsonb_build_object('from', iso8601_micros(from_at), 'to', iso8601_micros(to_at), 'customers', customers,
           'replace', replaces, 'reason', reason)`,
         actor: '$10',
       })})
       select (select id from made) as id, kept, overlapping from there`,
      [
        randomUUID(),
        context.tenantId,
        formatTimestamp(wanted.fromMicros),
        formatTimestamp(wanted.toMicros),
        wanted.customers,
        wanted.replaces,
        wanted.reason,
        actor.kind,
        actor.keyId,
        JSON.stringify(actor),
      ],
    );
    const { id, kept, overlapping } = rows[0]!;
    if (id !== null) return this.find(context, id);
    if (!kept) throw new TidemarkError('range_not_kept', 'events are not kept that far back');
    if (overlapping === null) {
      throw new TidemarkError(
        'limit_reached',
        `a tenant may have at most ${MAX_STAGED_BACKFILLS} staged backfills: close or drop some`,
      );
    }
    throw new TidemarkError(
      'backfill_overlaps',
      `another staged backfill has that time and those customers: ${overlapping}`,
      { members: { backfillId: overlapping } },
    );
  }

  /** Oldest first. @throws {TidemarkError} `cursor_invalid`. */
  async list(
    context: TenantContext,
    query: { state?: BackfillState | undefined; cursor?: string | undefined; limit: number },
  ): Promise<Page<Backfill>> {
    const page = await listByAge<BackfillRow>(
      this.options.reads.as(context),
      BACKFILLS,
      {
        columns: backfillColumns('tenant_data.'),
        table: 'tenant_data.backfill b',
        condition: 'tenant_id = $4 and ($5::text is null or state = $5)',
        values: [context.tenantId, query.state ?? null],
      },
      query,
    );
    return { data: page.data.map(toBackfill), nextCursor: page.nextCursor };
  }

  /** One as it is. @throws {TidemarkError} `not_found`. */
  async find(context: TenantContext, id: string): Promise<Backfill> {
    return toBackfill(
      await readBackfill(this.options.reads.as(context), context.tenantId, id, 'tenant_data.'),
    );
  }

  /** One with what it would change while it is staged. @throws {TidemarkError} `not_found`, `overloaded`. */
  async show(context: TenantContext, id: string): Promise<Backfill & { preview: BackfillPreview | null }> {
    const { admin, reads } = this.options;
    const found = await readBackfill(reads.as(context), context.tenantId, id, 'tenant_data.');
    if (found.state !== 'staged') return { ...toBackfill(found), preview: null };
    return this.previews.take(() =>
      reads.inOneMoment(context, async (db) => {
        const row = await readBackfill(db, context.tenantId, id, 'tenant_data.');
        const preview =
          row.state === 'staged' ? await previewBackfill(admin, db, this.identities, context, row) : null;
        return { ...toBackfill(row), preview };
      }),
    );
  }

  /** What events of one may be like. @throws {TidemarkError} `not_found`, `backfill_not_staged`. */
  async scope(context: TenantContext, id: string): Promise<BackfillScope> {
    const row = await readBackfill(this.options.reads.as(context), context.tenantId, id, 'tenant_data.');
    requireState(row, 'staged');
    return scopeOf(row);
  }

  /** Stores events that do not count yet. @throws {TidemarkError} as `stageEvents` does. */
  stage({ tenantId }: TenantContext, id: string, events: readonly UsageEvent[]): Promise<Staged> {
    return stageEvents(this.options.admin, tenantId, id, events);
  }

  /**
   * Has them count.
   *
   * @throws {TidemarkError} `not_found`, `backfill_not_staged`, `range_not_kept`, `transaction_too_large`; as `Corrections.run` does.
   */
  async close(context: TenantContext, actor: Actor, id: string): Promise<Backfill> {
    const { reason } = await this.find(context, id);
    await this.options.corrections.run(closeBackfill(context, actor, id, reason));
    return this.find(context, id);
  }

  /**
   * Undoes a closed one.
   *
   * @throws {TidemarkError} `not_found`, `backfill_not_closed`, `backfill_superseded`, `range_not_kept`; as `Corrections.run` does.
   */
  async revert(context: TenantContext, actor: Actor, id: string, reason: string): Promise<Backfill> {
    await this.options.corrections.run(revertBackfill(context, actor, id, reason));
    return this.find(context, id);
  }

  /** Removes the events of a staged one. @throws {TidemarkError} `not_found`, `backfill_not_staged`. */
  async drop(context: TenantContext, actor: Actor, id: string): Promise<Backfill> {
    const { admin } = this.options;
    const { rowCount } = await admin.query(
      `with dropped as materialized (
         select $1::text as tenant_id, $2::uuid as id, events from drop_backfill($1, $2) as events where events is not null
       ), logged as (${writeEntries({
         from: 'dropped',
         action: 'backfill.dropped',
         before: `jsonb_build_object('state', 'staged')`,
         after: `jsonb_build_object('state', 'dropped', 'events', events)`,
         actor: '$3',
       })})
       select from dropped`,
      [context.tenantId, id, JSON.stringify(actor)],
    );
    if (rowCount === 0) requireState(await readBackfill(admin, context.tenantId, id, ''), 'staged');
    return this.find(context, id);
  }
}
