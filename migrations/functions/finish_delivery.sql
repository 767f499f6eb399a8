-- revision 1, 7e70aab0c570
/*
 * Writes down what became of an attempt, and passes the lane on: to the next delivery, which is returned where the
 * holder may go on ('go_on' is for how long) and it is due; else to whoever claims it when it is due.
 * Does nothing once the lease has been taken by another.
 *
 * outcome: 'delivered', 'failed' (again after 'retry_in') or 'dead'.
 */
create or replace function finish_delivery(
  endpoint uuid, customer text, held uuid, sent uuid, outcome text, status integer, error text, response text,
  duration_ms integer, retry_in interval, breaker_after integer, probe_min interval, probe_max interval, go_on interval
) returns table (
  lease uuid, delivery_id uuid, subscription_id uuid, customer_id text, tenant_id text, message_id uuid, type text,
  created_at timestamptz, payload text, attempts integer, url text, stream text, secret text, previous_secret text
)
language plpgsql as $$
#variable_conflict use_column
declare
  following record;
begin
  perform from delivery_lane
    where subscription_id = endpoint and customer_id = customer and lease = held for update;
  if not found then return; end if;

  update delivery set
    attempts = attempts + 1,
    state = case outcome when 'failed' then 'pending' else outcome end,
    settled_at = case when outcome <> 'failed' then now() end,
    next_attempt_at = case outcome when 'failed' then now() + retry_in else next_attempt_at end,
    last_status = finish_delivery.status,
    last_error = finish_delivery.error
  where id = sent and state = 'pending';
  if found then
    insert into delivery_attempt (delivery_id, at, status, error, response, duration_ms)
      values (sent, now() - finish_delivery.duration_ms * interval '1 millisecond', finish_delivery.status,
              finish_delivery.error, finish_delivery.response, finish_delivery.duration_ms);
    -- The log of one that is tried for days stays short.
    delete from delivery_attempt a where a.delivery_id = sent and a.id < (
      select id from delivery_attempt where delivery_id = sent order by id desc offset 49 limit 1);
  end if;

  if outcome = 'delivered' then
    delete from endpoint_health where subscription_id = endpoint;
  else
    insert into endpoint_health as h (subscription_id, failures, opened_at, probe_at)
    select endpoint, 1, case when breaker_after <= 1 then now() end, case when breaker_after <= 1 then now() + probe_min end
    on conflict (subscription_id) do update set
      failures = h.failures + 1,
      opened_at = case when h.failures + 1 >= breaker_after then coalesce(h.opened_at, now()) end,
      probe_at = case when h.failures + 1 >= breaker_after then now() + least(probe_max,
        probe_min * (1 << least(h.failures + 1 - breaker_after, 16))) * (0.9 + random() * 0.2) end;
  end if;

  select d.id, d.next_attempt_at <= now() and s.active as due, d.next_attempt_at into following
    from delivery d join subscription s on s.id = d.subscription_id
    where d.subscription_id = endpoint and d.customer_id = customer and d.state = 'pending'
    order by d.outbox_id limit 1;
  if following.id is null then
    delete from delivery_lane where subscription_id = endpoint and customer_id = customer;
  elsif outcome = 'delivered' and following.due and go_on is not null then
    update delivery_lane set due_at = now() + go_on where subscription_id = endpoint and customer_id = customer;
    return query
      select held, d.id, d.subscription_id, d.customer_id, d.tenant_id, d.message_id, d.type,
             o.created_at, o.payload::text, d.attempts, s.url, s.stream, s.secret,
             case when s.previous_secret_until > now() then s.previous_secret end
      from delivery d join outbox o on o.id = d.outbox_id join subscription s on s.id = d.subscription_id
      where d.id = following.id;
  else
    update delivery_lane set lease = null, due_at = greatest(now(), following.next_attempt_at)
      where subscription_id = endpoint and customer_id = customer;
  end if;
end $$;

revoke execute on function finish_delivery(
  uuid, text, uuid, uuid, text, integer, text, text, integer, interval, integer, interval, interval, interval
) from public;
