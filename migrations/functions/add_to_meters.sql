-- revision 1, 9a7e07f73d64
/*
 * Adds parts to the three levels: to windows, hours and days, each for the customer and for all customers together (''). By
 * whoever has meter_fold locked. Hours and days get members once they are over (settle_members), and from then on at once.
 *
 * How many rows there are is not known to the planner: what it would take a loop for is a hundred thousand as well.
 *
 * There is no max of rows: the last value stands behind a text that is, by its bytes, in the order of time and id.
 */
create or replace function add_to_meters(parts meter_part[]) returns void
language plpgsql set jit = off set work_mem = '64MB' set enable_nestloop = off as $$
declare
  fold meter_fold;
begin
  select * into fold from meter_fold;
  with part as materialized (
    select series_id, bucket, tenant_id, customer_id, dims, events, counted, sum, min, max, latest_at,
      (latest_at >= '2000-01-01 00:00:00+00')::integer
        || encode(timestamptz_send(latest_at) || uuid_send(latest_id), 'hex') || latest as latest_key,
      ignored_missing, ignored_null, ignored_type, ignored_range, members
    from unnest(parts)
  ), own as materialized (
    select series_id, bucket, tenant_id, customer_id, dims, meter_dims_digest(dims) as dims_digest,
      sum(events)::bigint as events, sum(counted)::bigint as counted, sum(sum) as sum, min(min) as min, max(max) as max,
      max(latest_at) as latest_at, max(latest_key collate "C") as latest_key,
      sum(ignored_missing)::bigint as ignored_missing, sum(ignored_null)::bigint as ignored_null,
      sum(ignored_type)::bigint as ignored_type, sum(ignored_range)::bigint as ignored_range
    from part group by 1, 2, 3, 4, 5
  ), own_members as materialized (
    select series_id, bucket, customer_id, dims, array_agg(distinct member) as members
    from part cross join unnest(members) as member group by 1, 2, 3, 4
  ), sums_30s as materialized (
    select own.*, members from own left join own_members using (series_id, bucket, customer_id, dims)
    union all
    select every.*, members
    from (
      select series_id, bucket, tenant_id, '' as customer_id, dims, dims_digest,
        sum(events)::bigint as events, sum(counted)::bigint as counted, sum(sum) as sum, min(min) as min, max(max) as max,
        max(latest_at) as latest_at, max(latest_key collate "C") as latest_key,
        sum(ignored_missing)::bigint as ignored_missing, sum(ignored_null)::bigint as ignored_null,
        sum(ignored_type)::bigint as ignored_type, sum(ignored_range)::bigint as ignored_range
      from own group by 1, 2, 3, 5, 6
    ) as every left join (
      select series_id, bucket, dims, array_agg(distinct member) as members
      from own_members cross join unnest(members) as member group by 1, 2, 3
    ) as every_member using (series_id, bucket, dims)
  ), into_30s as (
    insert into meter_30s as r (
      series_id, bucket, tenant_id, customer_id, dims, dims_digest, events, counted, sum, min, max,
      latest_at, latest_id, latest, ignored_missing, ignored_null, ignored_type, ignored_range, members
    )
    select series_id, bucket, tenant_id, customer_id, dims, dims_digest, events, counted, sum, min, max,
      latest_at, substr(latest_key, 18, 32)::uuid, substr(latest_key, 50)::numeric,
      ignored_missing, ignored_null, ignored_type, ignored_range, members
    from sums_30s
    order by series_id, customer_id, bucket
    on conflict (series_id, customer_id, bucket, dims_digest) do update set
      events = r.events + excluded.events,
      counted = r.counted + excluded.counted,
      sum = coalesce(r.sum + excluded.sum, r.sum, excluded.sum),
      min = least(r.min, excluded.min),
      max = greatest(r.max, excluded.max),
      latest_at = greatest(r.latest_at, excluded.latest_at),
      latest_id = case when r.latest_at is null or (excluded.latest_at, excluded.latest_id) > (r.latest_at, r.latest_id)
                  then excluded.latest_id else r.latest_id end,
      latest = case when r.latest_at is null or (excluded.latest_at, excluded.latest_id) > (r.latest_at, r.latest_id)
               then excluded.latest else r.latest end,
      ignored_missing = r.ignored_missing + excluded.ignored_missing,
      ignored_null = r.ignored_null + excluded.ignored_null,
      ignored_type = r.ignored_type + excluded.ignored_type,
      ignored_range = r.ignored_range + excluded.ignored_range,
      members = join_members(r.members, excluded.members)
  ), sums_1h as materialized (
    select series_id, date_bin('1 hour', bucket, 'epoch'::timestamptz) as bucket, tenant_id, customer_id, dims, dims_digest,
      sum(events)::bigint as events, sum(counted)::bigint as counted, sum(sum) as sum, min(min) as min, max(max) as max,
      max(latest_at) as latest_at, max(latest_key collate "C") as latest_key,
      sum(ignored_missing)::bigint as ignored_missing, sum(ignored_null)::bigint as ignored_null,
      sum(ignored_type)::bigint as ignored_type, sum(ignored_range)::bigint as ignored_range
    from sums_30s group by 1, 2, 3, 4, 5, 6
  ), members_1h as materialized (
    select series_id, date_bin('1 hour', bucket, 'epoch'::timestamptz) as bucket, customer_id, dims,
      array_agg(distinct member) as members
    from sums_30s cross join unnest(members) as member
    where bucket < fold.members_1h_until group by 1, 2, 3, 4
  ), into_1h as (
    insert into meter_1h as r (
      series_id, bucket, tenant_id, customer_id, dims, dims_digest, events, counted, sum, min, max,
      latest_at, latest_id, latest, ignored_missing, ignored_null, ignored_type, ignored_range, members
    )
    select series_id, bucket, tenant_id, customer_id, dims, dims_digest, events, counted, sum, min, max,
      latest_at, substr(latest_key, 18, 32)::uuid, substr(latest_key, 50)::numeric,
      ignored_missing, ignored_null, ignored_type, ignored_range, members
    from sums_1h left join members_1h using (series_id, bucket, customer_id, dims)
    order by series_id, customer_id, bucket
    on conflict (series_id, customer_id, bucket, dims_digest) do update set
      events = r.events + excluded.events,
      counted = r.counted + excluded.counted,
      sum = coalesce(r.sum + excluded.sum, r.sum, excluded.sum),
      min = least(r.min, excluded.min),
      max = greatest(r.max, excluded.max),
      latest_at = greatest(r.latest_at, excluded.latest_at),
      latest_id = case when r.latest_at is null or (excluded.latest_at, excluded.latest_id) > (r.latest_at, r.latest_id)
                  then excluded.latest_id else r.latest_id end,
      latest = case when r.latest_at is null or (excluded.latest_at, excluded.latest_id) > (r.latest_at, r.latest_id)
               then excluded.latest else r.latest end,
      ignored_missing = r.ignored_missing + excluded.ignored_missing,
      ignored_null = r.ignored_null + excluded.ignored_null,
      ignored_type = r.ignored_type + excluded.ignored_type,
      ignored_range = r.ignored_range + excluded.ignored_range,
      members = join_members(r.members, excluded.members)
  ), sums_1d as materialized (
    select series_id, date_bin('1 day', bucket, 'epoch'::timestamptz) as bucket, tenant_id, customer_id, dims, dims_digest,
      sum(events)::bigint as events, sum(counted)::bigint as counted, sum(sum) as sum, min(min) as min, max(max) as max,
      max(latest_at) as latest_at, max(latest_key collate "C") as latest_key,
      sum(ignored_missing)::bigint as ignored_missing, sum(ignored_null)::bigint as ignored_null,
      sum(ignored_type)::bigint as ignored_type, sum(ignored_range)::bigint as ignored_range
    from sums_1h group by 1, 2, 3, 4, 5, 6
  ), members_1d as materialized (
    select series_id, date_bin('1 day', bucket, 'epoch'::timestamptz) as bucket, customer_id, dims,
      array_agg(distinct member) as members
    from sums_30s cross join unnest(members) as member
    where bucket < fold.members_1d_until group by 1, 2, 3, 4
  )
    insert into meter_1d as r (
      series_id, bucket, tenant_id, customer_id, dims, dims_digest, events, counted, sum, min, max,
      latest_at, latest_id, latest, ignored_missing, ignored_null, ignored_type, ignored_range, members
    )
    select series_id, bucket, tenant_id, customer_id, dims, dims_digest, events, counted, sum, min, max,
      latest_at, substr(latest_key, 18, 32)::uuid, substr(latest_key, 50)::numeric,
      ignored_missing, ignored_null, ignored_type, ignored_range, members
    from sums_1d left join members_1d using (series_id, bucket, customer_id, dims)
    order by series_id, customer_id, bucket
    on conflict (series_id, customer_id, bucket, dims_digest) do update set
      events = r.events + excluded.events,
      counted = r.counted + excluded.counted,
      sum = coalesce(r.sum + excluded.sum, r.sum, excluded.sum),
      min = least(r.min, excluded.min),
      max = greatest(r.max, excluded.max),
      latest_at = greatest(r.latest_at, excluded.latest_at),
      latest_id = case when r.latest_at is null or (excluded.latest_at, excluded.latest_id) > (r.latest_at, r.latest_id)
                  then excluded.latest_id else r.latest_id end,
      latest = case when r.latest_at is null or (excluded.latest_at, excluded.latest_id) > (r.latest_at, r.latest_id)
               then excluded.latest else r.latest end,
      ignored_missing = r.ignored_missing + excluded.ignored_missing,
      ignored_null = r.ignored_null + excluded.ignored_null,
      ignored_type = r.ignored_type + excluded.ignored_type,
      ignored_range = r.ignored_range + excluded.ignored_range,
      members = join_members(r.members, excluded.members);
end $$;

-- A plan that is kept goes on without the rows that a chunk of the columnstore gets beside its columns.
do $$ begin
  if (select engine from installation) = 'timescale' then
    alter function add_to_meters(meter_part[]) set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function add_to_meters(meter_part[]) from public;
