import { chooseEngine } from './support/engine.js';
import { asOwner } from './support/owner.js';

/** What GET /v1/summaries reads: who was active and how much was done, per hour and day, up to the closed windows. */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);
  const timescale = engine === 'timescale';
  asOwner(pgm);

  pgm.sql(`
    -- The windows in [covered_from, covered_until) are in the activity tables, as they were when they were covered:
    -- late_window tells which have changed since.
    create table window_coverage (
      only_row      boolean primary key default true check (only_row),
      covered_from  timestamptz not null, -- what is older than an upgrade is not covered
      covered_until timestamptz not null,
      updated_at    timestamptz not null default now()
    );
    insert into window_coverage (covered_from, covered_until)
      select case when exists (select from event) then closed_until else '-infinity' end, closed_until from window_state;

    -- Events by type, of a window ('30s'), an hour ('1h'), a day ('1d').
    create table activity_calls (
      tenant_id  text not null,
      level      text not null check (level in ('30s', '1h', '1d')),
      bucket     timestamptz not null,
      event_type text not null,
      calls      bigint not null,
      primary key (tenant_id, level, bucket, event_type)
    ) with (fillfactor = 70);

    -- Customers with an event in the hour, the day. Once in it, always in it.
    create table activity_customer (
      tenant_id   text not null,
      level       text not null check (level in ('1h', '1d')),
      bucket      timestamptz not null,
      customer_id text not null,
      primary key (tenant_id, level, bucket, customer_id)
    );

    -- How many rows activity_customer has for the hour, the day.
    create table activity_users (
      tenant_id text not null,
      level     text not null check (level in ('1h', '1d')),
      bucket    timestamptz not null,
      users     bigint not null,
      primary key (tenant_id, level, bucket)
    ) with (fillfactor = 70);

    -- The revision that the activity tables have; 0 for one they have never seen.
    alter table late_window add column activity_revision integer not null default 0;
    update late_window set activity_revision = revision;
    create index late_window_activity on late_window (tenant_id, bucket) where activity_revision < revision;

    /*
     * Brings closed windows into the activity tables: those since covered_until, over at most 'step', and at most
     * 'most' of those that late events have changed. One instance at a time. Returns how many changed windows (of a
     * customer each) it has brought in, and whether there is more to do.
     *
     * (1) Alone, so that what is there is what the statements below see. (2) What to do. (3) One statement, hence one
     * snapshot, reads these windows and adds to the tables by how much they have grown. A batch that it does not see
     * found its window closed, and raises a revision above the one seen here. (4) Just the changes that (3) saw are
     * noted as brought in; of rows that a batch holds just now, nothing is said until the next time.
     */
    create function cover_activity(step interval, most integer, out windows bigint, out more boolean)
    language plpgsql as $$
    declare
      oldest timestamptz;
      from_at timestamptz;
      to_at timestamptz;
      reach timestamptz;
      tenants text[];
      buckets timestamptz[];
      first_at timestamptz;
      last_at timestamptz;
      seen jsonb;
    begin
      windows := 0;
      more := false;
      if not pg_try_advisory_xact_lock(hashtext('tidemark.activity')) then return; end if;

      select c.covered_from, c.covered_until into oldest, from_at from window_coverage c;
      select ${timescale ? 'least(s.closed_until, s.refreshed_30s)' : 's.closed_until'} into reach from window_state s;
      to_at := greatest(from_at, least(reach, from_at + step));
      select array_agg(tenant_id), array_agg(bucket) into tenants, buckets
      from (select tenant_id, bucket from late_window
            where activity_revision < revision and bucket < from_at
            group by tenant_id, bucket order by tenant_id, bucket limit most) as changed;
      if to_at = from_at and tenants is null then return; end if;
      if tenants is not null then
        select greatest(min(b), oldest), max(b) + interval '30 seconds' into first_at, last_at from unnest(buckets) as b;
      end if;

      execute format($statement$
        with changed as materialized (
          select tenant_id, bucket from unnest($1, $2) as c (tenant_id, bucket)
        ), late as materialized (
          select l.tenant_id, l.bucket, l.customer_id, l.stale, l.revision, l.activity_revision < l.revision as lacking
          from changed c join late_window l using (tenant_id, bucket)
          union all
          select l.tenant_id, l.bucket, l.customer_id, l.stale, l.revision, true
          from tenant t join late_window l on l.tenant_id = t.id
          where l.bucket >= %1$L and l.bucket < %2$L
        ), usage as materialized (
          select tenant_id, bucket, customer_id, event_type, sum(calls)::bigint as calls
          from (
            ${
              timescale
                ? `select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls
            from usage_30s u where u.bucket >= %1$L and u.bucket < %2$L`
                : `select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls
            from tenant t join usage_30s u on u.tenant_id = t.id
            where u.bucket >= %1$L and u.bucket < %2$L`
            }
            union all
            select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls
            from changed c join usage_30s u using (tenant_id, bucket)
            where u.bucket >= %3$L and u.bucket < %4$L
          ) as rolled_up
          where not exists (select from late l
                            where l.stale and (l.tenant_id, l.bucket, l.customer_id)
                                            = (rolled_up.tenant_id, rolled_up.bucket, rolled_up.customer_id))
          group by tenant_id, bucket, customer_id, event_type
          union all
          select l.tenant_id, l.bucket, l.customer_id, e.event_type, count(*)
          from late l
            join event e on e.tenant_id = l.tenant_id and e.customer_id = l.customer_id
              and e.ts >= l.bucket and e.ts < l.bucket + interval '30 seconds'
              and e.ts >= %5$L and e.ts < %6$L -- so that other chunks are not looked at
          where l.stale and l.bucket >= %5$L
          group by l.tenant_id, l.bucket, l.customer_id, e.event_type
        ), customers_1h as (
          insert into activity_customer (tenant_id, level, bucket, customer_id)
          select distinct u.tenant_id, '1h', date_bin('1 hour', u.bucket, 'epoch'::timestamptz), u.customer_id
          from usage u left join late l using (tenant_id, bucket, customer_id)
          where u.bucket >= %1$L or l.lacking
          on conflict do nothing
          returning tenant_id, bucket, customer_id
        ), customers_1d as (
          insert into activity_customer (tenant_id, level, bucket, customer_id)
          select distinct tenant_id, '1d', date_bin('1 day', bucket, 'epoch'::timestamptz), customer_id
          from customers_1h
          on conflict do nothing
          returning tenant_id, bucket
        ), users as (
          insert into activity_users as a (tenant_id, level, bucket, users)
          select tenant_id, '1h', bucket, count(*) from customers_1h group by tenant_id, bucket
          union all
          select tenant_id, '1d', bucket, count(*) from customers_1d group by tenant_id, bucket
          on conflict (tenant_id, level, bucket) do update set users = a.users + excluded.users
        ), grown as materialized (
          select u.tenant_id, u.bucket, u.event_type, u.calls - coalesce(a.calls, 0) as calls
          from (select tenant_id, bucket, event_type, sum(calls)::bigint as calls
                from usage group by tenant_id, bucket, event_type) as u
            left join activity_calls a
              on a.level = '30s' and (a.tenant_id, a.bucket, a.event_type) = (u.tenant_id, u.bucket, u.event_type)
        ), calls as (
          insert into activity_calls as a (tenant_id, level, bucket, event_type, calls)
          select tenant_id, '30s', bucket, event_type, calls from grown
          union all
          select tenant_id, '1h', date_bin('1 hour', bucket, 'epoch'::timestamptz), event_type, sum(calls)::bigint
          from grown group by 1, 3, 4
          union all
          select tenant_id, '1d', date_bin('1 day', bucket, 'epoch'::timestamptz), event_type, sum(calls)::bigint
          from grown group by 1, 3, 4
          on conflict (tenant_id, level, bucket, event_type) do update set calls = a.calls + excluded.calls
        )
        select jsonb_agg(jsonb_build_object('tenant_id', tenant_id, 'bucket', bucket, 'customer_id', customer_id,
                                            'revision', revision))
        from late where lacking
        $statement$, from_at, to_at, first_at, last_at, least(from_at, first_at), greatest(to_at, last_at))
      into seen using coalesce(tenants, '{}'), coalesce(buckets, '{}');

      update late_window l set activity_revision = l.revision
      from (
        select l.tenant_id, l.bucket, l.customer_id
        from jsonb_to_recordset(seen)
          as s (tenant_id text, bucket timestamptz, customer_id text, revision integer)
          join late_window l using (tenant_id, bucket, customer_id)
        where l.revision = s.revision
        for update of l skip locked
      ) as free
      where (l.tenant_id, l.bucket, l.customer_id) = (free.tenant_id, free.bucket, free.customer_id);
      get diagnostics windows = row_count;

      update window_coverage set covered_until = to_at, updated_at = now() where covered_until < to_at;
      more := to_at < reach or cardinality(tenants) = most;
    end $$;
    revoke execute on function cover_activity(interval, integer) from public;

    ${['activity_calls', 'activity_customer', 'activity_users']
      .map(
        (name) => `create view tenant_data.${name} with (security_barrier) as
        select * from ${name} where tenant_id = tenant_data.current_tenant();`,
      )
      .join('\n    ')}
    -- Windows that have changed since they were covered.
    create view tenant_data.activity_lacking with (security_barrier) as
      select tenant_id, bucket, customer_id from late_window
      where activity_revision < revision and tenant_id = tenant_data.current_tenant();
    create view tenant_data.window_coverage with (security_barrier) as select * from window_coverage;
    grant select on tenant_data.activity_calls, tenant_data.activity_customer, tenant_data.activity_users,
      tenant_data.activity_lacking, tenant_data.window_coverage to tidemark_read;
  `);
};

export const down = false;
