-- revision 2, 19a2dba25220
/*
 * Brings closed windows into the activity tables: those since covered_until, over at most 'step', and at most
 * 'most' of those that late events have changed. One instance at a time. Returns how many changed windows (of a
 * customer each) it has brought in, and whether there is more to do.
 *
 * In one snapshot, which is older than the lock: what another instance has done since then fails it with 40001,
 * at the latest where it says that it has done something. (1) Alone. (2) What to do, over a week at most: what has
 * changed long ago, and what has just closed, are for two rounds. (3) One statement reads these windows and adds to
 * the tables by how much they have grown. A batch that it does not see found its window closed, and raises a revision
 * above the one seen here. (4) Just the changes that (3) saw are noted as brought in; of rows that a batch holds or has
 * changed just now, nothing is said until the next time.
 *
 * Changed windows that the rollups have come first: one that is stale costs a search through the events between it and
 * now. Where there are only such, they find their events by equality, not by comparing each with each.
 */
create or replace function cover_activity(step interval, most integer, out windows bigint, out more boolean)
language plpgsql set jit = off as $$
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
  select s.closed_until into reach from window_state s;
  to_at := greatest(from_at, least(reach, from_at + step));
  select array_agg(tenant_id), array_agg(bucket) into tenants, buckets
  from (select tenant_id, bucket from late_window
        where activity_revision < revision and bucket < from_at
          and (not stale or not exists (
            select from late_window l where l.activity_revision < l.revision and l.bucket < from_at and not l.stale))
        group by tenant_id, bucket order by tenant_id, bucket limit most) as changed;
  if to_at = from_at and tenants is null then return; end if;
  if to_at > from_at and exists (select from unnest(buckets) as b where b < from_at - interval '8 days') then
    tenants := '{}';
    buckets := '{}';
    most := 0; -- which says that there is more to do
  elsif exists (select from unnest(buckets) as b
                where b >= (select min(first) from unnest(buckets) as first) + interval '8 days') then
    select array_agg(t), array_agg(b), count(*) into tenants, buckets, most
    from unnest(tenants, buckets) as c (t, b)
    where b < (select min(first) from unnest(buckets) as first) + interval '8 days';
  end if;
  if cardinality(tenants) > 0 then
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
        select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls
        from tenant t join usage_30s u on u.tenant_id = t.id
        where u.bucket >= %1$L and u.bucket < %2$L
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
        cross join lateral (
          -- For each window: without statistics, all events of all windows would look like as little work.
          select e.event_type from event e
          where e.tenant_id = l.tenant_id and e.customer_id = l.customer_id
            and e.ts >= l.bucket and e.ts < l.bucket + interval '30 seconds'
            and date_bin('30 seconds', e.ts, 'epoch'::timestamptz) = l.bucket
            and e.ts >= %5$L and e.ts < %6$L -- so that other chunks are not looked at
          offset 0
        ) as e
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
    $statement$, from_at, to_at, coalesce(first_at, from_at), coalesce(last_at, from_at),
    case when to_at = from_at then coalesce(first_at, from_at) else least(from_at, first_at) end,
    case when to_at = from_at then coalesce(last_at, to_at) else greatest(to_at, last_at) end)
  into seen using coalesce(tenants, '{}'), coalesce(buckets, '{}');

  update late_window l set activity_revision = l.revision
  from (
    select l.tenant_id, l.bucket, l.customer_id
    from jsonb_to_recordset(seen)
      as s (tenant_id text, bucket timestamptz, customer_id text, revision integer)
      join late_window l using (tenant_id, bucket, customer_id)
    where l.revision = s.revision and tenant_data.replaced_by(l.xmin, l.xmax) is null
    for update of l skip locked
  ) as free
  where (l.tenant_id, l.bucket, l.customer_id) = (free.tenant_id, free.bucket, free.customer_id);
  get diagnostics windows = row_count;

  update window_coverage set covered_until = greatest(covered_until, to_at), updated_at = now();
  more := to_at < reach or cardinality(tenants) = most;
end $$;

revoke execute on function cover_activity(interval, integer) from public;
