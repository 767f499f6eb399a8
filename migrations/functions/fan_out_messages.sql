-- revision 1, 2d690ea04ce4
/*
 * Makes deliveries of up to 'most' messages whose transactions have ended, as have all those that began to write
 * before them and may have written to the outbox: so those of a customer come in the order of their facts, as long
 * as the facts themselves were one after the other. One at a time, whoever it is; the others find the lock taken.
 *
 * Where a transaction of whatever database is in the way, it is asked who of them may write to the outbox (ADR 19).
 */
create or replace function fan_out_messages(most integer, out taken integer, out made integer)
language plpgsql as $$
declare
  ids bigint[];
  shown pg_snapshot;
  horizon xid8;
begin
  taken := 0; made := 0;
  if not pg_try_advisory_xact_lock(hashtext('tidemark.fan_out')) then return; end if;

  if exists (select from outbox where awaits is not null) then
    with complete as (
      select o.id, h.count, h.total, h.last_time
      from outbox o
      join record_fill f on f.tenant_id = o.tenant_id and f.epoch = o.awaits and f.whole
      left join record_history h on h.tenant_id = o.tenant_id and h.epoch = o.awaits and h.customer_id = o.customer_id
        and h.reference_key = coalesce('=' || (o.payload #>> '{record,reference}'), '')
      where o.awaits is not null
      order by o.id limit most
    )
    update outbox o set awaits = null, payload = jsonb_set(o.payload, '{summary}', jsonb_build_object(
      'count', (o.payload #>> '{summary,count}')::bigint + coalesce(c.count, 0),
      'total', trim_scale((o.payload #>> '{summary,total}')::numeric + coalesce(c.total, 0))::text,
      'lastTime', iso8601_micros(greatest((o.payload #>> '{summary,lastTime}')::timestamptz, c.last_time))))
    from complete c where o.id = c.id;
  end if;

  select pg_current_snapshot(), pg_snapshot_xmin(pg_current_snapshot()) into shown, horizon;
  if exists (
    select from (select xid from outbox where fanned_out_at is null and awaits is null order by id limit most) as head
    where xid >= horizon
  ) then
    select pg_current_snapshot(),
           coalesce(case when bool_or(xid is null) then pg_snapshot_xmin(pg_current_snapshot()) else min(xid) end,
                    pg_snapshot_xmax(pg_current_snapshot()))
      into shown, horizon
      from outbox_writers();
  end if;

  select array_agg(id) into ids from (
    select o.id from outbox o
    where o.fanned_out_at is null and o.awaits is null and o.xid < horizon and pg_visible_in_snapshot(o.xid, shown)
      and not exists (select from outbox ahead
                      where ahead.awaits is not null and ahead.tenant_id = o.tenant_id
                        and ahead.customer_id = o.customer_id and ahead.id < o.id)
    order by o.id limit most
  ) as ready;
  if ids is null then return; end if;
  taken := cardinality(ids);

  -- A lane that is there is locked, so whoever is about to remove it sees the new deliveries, or we see it gone.
  with deliveries as (
    insert into delivery (subscription_id, outbox_id, message_id, type, tenant_id, customer_id)
    select s.id, o.id, o.message_id, o.type, o.tenant_id, coalesce(o.customer_id, '')
    from outbox o
    join subscription s on s.tenant_id = o.tenant_id and s.active and o.type = any (s.message_types)
      and (s.customers is null or o.customer_id = any (s.customers))
    where o.id = any (ids)
    order by o.id
    returning subscription_id, customer_id
  ), lanes as (
    insert into delivery_lane as l (subscription_id, customer_id, due_at)
    select distinct subscription_id, customer_id, now() from deliveries order by 1, 2
    on conflict (subscription_id, customer_id) do update set due_at = l.due_at
  )
  select count(*) into made from deliveries;
  update outbox set fanned_out_at = now() where id = any (ids);
  if made > 0 then perform pg_notify('tidemark_outbox', ''); end if;
end $$;

revoke execute on function fan_out_messages(integer) from public;
