-- revision 1, e43e7da310e9
/*
 * Takes customers out of the activity of hours and days in which they have no event any more. By who has the advisory lock of
 * activity, so that nobody covers windows meanwhile; who began before sees that the coverage has changed, and begins anew.
 * Whoever has an event that this does not see is brought back by the window that holds it.
 *
 * customers, buckets: the windows, one customer and start each, of one UTC day.
 */
create or replace function forget_inactive(tenant text, customers text[], buckets timestamptz[]) returns void
language plpgsql set jit = off set plan_cache_mode = force_custom_plan as $$
declare
  from_at timestamptz;
  step record;
begin
  update window_coverage set updated_at = now();
  select min(date_bin('1 day', b, 'epoch'::timestamptz)) into from_at from unnest(buckets) as b;
  for step in select * from (values ('1h', interval '1 hour'), ('1d', interval '1 day')) as steps (level, length)
  loop
    -- The bounds of the day are written out, so that other chunks are not looked at.
    execute format($statement$
      with gone as (
        delete from activity_customer a
        using (
          select distinct customer_id, date_bin(%4$L, bucket, 'epoch'::timestamptz) as bucket
          from unnest($2::text[], $3::timestamptz[]) as w (customer_id, bucket)
        ) as touched
        where a.tenant_id = $1 and a.level = %1$L and a.bucket = touched.bucket and a.customer_id = touched.customer_id
          and not exists (
            select from event e
            where e.tenant_id = $1 and e.customer_id = touched.customer_id
              and e.ts >= touched.bucket and e.ts < touched.bucket + %4$L::interval and e.ts >= %2$L and e.ts < %3$L)
        returning a.bucket
      )
      update activity_users u set users = u.users - g.gone
      from (select bucket, count(*) as gone from gone group by bucket) as g
      where u.tenant_id = $1 and u.level = %1$L and u.bucket = g.bucket
      $statement$, step.level, from_at, from_at + interval '1 day', step.length)
    using tenant, customers, buckets;
  end loop;
end $$;

revoke execute on function forget_inactive(text, text[], timestamptz[]) from public;
