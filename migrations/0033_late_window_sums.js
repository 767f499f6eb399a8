import { asOwner } from './support/owner.js';

/**
 * What the revisions of late windows add up to, so that an answer over a long range does not read each window (docs/adr/0047).
 * Empty at first, however many late windows there are: the refresher fills it (sum_late_windows), and answers go by what is filled.
 */
export const up = async (pgm) => {
  const { rows } = await pgm.db.query('select quote_ident(current_schema()) as schema');
  const { schema } = rows[0];
  asOwner(pgm);
  pgm.sql(`
    -- The sum of activity_revision over the late windows of an hour, of all customers (''), or of a day, of one.
    create table late_window_sum (
      tenant_id   text not null,
      customer_id text not null,
      bucket      timestamptz not null,
      revision    bigint not null,
      primary key (tenant_id, customer_id, bucket)
    ) with (fillfactor = 70);
    create index late_window_sum_bucket on late_window_sum (tenant_id, bucket) where customer_id <> '';

    -- Hours and days from here on are in it, whole days.
    create table late_window_summed (
      only_row    boolean primary key default true check (only_row),
      summed_from timestamptz not null,
      updated_at  timestamptz not null default now()
    );

    -- Alone; and cover_activity of before, if it began with an older snapshot, fails with 40001.
    select pg_advisory_xact_lock(hashtext('tidemark.activity'));
    update window_coverage set updated_at = now();
    insert into late_window_summed (summed_from)
      select case when exists (select from late_window) then 'infinity'::timestamptz else '-infinity' end;

    create view tenant_data.late_window_sum with (security_barrier) as
      select * from ${schema}.late_window_sum where tenant_id = tenant_data.current_tenant();
    create view tenant_data.late_window_summed with (security_barrier) as
      select summed_from from ${schema}.late_window_summed;
    grant select on tenant_data.late_window_sum, tenant_data.late_window_summed to tidemark_read;

    create or replace view tenant_data.activity_lacking with (security_barrier) as
      select tenant_id, bucket, customer_id, revision - activity_revision as lacking from ${schema}.late_window
      where activity_revision < revision and tenant_id = tenant_data.current_tenant();
  `);
};

export const down = false;
