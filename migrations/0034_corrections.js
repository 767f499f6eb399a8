import { asOwner } from './support/owner.js';

/** Events that do not count, and who changed what of closed windows (docs/adr/0045). */
export const up = async (pgm) => {
  const { rows } = await pgm.db.query('select quote_ident(current_schema()) as schema');
  const { schema } = rows[0];
  asOwner(pgm);
  pgm.sql(`
    -- Keys may have a scope more.
    alter table api_key
      drop constraint api_key_scopes_check,
      add constraint api_key_scopes_check check (scopes <@ array['ingest', 'read', 'correct', 'admin'] and scopes <> '{}');

    -- A call that corrected events: all of it, or nothing.
    create table correction (
      id           uuid primary key,
      tenant_id    text collate "C" not null references tenant (id),
      kind         text not null check (kind in ('void', 'restore', 'amend')),
      reason       text not null,
      actor_kind   text not null,
      actor_key_id uuid,              -- null: no key of the database, but ADMIN_KEY or a command
      events       integer not null,
      windows      integer not null,  -- of a customer each, that it has changed
      unknown      text[] not null,   -- ids that it was asked for and did not find
      at           timestamptz not null
    );

    -- Events that do not count: what has been taken out of event, as it was.
    create table uncounted_event (
      like event,
      state         text not null check (state in ('voided', 'superseded')),
      version       integer not null, -- 1: as it was posted
      correction_id uuid not null references correction (id) deferrable initially deferred, -- that took it out
      primary key (tenant_id, event_id, version)
    );
    create index uncounted_event_ts on uncounted_event (tenant_id, ts);

    -- What a correction took out of a window, and put into one.
    create table correction_event (
      correction_id uuid not null references correction (id) deferrable initially deferred,
      tenant_id     text collate "C" not null,
      event_id      uuid not null,
      external_id   text,
      version       integer not null,
      counts        boolean not null, -- from then on
      customer_id   text not null,
      bucket        timestamptz not null,
      primary key (correction_id, event_id, version)
    );
    create index correction_event_of on correction_event (tenant_id, event_id);
    create index correction_event_window on correction_event (tenant_id, bucket, customer_id);

    -- Each revision of a window: what made it, and what it added to the sums of those before.
    create table window_revision (
      tenant_id     text collate "C" not null,
      bucket        timestamptz not null,
      customer_id   text collate "C" not null,
      revision      integer not null,
      at            timestamptz not null,
      cause         text not null check (cause in ('late', 'void', 'restore', 'amend')),
      correction_id uuid,
      received_at   timestamptz, -- of the events of a late one
      events        integer,     -- null, as the sums: by a version that did not tell
      calls         bigint,
      tokens        numeric,
      input_tokens  numeric,
      output_tokens numeric,
      value         numeric,     -- of events of the type negative less than nothing
      primary key (tenant_id, bucket, customer_id, revision)
    );

    -- Its place is taken by functions that are told what was added to the sums.
    drop function if exists record_late_windows(jsonb);
    delete from sql_function where name = 'record_late_windows';

    ${['correction', 'uncounted_event', 'correction_event', 'window_revision']
      .map(
        (name) => `create view tenant_data.${name} with (security_barrier) as
        select * from ${schema}.${name} where tenant_id = tenant_data.current_tenant();`,
      )
      .join('\n    ')}
    grant select on tenant_data.correction, tenant_data.uncounted_event, tenant_data.correction_event,
      tenant_data.window_revision to tidemark_read;
  `);
};

export const down = false;
