-- revision 1, f72df7c3d31f
/*
 * Has deliveries sent once more, and those that wait sent now: the given ones, or up to 'most' dead ones, oldest
 * first. Takes lanes before deliveries, like everybody.
 */
create or replace function redeliver(tenant text, endpoint uuid, chosen uuid[], most integer) returns table (
  id uuid, before text
)
language plpgsql as $$
#variable_conflict use_column
begin
  if chosen is null then
    select array_agg(id) into chosen from (
      select id from delivery where subscription_id = endpoint and tenant_id = tenant and state = 'dead'
      order by created_at, id limit most) as dead;
  end if;
  insert into delivery_lane as l (subscription_id, customer_id, due_at)
    select distinct subscription_id, customer_id, now() from delivery
    where id = any (chosen) and subscription_id = endpoint and tenant_id = tenant order by 1, 2
  on conflict (subscription_id, customer_id) do update
    set due_at = case when l.lease is null or l.due_at <= now() then least(l.due_at, now()) else l.due_at end;
  return query
    with old as (
      select d.id, d.state from delivery d
      where d.id = any (chosen) and d.subscription_id = endpoint and d.tenant_id = tenant for update
    ), changed as (
      update delivery d set
        state = 'pending', settled_at = null, next_attempt_at = least(d.next_attempt_at, now()),
        attempts = case when old.state = 'pending' then d.attempts else 0 end,
        pending_since = case when old.state = 'pending' then d.pending_since else now() end
      from old where d.id = old.id
      returning d.id, old.state
    )
    select id, state from changed;
  if not found then return; end if;
  update endpoint_health set probe_at = now() where subscription_id = endpoint and probe_at > now();
  perform pg_notify('tidemark_outbox', '');
end $$;

revoke execute on function redeliver(text, uuid, uuid[], integer) from public;
