-- revision 1, 35b309e81c2d
/*
 * Moves at most 'most' parts of closed windows into the levels (add_to_meters): those of windows that are filled. What a retired
 * series has of others is thrown away, since nobody will fill them. Returns how many, and whether there is more to do.
 *
 * (1) Alone; 55P03 where another folds or fills. (2) Parts are deleted and added in one transaction, so readers see each in
 * one place. What batches write meanwhile is not seen, and folded the next time.
 */
create or replace function fold_meters(most integer, out folded bigint, out more boolean)
language plpgsql set jit = off as $$
declare
  until timestamptz;
  parts meter_part[];
begin
  lock table meter_fold in exclusive mode nowait;
  select closed_until into until from window_state;
  with gone as (
    delete from meter_part where ctid = any (array(
      select taken.ctid
      from meter_series s
      cross join lateral (
        select p.ctid from meter_part p
        where p.series_id = s.id and p.bucket < until
          and p.bucket >= case when s.retired_at is null then s.filled_from else '-infinity' end
        limit most) as taken
      limit most))
    returning meter_part as part
  )
  select array_agg(part) filter (where s.filled_from <= (part).bucket), count(*) into parts, folded
  from gone join meter_series s on s.id = (part).series_id;
  if parts is not null then perform add_to_meters(parts); end if;
  more := folded >= most;
end $$;

revoke execute on function fold_meters(integer) from public;
