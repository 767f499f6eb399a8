-- revision 1, dba7c1c4b7d4
/*
 * Takes windows of customers out of the levels of a series: their rows go, and those of all customers, hours and days that had
 * them are added up anew of what is left below. What the windows have now is in parts by then. By whoever has meter_fold locked.
 *
 * customers, buckets: the windows, one customer and start each, of one UTC day, whose bounds are written out, so that other
 * chunks are not looked at. Sets of hours and days: as add_to_meters has them.
 */
create or replace function take_out_of_meters(series integer, customers text[], buckets timestamptz[]) returns void
language plpgsql set jit = off set plan_cache_mode = force_custom_plan as $$
declare
  fold meter_fold;
  day_at timestamptz;
  who text[];
  at timestamptz[];
  digests uuid[];
  step record;
begin
  select * into fold from meter_fold;
  select min(date_bin('1 day', b, 'epoch'::timestamptz)) into day_at from unnest(buckets) as b;
  execute format($statement$
    with gone as (
      delete from meter_30s m using unnest($1::text[], $2::timestamptz[]) as w (customer_id, bucket)
      where m.series_id = %1$s and m.bucket >= %2$L and m.bucket < %3$L
        and m.bucket = w.bucket and m.customer_id = w.customer_id
      returning m.customer_id, m.bucket, m.dims_digest
    ), touched as (
      select distinct unnest(array[customer_id, '']) as customer_id, bucket, dims_digest from gone
    )
    select array_agg(customer_id), array_agg(bucket), array_agg(dims_digest) from touched
    $statement$, series, day_at, day_at + interval '1 day')
  into who, at, digests using customers, buckets;
  if who is null then return; end if;

  for step in
    -- 'whose': which rows of the level below a row is added up of
    select * from (values
      ('meter_30s', 'meter_30s', interval '30 seconds', interval '1 day',
       'b.customer_id <> '''' and k.customer_id = ''''', 'infinity'::timestamptz),
      ('meter_1h', 'meter_30s', interval '1 hour', interval '1 day', 'b.customer_id = k.customer_id', fold.members_1h_until),
      ('meter_1d', 'meter_1h', interval '1 day', interval '1 day', 'b.customer_id = k.customer_id', fold.members_1d_until)
    ) as steps (level, below, length, span, whose, members_until)
  loop
    execute format($statement$
      with key as materialized (
        select distinct customer_id, date_bin(%6$L, bucket, 'epoch'::timestamptz) as bucket, dims_digest
        from unnest($1::text[], $2::timestamptz[], $3::uuid[]) as k (customer_id, bucket, dims_digest)
        where %1$L <> 'meter_30s' or customer_id = ''
      )
      delete from %1$I m using key k
      where m.series_id = %3$s and m.bucket >= %4$L and m.bucket < %5$L
        and m.customer_id = k.customer_id and m.bucket = k.bucket and m.dims_digest = k.dims_digest
      $statement$, step.level, step.below, series, day_at, day_at + step.span, step.length)
    using who, at, digests;
    execute format($statement$
      with key as materialized (
        select distinct customer_id, date_bin(%6$L, bucket, 'epoch'::timestamptz) as bucket, dims_digest
        from unnest($1::text[], $2::timestamptz[], $3::uuid[]) as k (customer_id, bucket, dims_digest)
        where %1$L <> 'meter_30s' or customer_id = ''
      ), part as materialized (
        select k.customer_id as key_customer, k.bucket as key_bucket, b.*
        from key k cross join lateral (
          select * from %2$I b
          where b.series_id = %3$s and b.bucket >= %4$L and b.bucket < %5$L
            and b.bucket >= k.bucket and b.bucket < k.bucket + %6$L::interval and b.dims_digest = k.dims_digest
            and %7$s
          offset 0
        ) as b
      )
      insert into %1$I (
        series_id, bucket, tenant_id, customer_id, dims, dims_digest, events, counted, sum, min, max,
        latest_at, latest_id, latest, ignored_missing, ignored_null, ignored_type, ignored_range, members
      )
      select %3$s, key_bucket, tenant_id, key_customer, dims, dims_digest, sum(events)::bigint, sum(counted)::bigint, sum(sum),
        min(min), max(max), max(latest_at),
        (array_agg(latest_id order by latest_at desc, latest_id desc) filter (where latest_at is not null))[1],
        (array_agg(latest order by latest_at desc, latest_id desc) filter (where latest_at is not null))[1],
        sum(ignored_missing)::bigint, sum(ignored_null)::bigint, sum(ignored_type)::bigint, sum(ignored_range)::bigint,
        case when key_bucket < %8$L then (
          select array_agg(distinct member) from part o cross join unnest(o.members) as member
          where o.key_customer = part.key_customer and o.key_bucket = part.key_bucket and o.dims_digest = part.dims_digest
        ) end
      from part group by key_bucket, tenant_id, key_customer, dims, dims_digest
      $statement$, step.level, step.below, series, day_at, day_at + step.span, step.length, step.whose, step.members_until)
    using who, at, digests;
  end loop;
end $$;

-- A plan that is kept goes on without the rows that a chunk of the columnstore gets beside its columns.
do $$ begin
  if (select engine from installation) = 'timescale' then
    alter function take_out_of_meters(integer, text[], timestamptz[]) set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function take_out_of_meters(integer, text[], timestamptz[]) from public;
