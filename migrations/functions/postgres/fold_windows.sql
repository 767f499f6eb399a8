-- revision 1, 49f6ada08db9
/*
 * Folds a step of the closed windows into hours and days: about 'most' rows of usage_30s, so that late batches, which wait
 * meanwhile, do not wait long (others never do). Of a window that has more rows, some of its customers at a time, by the first
 * byte of a digest: those below folded_part are folded. One instance at a time. Returns whether there is more to do.
 *
 * (1) What to take is guessed. (2) Late batches are kept out, the rows of those under way are there. (3) All of what is to be
 * passed is added up and passed, in this transaction: readers see both or nothing. Which rows those are was not
 * guessed, so (2) must be seen: each statement needs a snapshot of its own.
 *
 * Raises 55P03 when late batches keep the lock for longer than half a second.
 */
create or replace function fold_windows(most integer) returns boolean
language plpgsql set jit = off set lock_timeout = '500ms' as $$
declare
  fold usage_fold;
  reach timestamptz;
  first_at timestamptz;
  first_rows bigint;
  to_at timestamptz;
  to_part integer := 0;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'windows are folded statement by statement' using errcode = 'active_sql_transaction';
  end if;
  if not pg_try_advisory_xact_lock(hashtext('tidemark.folder')) then return false; end if;
  select * into fold from usage_fold;
  select closed_until into reach from window_state;
  if fold.folded_until >= reach then return false; end if;

  select min(first.bucket) into first_at
    from usage_tenants() as t (id)
    cross join lateral (select min(bucket) as bucket from usage_30s
                        where tenant_id = t.id and bucket >= fold.folded_until and bucket < reach) as first;
  if first_at is null then
    to_at := reach;
  else
    reach := least(reach, first_at + interval '10 minutes');
    select case when max(up_to) <= most then reach else max(bucket + interval '30 seconds') filter (where up_to <= most) end,
           min(up_to)
      into to_at, first_rows
      from (
        select u.bucket, sum(count(*)) over (order by u.bucket) as up_to
        from usage_tenants() as t (id)
        cross join lateral (select bucket from usage_30s
                            where tenant_id = t.id and bucket >= first_at and bucket < reach offset 0) as u
        group by u.bucket
      ) as counted;
    if to_at is null then
      to_at := first_at;
      to_part := case when first_at = fold.folded_until then fold.folded_part else 0 end
                 + greatest(1, 256 * most / first_rows);
      if to_part > 255 then
        to_at := first_at + interval '30 seconds';
        to_part := 0;
      end if;
    end if;
  end if;

  perform pg_advisory_xact_lock(hashtext('tidemark.folding'));
  perform from usage_fold for update;
  perform add_to_hours_and_days(array(
    select taken.r
    from usage_tenants() as t (id)
    cross join lateral (
      select r from usage_30s r
      where r.tenant_id = t.id and r.bucket >= fold.folded_until
        and r.bucket < case when to_part > 0 then to_at + interval '30 seconds' else to_at end
        and (r.bucket > fold.folded_until or fold.folded_part = 0
             or get_byte(sha256(convert_to(r.customer_id, 'UTF8')), 0) >= fold.folded_part)
        and (r.bucket < to_at or get_byte(sha256(convert_to(r.customer_id, 'UTF8')), 0) < to_part)
      offset 0 -- for each tenant: usage_30s has no index by time alone
    ) as taken
  ));
  update usage_fold set folded_until = to_at, folded_part = to_part, updated_at = now();
  return to_part > 0 or to_at < (select closed_until from window_state);
end $$;

revoke execute on function fold_windows(integer) from public;
