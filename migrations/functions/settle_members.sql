-- revision 1, 8fe704a4bc70
/*
 * Gives the next hour that is over, and after the last hour of a day that day, the members of its distinct series. What is
 * folded into it later adds its own. Alone; 55P03 where another folds or fills. Returns whether there is more to do.
 */
create or replace function settle_members() returns boolean
language plpgsql set jit = off set plan_cache_mode = force_custom_plan as $$
declare
  fold meter_fold;
  until timestamptz;
  level text;
  below text;
  from_at timestamptz;
  to_at timestamptz;
begin
  select closed_until into until from window_state;
  select * into fold from meter_fold;
  if fold.members_1h_until + interval '1 hour' > until and fold.members_1d_until + interval '1 day' > fold.members_1h_until then
    return false;
  end if;
  lock table meter_fold in exclusive mode nowait;
  select * into fold from meter_fold;
  if not exists (select from meter_series where is_distinct) then
    update meter_fold set members_1h_until = greatest(fold.members_1h_until, date_bin('1 hour', until, 'epoch'::timestamptz)),
      members_1d_until = greatest(fold.members_1d_until, date_bin('1 day', until, 'epoch'::timestamptz)), updated_at = now();
    return false;
  end if;
  if fold.members_1d_until + interval '1 day' <= fold.members_1h_until then
    level := 'meter_1d';
    below := 'meter_1h';
    from_at := fold.members_1d_until;
    fold.members_1d_until := from_at + interval '1 day';
    to_at := fold.members_1d_until;
  elsif fold.members_1h_until + interval '1 hour' <= until then
    level := 'meter_1h';
    below := 'meter_30s';
    from_at := fold.members_1h_until;
    fold.members_1h_until := from_at + interval '1 hour';
    to_at := fold.members_1h_until;
  else
    return true;
  end if;
  execute format($statement$
    update %1$I r set members = m.members
    from (
      select b.series_id, b.customer_id, b.dims_digest, array_agg(distinct member) as members
      from meter_series s join %2$I b on b.series_id = s.id cross join unnest(b.members) as member
      where s.is_distinct and b.bucket >= %3$L and b.bucket < %4$L group by 1, 2, 3
    ) as m
    where r.series_id = m.series_id and r.customer_id = m.customer_id and r.dims_digest = m.dims_digest
      and r.bucket = %3$L
  $statement$, level, below, from_at, to_at);
  update meter_fold
    set members_1h_until = fold.members_1h_until, members_1d_until = fold.members_1d_until, updated_at = now();
  return true;
end $$;

revoke execute on function settle_members() from public;
