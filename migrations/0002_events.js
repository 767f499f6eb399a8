import { chooseEngine } from './support/engine.js';

/** Events, their identity, and the state of the 30-second windows they fall into. */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);

  pgm.sql(`
    -- Chosen once: the rollup relations below are made for it, and a server that later gains or loses the
    -- extension does not change them.
    create table installation (
      only_row    boolean primary key default true check (only_row),
      engine      text not null check (engine in ('timescale', 'postgres')),
      created_at  timestamptz not null default now()
    );
    insert into installation (engine) values ('${engine}');

    create table event (
      ts            timestamptz not null,
      received_at   timestamptz not null default now(),
      tokens        bigint,
      input_tokens  bigint,
      output_tokens bigint,
      latency_ms    double precision,
      event_id      uuid not null,
      tenant_id     text not null,
      customer_id   text not null,
      event_type    text not null,
      external_id   text,    -- the client's own id where that is not a UUID; event_id is then its UUIDv5
      source_id     text,
      endpoint      text,
      model         text,
      reference     text,    -- the order, invoice or session the event belongs to
      unit          text,
      value         numeric,
      metadata      jsonb    -- only what has no column; null when nothing is left
    );

    -- Who has been counted. A table of its own because a unique index on a hypertable must contain the time
    -- column, and a retry may carry another time. received_at is when the id was claimed: the identity horizon
    -- counts from there, so a retry of an old event is still recognised for the whole horizon.
    create table event_identity (
      event_id    uuid not null,
      tenant_id   text not null,
      received_at timestamptz not null default now(),
      primary key (event_id, tenant_id)
    );

    -- How far windows are closed, and how far the closer has refreshed each rollup. refreshing_* is moved before a
    -- refresh begins and refreshed_* when it has ended: between the two, a late event must count as not included.
    create table window_state (
      only_row       boolean primary key default true check (only_row),
      closed_until   timestamptz not null, -- windows that end at or before this are closed
      refreshed_30s  timestamptz not null,
      refreshing_1h  timestamptz not null,
      refreshed_1h   timestamptz not null,
      refreshing_1d  timestamptz not null,
      refreshed_1d   timestamptz not null,
      updated_at     timestamptz not null default now()
    );
    insert into window_state
      (closed_until, refreshed_30s, refreshing_1h, refreshed_1h, refreshing_1d, refreshed_1d)
      select w, w, h, h, d, d
      from date_bin('30 seconds', now(), 'epoch'::timestamptz) as w,
           date_trunc('hour', w, 'UTC') as h,
           date_trunc('day', w, 'UTC') as d;

    -- Closed windows that changed.
    create table late_window (
      bucket           timestamptz not null,
      tenant_id        text not null,
      customer_id      text not null,
      revision         integer not null,
      stale            boolean not null, -- some usage rollup lacks the change
      stale_references boolean not null default false, -- reference_1d lacks the change
      changed_by       xid8 not null default pg_current_xact_id(), -- the last batch that changed it
      created_at       timestamptz not null default now(),
      updated_at       timestamptz not null default now(),
      primary key (tenant_id, customer_id, bucket)
    );
    create index late_window_tenant on late_window (tenant_id, bucket);
    create index late_window_stale on late_window (tenant_id, bucket) where stale;
    create index late_window_stale_references on late_window (bucket) where stale_references;
  `);

  if (engine === 'timescale') {
    pgm.sql(`
      select create_hypertable('event', by_range('ts', interval '1 day'), create_default_indexes => false);
    `);
  }

  pgm.sql(`
    create index event_customer on event (tenant_id, customer_id, ts);
    -- What a refresh scans; it also bounds the reads of one tenant over all its customers. New rows land at its right edge.
    create index event_ts on event (ts);
    create index event_reference on event (tenant_id, reference, ts) where reference is not null;
  `);
};

export const down = false;
