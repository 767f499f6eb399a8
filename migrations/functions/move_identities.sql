-- revision 1, a4001c0e7741
/*
 * Moves a step of the ids that were counted before event_key was there into it: so many pages of event_identity, from its
 * end on, so that VACUUM can give back what has been moved. All of a step or none of it, one step at a time, whichever
 * instance it is; what is past its horizon goes. Ids of the same minute share rows, which are kept as long as the youngest
 * of them. When nothing is left, writers stop looking there, and what writers of the version before have put there
 * (mirror_identity) goes as well. Returns the ids of the step, and whether there is more to do.
 */
create or replace function move_identities(pages integer, out moved bigint, out more boolean)
language plpgsql as $$
declare
  state identity_move;
  beyond bigint;
  horizon timestamptz := coalesce((select now() - keep from retention where relation = 'event_key'), '-infinity');
  careful boolean;
begin
  moved := 0;
  more := false;
  if not pg_try_advisory_xact_lock(hashtext('tidemark.identity_move')) then return; end if;
  select * into state from identity_move;
  if state.finished_at is not null then
    if pg_relation_size('event_identity') > 0 then
      begin
        perform set_config('lock_timeout', '200ms', true);
        truncate event_identity;
      exception when lock_not_available then
        null; -- the next time
      end;
    end if;
    return;
  end if;
  beyond := coalesce(state.next_page, pg_relation_size('event_identity') / current_setting('block_size')::bigint);
  state.next_page := greatest(0, beyond - pages);
  -- What a writer of the version before has claimed is in both: then those that are known are left out.
  foreach careful in array array[false, true] loop
    begin
      with gone as (
        delete from event_identity
        where ctid >= format('(%s,0)', state.next_page)::tid and ctid < format('(%s,0)', beyond)::tid
        returning event_id, tenant_id, received_at
      ), salted as materialized (
        select tenant_id, identity_salt(tenant_id) as salt from (select distinct tenant_id from gone) as t
      ), keyed as materialized (
        select salted_identity(event_id, salt) as key, received_at from gone join salted using (tenant_id)
        where received_at >= horizon
      ), slotted as materialized (
        select key, identity_slot(key) as slot, received_at, date_trunc('minute', received_at) as minute from keyed
        where not careful or not known_key(key)
      ), dealt as (
        select *, row_number() over (partition by minute, slot order by key) as place from slotted
      ), claimed as (
        insert into event_key (received_at, key_0, key_1, key_2, key_3, key_4, key_5, key_6)
        select max(received_at),
          (array_agg(key) filter (where slot = 0))[1],
          (array_agg(key) filter (where slot = 1))[1],
          (array_agg(key) filter (where slot = 2))[1],
          (array_agg(key) filter (where slot = 3))[1],
          (array_agg(key) filter (where slot = 4))[1],
          (array_agg(key) filter (where slot = 5))[1],
          (array_agg(key) filter (where slot = 6))[1]
        from dealt group by minute, place order by minute, place
      )
      select count(*) into moved from gone;
      exit;
    exception when unique_violation then
      if careful then raise; end if;
    end;
  end loop;
  more := state.next_page > 0;
  update identity_move m set
    next_page = state.next_page, moved = m.moved + move_identities.moved, began_at = coalesce(m.began_at, now()),
    finished_at = case when not more then now() end;
end $$;

revoke execute on function move_identities(integer) from public;
