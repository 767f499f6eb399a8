import { asOwner } from './support/owner.js';

/** Messages that are written by the batch whose events they tell of. window.* are written elsewhere. */
const OF_BATCHES = `array['alert.triggered', 'record.processed', 'usage.threshold']`;

/** Who hears of what, and the messages that are written with the facts they tell of. */
export const up = async (pgm) => {
  const { rows } = await pgm.db.query('select quote_ident(current_schema()) as schema');
  const { schema } = rows[0];
  asOwner(pgm);

  pgm.sql(`
    alter table subscription
      add column url text,                          -- a webhook, or
      add column stream text,                       -- a Redis stream
      add column customers text[],                  -- null: all
      add column description text,
      add column secret text,                       -- whsec_…, of webhooks; gone once the subscription is deleted
      add column previous_secret text,
      add column previous_secret_until timestamptz, -- until then both sign
      add column disabled_at timestamptz,
      add column disabled_reason text,              -- '410 Gone', 'by request'
      add column deleted_at timestamptz;            -- kept, not active, for the list of its deliveries
    delete from subscription; -- made by hand, and messages could not be sent anywhere
    alter table subscription
      add constraint subscription_destination check (num_nonnulls(url, stream) = 1),
      add constraint subscription_customers check (customers <> '{}'),
      add constraint subscription_deleted check (deleted_at is null or not active);
    create index subscription_tenant on subscription (tenant_id, created_at);

    alter table outbox
      add column xid xid8 not null default pg_current_xact_id(),
      add column fanned_out_at timestamptz;
    update outbox set fanned_out_at = now();
    create index outbox_waiting on outbox (id) where fanned_out_at is null;

    -- Counts the changes of who hears of batches: writers compare it with that of what they know.
    alter table window_state add column interest_version bigint not null default 0;

    create table alert_rule (
      id           uuid primary key default gen_random_uuid(),
      tenant_id    text collate "C" not null references tenant (id),
      name         text,
      kind         text not null,
      field        text,           -- of kind event: what of each event is compared
      measure      text,           -- of kind usage: what is summed per customer,
      period       text,           -- and over which stretch of UTC
      threshold    numeric not null,
      customers    text[],         -- null: all
      event_type   text,           -- null: all
      active       boolean not null default true,
      epoch        bigint not null default 1,           -- of its tallies: those of another one are not to be believed
      counted_from timestamptz not null default now(),  -- whatever is stored of periods that begin later is in its tallies
      created_at   timestamptz not null default now(),
      updated_at   timestamptz not null default now(),
      check (customers <> '{}'),
      check (case kind
        when 'event' then field in ('value', 'tokens', 'latencyMs') and num_nonnulls(measure, period) = 0
        when 'usage' then measure in ('calls', 'tokens', 'value') and period in ('hour', 'day', 'month') and field is null
        else false end)
    );
    create index alert_rule_tenant on alert_rule (tenant_id, created_at);

    -- Whether writers keep tallies for a tenant, and since when: those of another epoch are not to be believed.
    create table tally_state (
      tenant_id    text collate "C" primary key,
      records      boolean not null,
      record_epoch bigint not null,
      usage        boolean not null
    );

    -- Records so far of a destination and reference. The lock of the row orders those who add to it.
    create table record_tally (
      tenant_id       text collate "C" not null,
      customer_id     text collate "C" not null,
      reference_key   text collate "C" not null, -- '=' and the reference; '' where there is none
      epoch           bigint not null,
      begun_by        uuid not null,             -- the call that has to add what was stored before
      count           bigint not null,
      total           numeric not null,
      last_time       timestamptz,
      prior_last_time timestamptz,               -- before those of the last transaction
      primary key (tenant_id, customer_id, reference_key)
    ) with (fillfactor = 70);

    -- What a customer has used in a period, as far as a rule wants to know: no further than its threshold.
    create table usage_tally (
      rule_id      uuid not null,
      customer_id  text collate "C" not null,
      period_start timestamptz not null,
      epoch        bigint not null,
      begun_by     uuid not null,
      total        numeric not null,
      crossed      numeric,        -- the threshold that was told of
      primary key (rule_id, customer_id, period_start)
    ) with (fillfactor = 70);

    /*
     * Waits until every batch that has entered has ended; none enters before the end of this transaction. Raises 55P03
     * when one takes too long: new batches queue behind who waits.
     */
    create function wait_for_batches() returns void language plpgsql set lock_timeout = '500ms' as $$
    begin
      if exists (
        select from pg_locks l join pg_stat_activity a using (pid)
        where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.mode = 'ShareLock'
          and (l.classid::bigint << 32 | l.objid::bigint) = hashtext('tidemark.windows')
          and l.database = (select oid from pg_database where datname = current_database())
          and a.xact_start < clock_timestamp() - interval '500 milliseconds'
      ) then
        raise exception 'a batch has been under way for too long' using errcode = 'lock_not_available';
      end if;
      perform pg_advisory_xact_lock(hashtext('tidemark.windows'));
    end $$;

    /*
     * A subscription has changed. Who begins to hear of something hears of every batch that enters after this
     * transaction, and of none before; who ceases to hear needs not wait for anybody.
     */
    create function subscription_changed() returns trigger language plpgsql set lock_timeout = '500ms' as $$
    declare
      heard text[];
      hears text[];
      tenant text;
      was tally_state;
      records_now boolean;
      usage_now boolean;
    begin
      if tg_op <> 'INSERT' and old.active then
        heard := array(select unnest(old.message_types) intersect select unnest(${OF_BATCHES}) order by 1);
      end if;
      if tg_op <> 'DELETE' and new.active then
        hears := array(select unnest(new.message_types) intersect select unnest(${OF_BATCHES}) order by 1);
      end if;
      if coalesce(heard, '{}') = coalesce(hears, '{}') then return null; end if;
      if not coalesce(hears, '{}') <@ coalesce(heard, '{}') then perform wait_for_batches(); end if;

      -- From here on, those who change this go one after the other: what they read is what the last one left.
      update window_state set interest_version = interest_version + 1;
      tenant := case tg_op when 'DELETE' then old.tenant_id else new.tenant_id end;
      select coalesce(bool_or('record.processed' = any (message_types)), false),
             coalesce(bool_or('usage.threshold' = any (message_types)), false)
        into records_now, usage_now
        from subscription where tenant_id = tenant and active;
      select * into was from tally_state where tenant_id = tenant;
      insert into tally_state as s (tenant_id, records, record_epoch, usage)
      values (tenant, records_now, 1, usage_now)
      on conflict (tenant_id) do update set
        record_epoch = s.record_epoch + (excluded.records and not s.records)::int,
        records = excluded.records,
        usage = excluded.usage;
      if usage_now and was.usage is not true then
        update alert_rule set epoch = epoch + 1, counted_from = latest_time() where tenant_id = tenant and kind = 'usage';
      end if;
      return null;
    end $$;

    /* Nothing is stored of a later time than this, nor has such a time begun. */
    create function latest_time() returns timestamptz language sql volatile as $$
      select greatest(clock_timestamp(), (select max(ts) from event where ts > now()))
    $$;

    /* A rule begins, or compares something else from now on. */
    create function alert_rule_begins() returns trigger language plpgsql as $$
    begin
      if not new.active then return new; end if;
      if tg_op = 'UPDATE' and old.active and (new.threshold, new.customers) is not distinct from (old.threshold, old.customers)
      then return new; end if;
      perform wait_for_batches();
      new.epoch := case tg_op when 'UPDATE' then old.epoch + 1 else 1 end;
      new.counted_from := latest_time();
      return new;
    end $$;

    create function alert_rule_changed() returns trigger language plpgsql set lock_timeout = '500ms' as $$
    begin
      update window_state set interest_version = interest_version + 1;
      return null;
    end $$;

    create trigger subscription_changed after insert or delete or update of active, message_types on subscription
      for each row execute function subscription_changed();
    create trigger alert_rule_begins before insert or update of active, threshold, customers on alert_rule
      for each row execute function alert_rule_begins();
    create trigger alert_rule_changed
      after insert or delete or update of name, active, threshold, customers on alert_rule
      for each statement execute function alert_rule_changed();

    /*
     * As before, for writers that write messages: refused with TM004, before a row is stored, when what the writer
     * knows of who listens has changed. The lock is held by then, so it cannot change until the batch has ended.
     */
    create function enter_batch(open_from timestamptz, interest bigint, out closed_until timestamptz, out xid xid8)
    language plpgsql as $$
    declare
      version bigint;
    begin
      perform set_config('idle_in_transaction_session_timeout', '30s', true),
              set_config('client_connection_check_interval', '1s', true);
      if current_setting('synchronous_commit') in ('off', 'local') then
        perform set_config('synchronous_commit', 'on', true);
      end if;
      perform pg_advisory_xact_lock_shared(hashtext('tidemark.windows'));
      select s.closed_until, s.interest_version into closed_until, version from window_state s;
      if closed_until > open_from then
        raise exception 'a window of this batch closed at %', closed_until using errcode = 'TM001';
      end if;
      if version <> interest then
        raise exception 'who listens has changed: version %', version using errcode = 'TM004';
      end if;
      xid := pg_current_xact_id();
    end $$;

    /* Like iso8601, and to the microsecond where there is one. */
    create function iso8601_micros(at timestamptz) returns text language sql stable as $$
      select case when extract(microseconds from at)::bigint % 1000 = 0 then iso8601(at)
                  else to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end
    $$;

    /*
     * Writes what a batch has to tell, in the order of its events, before the events themselves are stored: so whatever
     * is stored here of a key is of others. 'quiet': tallies are kept and nobody is told.
     *
     * records: [{n, tenant, customer, key, type, value, ts, body}], n: the place in the batch
     * usage:   [{n, rule, customer, start, "end", add}]
     * ready:   [{n, tenant, customer, type, body}]
     *
     * A tally is locked before it is read, in the order of keys, and stays so until the end of the transaction.
     * One that begins here (begun_by) gets what is stored by now. Nobody who adds to it can have committed in
     * between: they would have had to lock it, and those who did not know of the subscription had ended before it.
     */
    create function write_messages(facts jsonb) returns void language plpgsql as $$
    declare
      me uuid := gen_random_uuid();
    begin
      if facts ? 'records' then
        insert into record_tally as t
          (tenant_id, customer_id, reference_key, epoch, begun_by, count, total, last_time)
        select r.tenant, r.customer, r.key, coalesce(s.record_epoch, 0), me, count(*),
          sum(case r.type when 'positive' then r.value else -r.value end), max(r.ts)
        from ${recordsOf('facts')} left join tally_state s on s.tenant_id = r.tenant
        group by r.tenant, r.customer, r.key, s.record_epoch
        order by r.tenant collate "C", r.customer collate "C", r.key collate "C"
        on conflict (tenant_id, customer_id, reference_key) do update set
          epoch = excluded.epoch,
          begun_by = case when t.epoch = excluded.epoch then t.begun_by else me end,
          count = excluded.count + case when t.epoch = excluded.epoch then t.count else 0 end,
          total = excluded.total + case when t.epoch = excluded.epoch then t.total else 0 end,
          last_time = greatest(excluded.last_time, case when t.epoch = excluded.epoch then t.last_time end),
          prior_last_time = case when t.epoch = excluded.epoch then t.last_time end;

        with begun as materialized (
          select t.tenant_id, t.customer_id, t.reference_key
          from (select distinct r.tenant, r.customer, r.key from ${recordsOf('facts')}) as r
          join record_tally t on t.tenant_id = r.tenant and t.customer_id = r.customer and t.reference_key = r.key
          where t.begun_by = me
        ), history as materialized (
          select b.*, h.* from begun b cross join lateral (
            select count(*) as count, max(e.ts) as last_time,
              coalesce(sum(case e.event_type when 'positive' then coalesce(e.value, 0) else -coalesce(e.value, 0) end), 0) as total
            from (
              select e.event_type, e.value, e.ts from event e
              where b.reference_key <> '' and e.tenant_id = b.tenant_id and e.reference = substr(b.reference_key, 2)
                and e.customer_id = b.customer_id and e.event_type in ('positive', 'negative')
              union all
              select e.event_type, e.value, e.ts from event e
              where b.reference_key = '' and e.tenant_id = b.tenant_id and e.customer_id = b.customer_id
                and e.reference is null and e.event_type in ('positive', 'negative')
            ) as e
          ) as h
          where h.count > 0
        )
        update record_tally t set
          count = t.count + h.count,
          total = t.total + h.total,
          last_time = greatest(t.last_time, h.last_time),
          prior_last_time = h.last_time
        from history h
        where t.tenant_id = h.tenant_id and t.customer_id = h.customer_id and t.reference_key = h.reference_key;
      end if;

      if facts ? 'usage' then
        insert into usage_tally as t (rule_id, customer_id, period_start, epoch, begun_by, total)
        select u.rule, u.customer, u.start, r.epoch, me, u.add
        from ${usageOf('facts')} join alert_rule r on r.id = u.rule
        where not exists (
          select from usage_tally told
          where told.rule_id = u.rule and told.customer_id = u.customer and told.period_start = u.start
            and told.crossed = r.threshold)
        order by u.rule, u.customer collate "C", u.start
        on conflict (rule_id, customer_id, period_start) do update set
          epoch = excluded.epoch,
          begun_by = case when t.epoch = excluded.epoch then t.begun_by else me end,
          total = excluded.total + case when t.epoch = excluded.epoch then t.total else 0 end;

        with begun as materialized (
          select t.*, u."end" as period_end, r.tenant_id, r.measure, r.event_type,
            case r.period when 'hour' then interval '1 hour' else interval '1 day' end as unit
          from ${usageOf('facts')} join alert_rule r on r.id = u.rule
          join usage_tally t on t.rule_id = u.rule and t.customer_id = u.customer and t.period_start = u.start
          where t.begun_by = me and t.period_start <= r.counted_from
        ), stale as materialized ( -- what the rollups lack
          select distinct b.rule_id, b.customer_id, b.period_start, date_bin(b.unit, l.bucket, 'epoch'::timestamptz) as bucket
          from begun b join late_window l on l.tenant_id = b.tenant_id and l.customer_id = b.customer_id and l.stale
            and l.bucket >= b.period_start and l.bucket < b.period_end
        ), part as (
          ${['1h', '1d']
            .map(
              (level) => `
          select b.rule_id, b.customer_id, b.period_start, u.total
          from begun b cross join lateral (
            select sum(case b.measure when 'calls' then u.calls when 'tokens' then u.tokens else u.value_sum end) as total
            from usage_${level} u
            where b.unit = interval '${level === '1h' ? '1 hour' : '1 day'}'
              and u.tenant_id = b.tenant_id and u.customer_id = b.customer_id
              and u.bucket >= b.period_start and u.bucket < b.period_end
              and (b.event_type is null or u.event_type = b.event_type)
              and not exists (
                select from stale s where s.rule_id = b.rule_id and s.customer_id = b.customer_id
                  and s.period_start = b.period_start and s.bucket = u.bucket)
          ) as u
          union all`,
            )
            .join('')}
          select b.rule_id, b.customer_id, b.period_start, e.total
          from begun b join stale s on s.rule_id = b.rule_id and s.customer_id = b.customer_id and s.period_start = b.period_start
          cross join lateral (
            select sum(case b.measure when 'calls' then 1 when 'tokens' then coalesce(e.tokens, 0) else coalesce(e.value, 0) end) as total
            from event e
            where e.tenant_id = b.tenant_id and e.customer_id = b.customer_id
              and e.ts >= s.bucket and e.ts < s.bucket + b.unit
              and (b.event_type is null or e.event_type = b.event_type)
          ) as e
        ), before as materialized (
          select rule_id, customer_id, period_start, sum(total) as total from part group by 1, 2, 3
        )
        update usage_tally t set total = t.total + b.total
        from before b
        where t.rule_id = b.rule_id and t.customer_id = b.customer_id and t.period_start = b.period_start
          and b.total is not null;
      end if;

      if facts ->> 'quiet' = 'true' then return; end if;

      with record as (
        select r.*, case r.type when 'positive' then r.value else -r.value end as signed
        from ${recordsOf('facts')}
      ), crossed as (
        update usage_tally t set crossed = r.threshold
        from ${usageOf('facts')} join alert_rule r on r.id = u.rule
        where t.rule_id = u.rule and t.customer_id = u.customer and t.period_start = u.start
          and t.epoch = r.epoch and t.total > r.threshold and t.crossed is distinct from r.threshold
        returning u.n, u.customer, u.start, u."end", t.total, r.id, r.tenant_id, r.name, r.measure, r.period, r.threshold,
          r.event_type
      ), message as (
        select n, 0 as rank, 'record.processed' as type, tenant, customer, jsonb_build_object(
          'record', body,
          'summary', jsonb_build_object(
            'count', earlier_count, 'total', trim_scale(earlier_total)::text,
            'lastTime', iso8601_micros(earlier_last_time))) as body
        from (
          select r.n, r.tenant, r.customer, r.body,
            t.count - count(*) over (partition by r.tenant, r.customer, r.key) + row_number() over each_key - 1 as earlier_count,
            t.total - sum(r.signed) over (partition by r.tenant, r.customer, r.key) + sum(r.signed) over each_key - r.signed
              as earlier_total,
            greatest(t.prior_last_time, max(r.ts) over (each_key rows between unbounded preceding and 1 preceding))
              as earlier_last_time
          from record r
          join record_tally t on t.tenant_id = r.tenant and t.customer_id = r.customer and t.reference_key = r.key
          window each_key as (partition by r.tenant, r.customer, r.key order by r.n)
        ) as summed
        union all
        select n, 1, type, tenant, customer, body
        from jsonb_to_recordset(coalesce(facts -> 'ready', '[]'))
          as ready (n integer, tenant text, customer text, type text, body jsonb)
        union all
        select n, 2, 'usage.threshold', tenant_id, customer, jsonb_build_object(
          'rule', jsonb_build_object('id', id, 'name', name, 'measure', measure, 'period', period, 'eventType', event_type,
                                     'threshold', trim_scale(threshold)::text),
          'customerId', customer, 'periodStart', iso8601(start), 'periodEnd', iso8601("end"),
          'total', trim_scale(total)::text, 'threshold', trim_scale(threshold)::text)
        from crossed
      )
      insert into outbox (type, tenant_id, customer_id, payload)
      select type, tenant, customer, body from message order by n, rank, body -> 'rule' ->> 'id';
    end $$;

    ${[
      'wait_for_batches()',
      'latest_time()',
      'subscription_changed()',
      'alert_rule_begins()',
      'alert_rule_changed()',
    ]
      .map((name) => `revoke execute on function ${name} from public;`)
      .join('\n    ')}
    ${['enter_batch(timestamptz, bigint)', 'write_messages(jsonb)']
      .map(
        (name) => `revoke execute on function ${name} from public;
    alter function ${name} security definer;
    alter function ${name} set search_path = ${schema}, pg_temp;
    grant execute on function ${name} to tidemark_ingest;`,
      )
      .join('\n    ')}
  `);
};

export const down = false;

function recordsOf(facts) {
  return `jsonb_to_recordset(coalesce(${facts} -> 'records', '[]')) as r
          (n integer, tenant text, customer text, key text, type text, value numeric, ts timestamptz, body jsonb)`;
}

function usageOf(facts) {
  return `jsonb_to_recordset(coalesce(${facts} -> 'usage', '[]')) as u
          (n integer, rule uuid, customer text, start timestamptz, "end" timestamptz, add numeric)`;
}
