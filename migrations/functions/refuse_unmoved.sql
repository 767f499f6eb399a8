-- revision 1, 010d43ce53c1
/*
 * Raises 23505 where one of some events was counted before event_key was there and has not been moved into it. Asked before
 * their keys are claimed: an id that is being moved is still here, and one that has been is refused there.
 */
create or replace function refuse_unmoved(ids uuid[], tenants text[]) returns void
language plpgsql security definer set search_path from current
set enable_hashjoin = off set enable_mergejoin = off set enable_seqscan = off as $$
begin
  if exists (
    select from unnest(ids, tenants) as claimed (event_id, tenant_id)
    join event_identity i on i.event_id = claimed.event_id and i.tenant_id = claimed.tenant_id
  ) then
    raise exception 'an id was counted before' using errcode = 'unique_violation';
  end if;
end $$;

revoke execute on function refuse_unmoved(uuid[], text[]) from public;
grant execute on function refuse_unmoved(uuid[], text[]) to tidemark_ingest;
