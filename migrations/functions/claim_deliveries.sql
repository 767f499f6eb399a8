-- revision 1, 229c6ed8c8d2
/*
 * Takes lanes that are due, for a while, and returns the first delivery of each. An endpoint is given at most
 * 'per_endpoint' at a time by all instances together, one that has failed three times in a row a single one.
 */
create or replace function claim_deliveries(most integer, per_endpoint integer, lease_for interval) returns table (
  lease uuid, delivery_id uuid, subscription_id uuid, customer_id text, tenant_id text, message_id uuid, type text,
  created_at timestamptz, payload text, attempts integer, url text, stream text, secret text, previous_secret text
)
language plpgsql as $$
#variable_conflict use_column
declare
  endpoint record;
  room integer;
  customers text[];
begin
  for endpoint in
    select s.id, h.failures, h.opened_at
    from subscription s left join endpoint_health h on h.subscription_id = s.id
    where s.active and (h.probe_at is null or h.probe_at <= now())
      and exists (select from delivery_lane l where l.subscription_id = s.id and l.due_at <= now())
    order by random()
  loop
    exit when most <= 0;
    if endpoint.opened_at is not null then
      perform from endpoint_health
        where subscription_id = endpoint.id and probe_at <= now() for update skip locked;
      continue when not found;
    end if;
    select case when endpoint.failures > 2 then 1 else per_endpoint end - count(*) into room
      from delivery_lane where subscription_id = endpoint.id and lease is not null and due_at > now();
    continue when room <= 0;

    with due as (
      select customer_id from delivery_lane
      where subscription_id = endpoint.id and due_at <= now()
      order by due_at limit least(room, most)
      for update skip locked
    ), taken as (
      update delivery_lane l set lease = gen_random_uuid(), due_at = now() + lease_for
      from due where l.subscription_id = endpoint.id and l.customer_id = due.customer_id
      returning l.customer_id
    )
    select array_agg(customer_id) into customers from taken;
    continue when customers is null;
    if endpoint.opened_at is not null then
      update endpoint_health set probe_at = now() + lease_for where subscription_id = endpoint.id;
    end if;

    -- A statement of its own: it sees what those have done who held the lanes until just now.
    return query
      with head as (
        select l.lease as held, first.*
        from delivery_lane l cross join lateral (
          select * from delivery
          where subscription_id = l.subscription_id and customer_id = l.customer_id and state = 'pending'
          order by outbox_id limit 1
        ) as first
        where l.subscription_id = endpoint.id and l.customer_id = any (customers)
      )
      select d.held, d.id, d.subscription_id, d.customer_id, d.tenant_id, d.message_id, d.type,
             o.created_at, o.payload::text, d.attempts, s.url, s.stream, s.secret,
             case when s.previous_secret_until > now() then s.previous_secret end
      from head d join outbox o on o.id = d.outbox_id join subscription s on s.id = d.subscription_id;
    most := most - cardinality(customers);
    delete from delivery_lane l
      where l.subscription_id = endpoint.id and l.customer_id = any (customers)
        and not exists (select from delivery d where d.subscription_id = l.subscription_id
                        and d.customer_id = l.customer_id and d.state = 'pending');
  end loop;
end $$;

revoke execute on function claim_deliveries(integer, integer, interval) from public;
