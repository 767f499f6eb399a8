import { chooseEngine } from './support/engine.js';
import { asOwner } from './support/owner.js';

/** What is kept of a series over a stretch of time, for a customer and one list of dimension values. All of it adds up. */
const MEASURES = `
      events         bigint not null,  -- that match
      counted        bigint not null,  -- of them those that have a value, where one is asked for
      sum            numeric,
      min            numeric,
      max            numeric,
      latest_at      timestamptz,      -- of the last event with a value: its time,
      latest_id      uuid,             -- its id, the greater one of two of one time,
      latest         numeric,          -- and that value
      ignored_missing bigint not null, -- events without a value, by what is there instead: nothing,
      ignored_null   bigint not null,  -- null,
      ignored_type   bigint not null,  -- something that is no number, or no scalar,
      ignored_range  bigint not null,  -- or a number that is too large, or too fine
      members        uuid[]            -- of a distinct series: the first 16 bytes of SHA-256 of each value`;

/** Meters, and their numbers as batches leave them and as they are kept (docs/adr/0040). */
export const up = async (pgm) => {
  const timescale = (await chooseEngine(pgm.db)) === 'timescale';
  const { rows } = await pgm.db.query('select quote_ident(current_schema()) as schema');
  const { schema } = rows[0];
  asOwner(pgm);
  pgm.sql(`
    -- What is kept: the same for every meter that asks for the same. What makes its numbers never changes.
    create table meter_series (
      id          integer generated always as identity primary key,
      tenant_id   text collate "C" not null references tenant (id),
      definition  jsonb not null,
      digest      bytea not null,       -- of the definition
      event_type  text not null,
      event_from  timestamptz,          -- what is older does not count; null: everything does
      filter      jsonb not null,
      paths       text[] not null,      -- of the dimensions, in the order of dims in its rows
      value_path  text,
      is_distinct boolean not null,
      predecessor integer references meter_series (id), -- the same without some of the dimensions: for what has no events any more
      filled_from timestamptz not null default 'infinity', -- windows from here on are kept; what is older is read from events
      fill_floor  timestamptz not null,  -- and down to here they are to be
      created_at  timestamptz not null default now(),
      retired_at  timestamptz            -- no meter needs it since then, and batches do not feed it
    );
    create unique index meter_series_live on meter_series (tenant_id, digest) where retired_at is null;

    create table meter (
      id          uuid primary key default gen_random_uuid(),
      tenant_id   text collate "C" not null references tenant (id),
      slug        text not null,
      name        text not null,
      description text,
      event_type  text not null,
      event_from  timestamptz,
      aggregation text not null check (aggregation in ('count', 'sum', 'avg', 'min', 'max', 'latest', 'uniqueCount')),
      value_path  text,
      dimensions  jsonb not null default '{}', -- name: path
      filter      jsonb not null default '[]',
      series_id   integer not null references meter_series (id),
      created_at  timestamptz not null default now(),
      updated_at  timestamptz not null default now(),
      archived_at timestamptz
    );
    create unique index meter_slug on meter (tenant_id, slug) where archived_at is null;
    create index meter_series_of on meter (series_id);
    create index meter_age on meter (tenant_id, created_at, id);

    -- What a batch adds to a series, in a window, for a customer and dimension values: until its window is closed and folded.
    create table meter_part (
      series_id   integer not null,
      bucket      timestamptz not null,
      tenant_id   text collate "C" not null,
      customer_id text collate "C" not null,
      dims        text[] collate "C" not null,${MEASURES}
    );
    create index meter_part_bucket on meter_part (series_id, bucket);
    grant insert on meter_part to tidemark_ingest;

    -- Up to where hours and days have the members of distinct series; what is later is read from the level below. Who folds
    -- or fills has this table locked before its snapshot.
    create table meter_fold (
      only_row         boolean primary key default true check (only_row),
      members_1h_until timestamptz not null,
      members_1d_until timestamptz not null,
      updated_at       timestamptz not null default now()
    );
    insert into meter_fold (members_1h_until, members_1d_until)
      select date_bin('1 hour', closed_until, 'epoch'::timestamptz), date_bin('1 day', closed_until, 'epoch'::timestamptz)
      from window_state;

    ${level('meter_30s', '1 day', timescale)}
    ${level('meter_1h', '10 days', timescale)}
    ${level('meter_1d', '100 days', timescale)}
    ${timescale ? columns('meter_30s') + columns('meter_1h') : ''}

    insert into retention (relation, keep, compress_after, kept_from, moved_at, removed_to)
      select replace(relation, 'usage', 'meter'), keep, case when relation <> 'usage_1d' then compress_after end,
        kept_from, moved_at, kept_from
      from retention where relation in ('usage_30s', 'usage_1h', 'usage_1d');

    ${['meter_series', 'meter', 'meter_part', 'meter_30s', 'meter_1h', 'meter_1d']
      .map(
        (name) => `create view tenant_data.${name} with (security_barrier) as
        select * from ${schema}.${name} where tenant_id = tenant_data.current_tenant();`,
      )
      .join('\n    ')}
    create view tenant_data.meter_fold with (security_barrier) as
      select members_1h_until, members_1d_until from ${schema}.meter_fold;
    grant select on tenant_data.meter_series, tenant_data.meter, tenant_data.meter_part, tenant_data.meter_30s,
      tenant_data.meter_1h, tenant_data.meter_1d, tenant_data.meter_fold to tidemark_read;
  `);
};

export const down = false;

/**
 * The numbers of windows, hours or days. Rows of the customer '' are of all customers of the tenant.
 *
 * @param chunk what one chunk of it is of, on timescale.
 */
function level(name, chunk, timescale) {
  return `
    create table ${name} (
      series_id   integer not null,
      bucket      timestamptz not null,
      tenant_id   text collate "C" not null,
      customer_id text collate "C" not null,
      dims        text[] collate "C" not null,
      dims_digest uuid not null, -- meter_dims_digest(dims)${MEASURES}
    ) ${timescale ? '' : 'with (fillfactor = 70)'};
    ${
      timescale
        ? `select create_hypertable('${name}', by_range('bucket', interval '${chunk}'), create_default_indexes => false);`
        : ''
    }
    create unique index ${name}_customer on ${name} (series_id, customer_id, bucket, dims_digest);
    create index ${name}_bucket on ${name} (series_id, bucket);
  `;
}

/** One customer's rows lie side by side, and those of all customers together before them. */
function columns(name) {
  return `
    alter table ${name} set
      (timescaledb.enable_columnstore, timescaledb.segmentby = 'series_id', timescaledb.orderby = 'customer_id, bucket');`;
}
