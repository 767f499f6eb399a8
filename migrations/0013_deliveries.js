import { asOwner } from './support/owner.js';

/** What is sent, per delivery: claimed ones and the next one of a lane look alike. */
const OUTGOING = `
      lease uuid, delivery_id uuid, subscription_id uuid, customer_id text, tenant_id text, message_id uuid, type text,
      created_at timestamptz, payload text, attempts integer, url text, stream text, secret text, previous_secret text`;
const OUTGOING_OF = (lease, delivery) => `
        select ${lease}, d.id, d.subscription_id, d.customer_id, d.tenant_id, d.message_id, d.type,
               o.created_at, o.payload::text, d.attempts, s.url, s.stream, s.secret,
               case when s.previous_secret_until > now() then s.previous_secret end
        from ${delivery} d join outbox o on o.id = d.outbox_id join subscription s on s.id = d.subscription_id`;

/** Messages on their way to those who want them. docs/delivery.md and docs/adr/0019 say why it is so. */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    -- A message for one subscription. Of the pending ones of a lane only the first, by outbox_id, is sent.
    create table delivery (
      id              uuid primary key default gen_random_uuid(),
      subscription_id uuid not null references subscription (id) on delete cascade,
      outbox_id       bigint not null, -- a foreign key would cost each a lock; pruning keeps what is still referred to
      message_id      uuid not null,
      type            text not null,
      tenant_id       text not null,
      customer_id     text not null,   -- '': the message is of no customer
      state           text not null default 'pending' check (state in ('pending', 'delivered', 'dead')),
      attempts        integer not null default 0,             -- since it became pending
      next_attempt_at timestamptz not null default now(),     -- not before
      last_status     integer,
      last_error      text,
      created_at      timestamptz not null default now(),
      pending_since   timestamptz not null default now(),
      settled_at      timestamptz,
      check ((state = 'pending') = (settled_at is null))
    );
    create index delivery_head on delivery (subscription_id, customer_id, outbox_id) where state = 'pending';
    create index delivery_list on delivery (subscription_id, created_at, id);
    create index delivery_dead on delivery (subscription_id, created_at, id) where state = 'dead';
    create index delivery_settled on delivery (state, settled_at) where state <> 'pending';
    create index delivery_waiting on delivery (pending_since) where state = 'pending';
    create index delivery_outbox on delivery (outbox_id);

    create index outbox_fanned_out on outbox (fanned_out_at) where fanned_out_at is not null;

    create table delivery_attempt (
      id          bigint generated always as identity primary key,
      delivery_id uuid not null references delivery (id) on delete cascade,
      at          timestamptz not null default now(),
      status      integer,
      error       text,
      response    text,
      duration_ms integer not null
    );
    create index delivery_attempt_delivery on delivery_attempt (delivery_id, id);

    -- A customer's messages to one subscription, for as long as there are any to send. Whoever holds the lease sends,
    -- one after the other; due_at is when the lane is due, or when the lease lapses.
    create table delivery_lane (
      subscription_id uuid not null references subscription (id) on delete cascade,
      customer_id     text not null,
      due_at          timestamptz not null,
      lease           uuid,
      primary key (subscription_id, customer_id)
    );
    create index delivery_lane_due on delivery_lane (subscription_id, due_at);
    create index delivery_lane_leased on delivery_lane (subscription_id) where lease is not null;

    -- Endpoints whose last attempt failed. Once opened_at is set they are left alone but for one attempt at probe_at.
    create table endpoint_health (
      subscription_id uuid primary key references subscription (id) on delete cascade,
      failures        integer not null, -- one after the other
      opened_at       timestamptz,
      probe_at        timestamptz
    );

    /*
     * Makes deliveries of up to 'most' messages whose transactions have ended, and all that began before them: so those
     * of a customer come in the order of their facts, as long as the facts themselves were one after the other. One at
     * a time, whoever it is; the others find the lock taken.
     */
    create function fan_out_messages(most integer, out taken integer, out made integer) language plpgsql as $$
    declare
      ids bigint[];
    begin
      taken := 0; made := 0;
      if not pg_try_advisory_xact_lock(hashtext('tidemark.fan_out')) then return; end if;
      select array_agg(id) into ids from (
        select id from outbox
        where fanned_out_at is null and xid < pg_snapshot_xmin(pg_current_snapshot())
        order by id limit most
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

    /*
     * Takes lanes that are due, for a while, and returns the first delivery of each. An endpoint is given at most
     * 'per_endpoint' at a time by all instances together, one that has failed three times in a row a single one.
     */
    create function claim_deliveries(most integer, per_endpoint integer, lease_for interval)
    returns table (${OUTGOING}) language plpgsql as $$
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
          ${OUTGOING_OF('d.held', 'head')};
        most := most - cardinality(customers);
        delete from delivery_lane l
          where l.subscription_id = endpoint.id and l.customer_id = any (customers)
            and not exists (select from delivery d where d.subscription_id = l.subscription_id
                            and d.customer_id = l.customer_id and d.state = 'pending');
      end loop;
    end $$;

    /*
     * Writes down what became of an attempt, and passes the lane on: to the next delivery, which is returned where the
     * holder may go on ('go_on' is for how long) and it is due; else to whoever claims it when it is due.
     * Does nothing once the lease has been taken by another.
     *
     * outcome: 'delivered', 'failed' (again after 'retry_in') or 'dead'.
     */
    create function finish_delivery(
      endpoint uuid, customer text, held uuid, sent uuid,
      outcome text, status integer, error text, response text, duration_ms integer, retry_in interval,
      breaker_after integer, probe_min interval, probe_max interval, go_on interval
    ) returns table (${OUTGOING}) language plpgsql as $$
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
        return query ${OUTGOING_OF('held', 'delivery')} where d.id = following.id;
      else
        update delivery_lane set lease = null, due_at = greatest(now(), following.next_attempt_at)
          where subscription_id = endpoint and customer_id = customer;
      end if;
    end $$;

    /*
     * Has deliveries sent once more, and those that wait sent now: the given ones, or up to 'most' dead ones, oldest
     * first. Takes lanes before deliveries, like everybody.
     */
    create function redeliver(tenant text, endpoint uuid, chosen uuid[], most integer)
    returns table (id uuid, before text) language plpgsql as $$
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

    revoke execute on function fan_out_messages(integer), claim_deliveries(integer, integer, interval),
      finish_delivery(uuid, text, uuid, uuid, text, integer, text, text, integer, interval, integer, interval, interval, interval),
      redeliver(text, uuid, uuid[], integer) from public;
  `);
};

export const down = false;
