-- revision 5, 8f9e7d07c07e
/*
 * Brings closed windows into the activity tables: those since covered_until, over at most 'step', and at most
 * 'most' of those that late events have changed, fewer where they have more than ten customers each. One instance at a
 * time. Returns how many changed windows (of a customer each) it has brought in, and whether there is more to do.
 *
 * In one snapshot, which is older than the lock: what another instance has done since then fails it with 40001,
 * at the latest where it says that it has done something. (1) Alone. (2) What to do, over a week at most, since
 * bounds that are null exclude no chunk: what has changed long ago, and what has just closed, are for two rounds.
 * (3) One statement reads these windows and adds to the tables by how much they have changed. A batch that it does not
 * see found its window closed, and raises a revision above the one seen here. (4) Just the changes that (3) saw are
 * noted as brought in, and added to the sums of revisions; of rows that a batch holds or has changed just now, nothing
 * is said until the next time. (5) TM006 where chunks moved.
 *
 * Changed windows that the rollups have come first: one that is stale costs a search through the events between it and
 * now. Where there are only such, they find their events by equality, not by comparing each with each.
 *
 * Nobody knows beforehand how many windows there are, least of all after an import. So what is in hand is joined by hash
 * alone, which cannot compare each with each whatever the planner takes it for; what is looked up in a table, as many times
 * as there are windows, is in a lateral of its own, by index.
 */
create or replace function cover_activity(step interval, most integer, out windows bigint, out more boolean)
language plpgsql set plan_cache_mode = force_custom_plan set jit = off
set enable_nestloop = off set enable_mergejoin = off set enable_sort = off as $$
declare
  oldest timestamptz;
  sums_from timestamptz;
  from_at timestamptz;
  to_at timestamptz;
  reach timestamptz;
  tenants text[];
  buckets timestamptz[];
  first_at timestamptz;
  last_at timestamptz;
  by_rollup boolean; -- the changed windows are in the rollups; else none of those that wait is
  room bigint;
  left_over boolean;
  seen tid[]; -- of one snapshot: a row that another has changed since is found where it was
