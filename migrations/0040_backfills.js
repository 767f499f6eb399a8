import { asOwner } from './support/owner.js';

/** Events that are stored and do not count yet, until their backfill is closed (docs/adr/0049). */
export const up = async (pgm) => {
  const { rows } = await pgm.db.query('select quote_ident(current_schema()) as schema');
  const { schema } = rows[0];
  asOwner(pgm);
  pgm.sql(`
    -- Not validated: all that is there has passed the narrower check, and batches would wait for a look at every revision.
    alter table correction
      drop constraint correction_kind_check,
      add constraint correction_kind_check check (kind in ('void', 'restore', 'amend', 'backfill', 'revert')) not valid;
    alter table window_revision
      drop constraint window_revision_cause_check,
      add constraint window_revision_cause_check
        check (cause in ('late', 'void', 'restore', 'amend', 'backfill', 'revert')) not valid;

    -- Of a version that was void: the closing that has put another one in its place. Its revert makes it void again.
    alter table uncounted_event add column revived_by uuid;

    create table backfill (
      id           uuid primary key,
      tenant_id    text collate "C" not null references tenant (id),
      from_at      timestamptz not null,
      to_at        timestamptz not null,
      customers    text[] collate "C", -- null: all
      replaces     boolean not null,   -- what was there goes
      reason       text not null,
      state        text not null default 'staged' check (state in ('staged', 'closed', 'reverted', 'dropped')),
      -- Posted to it. More in one transaction take what others wait for for too long.
      events       integer not null default 0 constraint backfill_events_check check (events <= 500000),
      counted      integer, -- of those, when it was closed
      replaced     integer, -- of those that counted before
      actor_kind   text not null,
      actor_key_id uuid,    -- null: no key of the database, but ADMIN_KEY or a command
      closed_by    uuid references correction (id) deferrable initially deferred,
      reverted_by  uuid references correction (id) deferrable initially deferred,
      dropped_at   timestamptz,
      created_at   timestamptz not null default now(),
      updated_at   timestamptz not null default now(),
      constraint backfill_range_check check (from_at < to_at)
    );
    create index backfill_tenant on backfill (tenant_id, created_at, id);
    create index backfill_staged on backfill (tenant_id) where state = 'staged';

    -- Has not counted yet, and may never: what has once counted, and does no more, is in uncounted_event.
    create table staged_event (
      like event,
      backfill_id uuid not null references backfill (id),
      primary key (backfill_id, event_id)
    );
    create index staged_event_ts on staged_event (tenant_id, ts);

    ${['backfill', 'staged_event']
      .map(
        (name) => `create view tenant_data.${name} with (security_barrier) as
        select * from ${schema}.${name} where tenant_id = tenant_data.current_tenant();`,
      )
      .join('\n    ')}
    grant select on tenant_data.backfill, tenant_data.staged_event to tidemark_read;
  `);
};

export const down = false;
