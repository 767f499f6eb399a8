-- revision 1, 6ebbdcebfc7b
/*
 * Adds to late_window_sum what was covered before there was such a table: a day of late windows, the newest first. In one
 * snapshot, as cover_activity, and not beside it: it updates what that updates, so the one that has the older snapshot fails
 * with 40001. Returns whether there is more to do; null where another instance is at it, or covers.
 */
create or replace function sum_late_windows() returns boolean
language plpgsql set plan_cache_mode = force_custom_plan set jit = off as $$
declare
  from_at timestamptz;
  to_at timestamptz;
begin
  select summed_from into to_at from late_window_summed;
  if to_at = '-infinity' then return false; end if;
  if not pg_try_advisory_xact_lock(hashtext('tidemark.activity')) then return null; end if;
  select coalesce(date_bin('1 day', max(l.bucket), 'epoch'::timestamptz), '-infinity') into from_at
  from tenant t
    cross join lateral (
      select bucket from late_window where tenant_id = t.id and bucket < to_at order by bucket desc limit 1
    ) as l;
  -- First: what another has added up since this snapshot is to fail here, not as rows that are there twice.
  update window_coverage set updated_at = now();
  update late_window_summed set summed_from = from_at, updated_at = now();
  insert into late_window_sum (tenant_id, customer_id, bucket, revision)
  with late as materialized (
    select l.tenant_id, l.customer_id, l.bucket, l.activity_revision
    from tenant t
      cross join lateral (
        select * from late_window
        where tenant_id = t.id and bucket >= from_at and bucket < to_at and activity_revision > 0
        offset 0
      ) as l
  )
  select tenant_id, '', date_bin('1 hour', bucket, 'epoch'::timestamptz), sum(activity_revision) from late group by 1, 3
  union all
  select tenant_id, customer_id, from_at, sum(activity_revision) from late group by 1, 2;
  return from_at > '-infinity';
end $$;

revoke execute on function sum_late_windows() from public;