begin
  windows := 0;
  more := false;
  if not pg_try_advisory_xact_lock(hashtext('tidemark.activity')) then return; end if;

  select c.covered_from, c.covered_until into oldest, from_at from window_coverage c;
  -- What is no longer kept is removed meanwhile, and nobody reads its sums.
  select greatest(s.summed_from, r.kept_from) into sums_from
  from late_window_summed s, retention r where r.relation = 'usage_30s';
  select least(s.closed_until, s.refreshed_30s) into reach from window_state s;
  to_at := greatest(from_at, least(reach, from_at + step));
  foreach by_rollup in array array[true, false] loop
    room := case when by_rollup then 10::bigint * most else most end;
    select array_agg(tenant_id), array_agg(bucket), count(*) > 0 and (count(*) = most or sum(customers) = room)
      into tenants, buckets, left_over
    from (
      select tenant_id, bucket, count(*) as customers
      from (select tenant_id, bucket from late_window
            where activity_revision < revision and bucket < from_at and stale = not by_rollup
            order by tenant_id, bucket limit room) as first
      group by tenant_id, bucket order by tenant_id, bucket limit most
    ) as changed;
    exit when tenants is not null;
  end loop;
  if to_at = from_at and tenants is null then return; end if;
  if to_at > from_at and exists (select from unnest(buckets) as b where b < from_at - interval '8 days') then
    tenants := '{}';
    buckets := '{}';
    left_over := true;
  elsif exists (select from unnest(buckets) as b
                where b >= (select min(first) from unnest(buckets) as first) + interval '8 days') then
    left_over := true;
    select array_agg(t), array_agg(b) into tenants, buckets
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
      select l.tenant_id, l.bucket, l.customer_id, l.stale, l.place, l.activity_revision < l.revision as lacking
      from changed c
        cross join lateral (
          select l.*, l.ctid as place from late_window l
          where l.tenant_id = c.tenant_id and l.bucket = c.bucket
          offset 0
        ) as l
      union all
      select l.tenant_id, l.bucket, l.customer_id, l.stale, l.place, true
      from tenant t
        cross join lateral (
          select l.*, l.ctid as place from late_window l
          where l.tenant_id = t.id and l.bucket >= %1$L and l.bucket < %2$L
          offset 0
        ) as l
    ), usage as materialized (
      select tenant_id, bucket, customer_id, event_type, sum(calls)::bigint as calls
      from (
        select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls
        from usage_30s u where u.bucket >= %1$L and u.bucket < %2$L
        union all
        select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls
        from changed c
          cross join lateral (
            select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls from usage_30s u
            where u.tenant_id = c.tenant_id and u.bucket = c.bucket and u.bucket >= %3$L and u.bucket < %4$L
            offset 0
          ) as u
        union all
        -- Of windows that are not in it usage_30s makes rows of events each time that it is read: all of them at once.
        select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls
        from changed c join usage_30s u using (tenant_id, bucket)
        where u.bucket >= %7$L and u.bucket < %8$L
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
        left join lateral (
          select a.calls from activity_calls a
          where a.level = '30s' and (a.tenant_id, a.bucket, a.event_type) = (u.tenant_id, u.bucket, u.event_type)
          offset 0
        ) as a on true
      union all
      -- Types of which a changed window has nothing left, since all of it is void.
      select c.tenant_id, c.bucket, a.event_type, -a.calls
      from changed c cross join lateral (
        select a.event_type, a.calls from activity_calls a
        where a.level = '30s' and a.tenant_id = c.tenant_id and a.bucket = c.bucket and a.calls <> 0
        offset 0
      ) as a
      where c.bucket >= $3 and not exists (
        select from usage u where u.tenant_id = c.tenant_id and u.bucket = c.bucket and u.event_type = a.event_type)
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
    select array_agg(place) from late where lacking
    $statement$, from_at, to_at,
    case when by_rollup then coalesce(first_at, from_at) else from_at end,
    case when by_rollup then coalesce(last_at, from_at) else from_at end,
    case when to_at = from_at then coalesce(first_at, from_at) else least(from_at, first_at) end,
    case when to_at = from_at then coalesce(last_at, to_at) else greatest(to_at, last_at) end,
    case when by_rollup then from_at else coalesce(first_at, from_at) end,
    case when by_rollup then from_at else coalesce(last_at, from_at) end)
  into seen using coalesce(tenants, '{}'), coalesce(buckets, '{}'), oldest;

  with free as materialized (
    select l.ctid as place, l.tenant_id, l.customer_id, l.bucket, l.revision - l.activity_revision as lacking
    from late_window l
    where l.ctid = any (seen) and tenant_data.replaced_by(l.xmin, l.xmax) is null
    for update skip locked
  ), noted as (
    update late_window l set activity_revision = l.revision where l.ctid = any (array(select place from free))
    returning true
  ), summed as (
    insert into late_window_sum as s (tenant_id, customer_id, bucket, revision)
    select tenant_id, '', date_bin('1 hour', bucket, 'epoch'::timestamptz), sum(lacking)
    from free where bucket >= sums_from group by 1, 3
    union all
    select tenant_id, customer_id, date_bin('1 day', bucket, 'epoch'::timestamptz), sum(lacking)
    from free where bucket >= sums_from group by 1, 2, 3
    on conflict (tenant_id, customer_id, bucket) do update set revision = s.revision + excluded.revision
  )
  select count(*) into windows from noted;

  update window_coverage set covered_until = greatest(covered_until, to_at), updated_at = now();
  perform require_unmoved_chunks();
  more := to_at < reach or left_over;
end $$;

revoke execute on function cover_activity(interval, integer) from public;
