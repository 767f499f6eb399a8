import { chooseEngine } from './support/engine.js';
import { asOwner } from './support/owner.js';
import { fromEvents, insertMessages } from './support/windowMessages.js';

/** Messages that are written by the batch whose events they tell of. window.* are written elsewhere. */
const OF_BATCHES = `array['alert.triggered', 'record.processed', 'usage.threshold']`;

/**
 * What a batch costs does not grow with the history, and who cannot write messages holds none back.
 * docs/adr/0026 says why it is so, docs/adr/0019 what the horizon of messages is.
 */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);
  const timescale = engine === 'timescale';
  const { rows } = await pgm.db.query(
    'select quote_ident(current_schema()) as schema, quote_literal(current_schema()) as literal',
  );
  const { schema, literal } = rows[0];
  /** A plan that is kept goes on without the rows that a chunk of the columnstore gets beside its columns. */
  const planned = timescale ? 'set plan_cache_mode = force_custom_plan' : '';
  const { rows: functions } = await pgm.db.query(
    `select to_regprocedure('write_closed_windows(integer)') as inner`,
  );
  const announcing = functions[0].inner ? 'write_closed_windows' : 'announce_closed_windows';
  asOwner(pgm);

  pgm.sql(`
    -- How far the records of a tenant from before somebody listened have been added up. One row per epoch of tally_state.
    create table record_fill (
      tenant_id       text collate "C" not null,
      epoch           bigint not null,
      received_before timestamptz not null, -- whatever is received later is in tallies
      filled_to       timestamptz not null default '-infinity',
      whole           boolean not null default false,
      primary key (tenant_id, epoch)
    );
    create index record_fill_unfinished on record_fill (received_before) where not whole;

    -- Records of a destination and reference from before somebody listened.
    create table record_history (
      tenant_id     text collate "C" not null,
      epoch         bigint not null,
      customer_id   text collate "C" not null,
      reference_key text collate "C" not null, -- as in record_tally
      count         bigint not null,
      total         numeric not null,
      last_time     timestamptz not null,
      primary key (tenant_id, epoch, customer_id, reference_key)
    );

    -- Whether the tally has what is in record_history. Those of before this migration have it from the events.
    alter table record_tally add column history boolean not null default true;

    -- Of whoever listens already: their tallies stay, and every key that has none yet is wholly history.
    insert into record_fill (tenant_id, epoch, received_before)
      select tenant_id, record_epoch, now() from tally_state where records;

    -- The epoch whose record_history the summary of the message lacks. Null: it lacks nothing, and may be sent.
    alter table outbox add column awaits bigint;
    create index outbox_ready on outbox (id) where fanned_out_at is null and awaits is null;
    create index outbox_awaiting on outbox (tenant_id, customer_id, id) where awaits is not null;

    /* As before; who begins to listen to records has those of before that added up. */
    create or replace function subscription_changed() returns trigger language plpgsql set lock_timeout = '500ms' as $$
    declare
      heard text[];
      hears text[];
      tenant text;
      was tally_state;
      records_now boolean;
      usage_now boolean;
      now_epoch bigint;
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
        usage = excluded.usage
      returning record_epoch into now_epoch;
      if records_now and was.records is not true then
        insert into record_fill (tenant_id, epoch, received_before) values (tenant, now_epoch, clock_timestamp())
          on conflict do nothing; -- epoch 1 of a tenant that had nobody who listened to records
      end if;
      if usage_now and was.usage is not true then
        update alert_rule set epoch = epoch + 1, counted_from = latest_time() where tenant_id = tenant and kind = 'usage';
      end if;
      return null;
    end $$;

    /*
     * Adds the records of before somebody listened up, in steps of a day at a time, for at most 'patience' but for the
     * day at hand. Whatever was received before received_before was stored by then, since nobody was in a batch at that moment;
     * what is stored later is received later (write_messages sees to it). One instance at a time.
     * Returns whether there is more to do; false also when another instance is at it.
     */
    create function fill_record_history(patience interval) returns boolean
    language plpgsql set jit = off set plan_cache_mode = force_custom_plan as $$
    declare
      started timestamptz := clock_timestamp();
      fill record_fill;
      from_at timestamptz;
      to_at timestamptz;
      broken_off boolean := false;
    begin
      if not exists (select from record_fill where not whole) then return false; end if;
      if not pg_try_advisory_xact_lock(hashtext('tidemark.record_history')) then return false; end if;
      select * into fill from record_fill where not whole order by filled_to, received_before limit 1;
      if not found then return false; end if;
      ${
        timescale
          ? `for from_at, to_at in
        select c.range_start, c.range_end from timescaledb_information.chunks c
        where c.hypertable_schema = ${literal} and c.hypertable_name = 'event' and c.range_end > fill.filled_to
        order by c.range_start`
          : ''
      }
      loop
        ${
          timescale
            ? ''
            : `select day, day + interval '1 day' into from_at, to_at
          from (select date_bin('1 day', ts, 'epoch'::timestamptz) as day from event where ts >= fill.filled_to order by ts limit 1) as next;
        exit when not found;`
        }
        insert into record_history as h (tenant_id, epoch, customer_id, reference_key, count, total, last_time)
        select e.tenant_id, fill.epoch, e.customer_id, coalesce('=' || e.reference, ''), count(*),
          sum(case e.event_type when 'positive' then coalesce(e.value, 0) else -coalesce(e.value, 0) end), max(e.ts)
        from event e
        where e.tenant_id = fill.tenant_id and e.ts >= from_at and e.ts < to_at
          and e.event_type in ('positive', 'negative') and e.received_at < fill.received_before
        group by 1, 2, 3, 4
        on conflict (tenant_id, epoch, customer_id, reference_key) do update set
          count = h.count + excluded.count,
          total = h.total + excluded.total,
          last_time = greatest(h.last_time, excluded.last_time);
        fill.filled_to := to_at;
        broken_off := clock_timestamp() > started + patience;
        exit when broken_off;
      end loop;
      fill.whole := not broken_off;
      update record_fill f set filled_to = fill.filled_to, whole = fill.whole
        where f.tenant_id = fill.tenant_id and f.epoch = fill.epoch;
      return not fill.whole or exists (select from record_fill where not whole);
    end $$;

    /*
     * Removes what has been added up for an epoch that is over, and of which no message waits: up to 'most' rows.
     * Returns whether there may be more.
     */
    create function prune_record_history(most integer) returns boolean language plpgsql as $$
    declare
      old record_fill;
      removed bigint;
    begin
      select f.* into old from record_fill f join tally_state s using (tenant_id)
        where f.epoch < s.record_epoch and f.whole
          and not exists (select from outbox o where o.tenant_id = f.tenant_id and o.awaits = f.epoch)
        limit 1 for update of f skip locked;
      if not found then return false; end if;
      delete from record_history where ctid = any (array(
        select ctid from record_history where tenant_id = old.tenant_id and epoch = old.epoch limit most));
      get diagnostics removed = row_count;
      if removed < most then
        delete from record_fill where tenant_id = old.tenant_id and epoch = old.epoch;
      end if;
      return true;
    end $$;

    /*
     * Writes what a batch has to tell, in the order of its events, before the events themselves are stored: so whatever
     * is stored here of a key is of others. 'quiet': tallies are kept and nobody is told.
     *
     * records: [{n, tenant, customer, key, type, value, ts, body}], n: the place in the batch
     * usage:   [{n, rule, customer, start, "end", add}]
     * ready:   [{n, tenant, customer, type, body}]
     *
     * A tally is locked before it is read, in the order of keys, and stays so until the end of the transaction.
     * One that begins here gets what is stored by now. Nobody who adds to it can have committed in between: they would
     * have had to lock it, and those who did not know of the subscription had ended before it.
     *
     * Nothing here may plan over the whole history, which takes longer with every chunk (docs/adr/0026). Records of
     * before are looked up in record_history; while that is being filled, messages wait for it (outbox.awaits). Sums of a period
     * (of months, days or hours, by begun_by) are read within bounds that are known when the statement is planned.
     *
     * Raises 40001 for a batch that began before records were history, and entered after: it has to begin anew.
     */
    create or replace function write_messages(facts jsonb) returns void language plpgsql
    security definer set search_path = ${schema}, pg_temp set jit = off ${planned} as $$
    declare
      me uuid := gen_random_uuid();
      span record;
      stale_of bigint[];
      stale_at timestamptz[];
      sum_of bigint[];
      sums numeric[];
    begin
      if facts ? 'records' then
        insert into record_tally as t
          (tenant_id, customer_id, reference_key, epoch, begun_by, count, total, last_time, history)
        select r.tenant, r.customer, r.key, coalesce(s.record_epoch, 0), me, count(*),
          sum(case r.type when 'positive' then r.value else -r.value end), max(r.ts), false
        from ${recordsOf('facts')} left join tally_state s on s.tenant_id = r.tenant
        group by r.tenant, r.customer, r.key, s.record_epoch
        order by r.tenant collate "C", r.customer collate "C", r.key collate "C"
        on conflict (tenant_id, customer_id, reference_key) do update set
          epoch = excluded.epoch,
          begun_by = case when t.epoch = excluded.epoch then t.begun_by else me end,
          history = t.history and t.epoch = excluded.epoch,
          count = excluded.count + case when t.epoch = excluded.epoch then t.count else 0 end,
          total = excluded.total + case when t.epoch = excluded.epoch then t.total else 0 end,
          last_time = greatest(excluded.last_time, case when t.epoch = excluded.epoch then t.last_time end),
          prior_last_time = case when t.epoch = excluded.epoch then t.last_time end;

        if exists (
          select from (select distinct r.tenant from ${recordsOf('facts')}) as r
          join tally_state s on s.tenant_id = r.tenant
          join record_fill f on f.tenant_id = r.tenant and f.epoch = s.record_epoch
          where not f.whole and f.received_before >= now()
        ) then
          raise exception 'the batch began before its tenant listened to records' using errcode = 'serialization_failure';
        end if;

        update record_tally t set
          history = true,
          count = t.count + coalesce(h.count, 0),
          total = t.total + coalesce(h.total, 0),
          last_time = greatest(t.last_time, h.last_time),
          prior_last_time = greatest(t.prior_last_time, h.last_time)
        from (select distinct r.tenant, r.customer, r.key from ${recordsOf('facts')}) as r
        join record_tally mine
          on mine.tenant_id = r.tenant and mine.customer_id = r.customer and mine.reference_key = r.key and not mine.history
        left join record_fill f on f.tenant_id = mine.tenant_id and f.epoch = mine.epoch
        left join record_history h
          on h.tenant_id = mine.tenant_id and h.epoch = mine.epoch and h.customer_id = mine.customer_id
          and h.reference_key = mine.reference_key
        where t.tenant_id = mine.tenant_id and t.customer_id = mine.customer_id and t.reference_key = mine.reference_key
          and f.whole is not false;
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

        -- Tallies that begin here, by periods that lie near each other: what the rollups of those are, within bounds.
        for span in
          select unit, min(period_start) as from_at, max(period_end) as to_at,
            array_agg(rule_id) as rules, array_agg(tenant_id) as tenants, array_agg(customer_id) as customers,
            array_agg(period_start) as starts, array_agg(period_end) as ends, array_agg(measure) as measures,
            array_agg(event_type) as types
          from (
            select t.rule_id, t.customer_id, t.period_start, u."end" as period_end, r.tenant_id, r.measure, r.event_type,
              case r.period when 'hour' then interval '1 hour' else interval '1 day' end as unit,
              date_bin(case r.period when 'month' then interval '32 days' else interval '8 days' end,
                       t.period_start, 'epoch'::timestamptz) as near
            from ${usageOf('facts')} join alert_rule r on r.id = u.rule
            join usage_tally t on t.rule_id = u.rule and t.customer_id = u.customer and t.period_start = u.start
            where t.begun_by = me and t.period_start <= r.counted_from
          ) as begun
          group by unit, near
        loop
          -- What the rollups lack, first: a statement that reads them later sees no less of the rest.
          select array_agg(n), array_agg(bucket) into stale_of, stale_at from (
            select distinct b.n, date_bin(span.unit, l.bucket, 'epoch'::timestamptz) as bucket
            from unnest(span.tenants, span.customers, span.starts, span.ends)
              with ordinality as b (tenant_id, customer_id, period_start, period_end, n)
            join late_window l on l.tenant_id = b.tenant_id and l.customer_id = b.customer_id and l.stale
              and l.bucket >= b.period_start and l.bucket < b.period_end
          ) as stale;

          -- A SELECT by itself: TimescaleDB leaves what an UPDATE names to PostgreSQL, which opens every chunk there is.
          execute format($statement$
            select array_agg(n), array_agg(total) from (
              select b.n, u.total
              from unnest($1, $2, $3, $4, $5, $6)
                with ordinality as b (tenant_id, customer_id, period_start, period_end, measure, event_type, n)
              cross join lateral (
                select sum(case when b.measure = 'calls' then u.calls when b.measure = 'tokens' then u.tokens
                                when u.event_type = 'negative' then -u.value_sum else u.value_sum end) as total
                from %I u
                where u.bucket >= %L::timestamptz and u.bucket < %L::timestamptz
                  and u.tenant_id = b.tenant_id and u.customer_id = b.customer_id
                  and u.bucket >= b.period_start and u.bucket < b.period_end
                  and (b.event_type is null or u.event_type = b.event_type)
                  and not exists (select from unnest($7, $8) as s (n, bucket) where s.n = b.n and s.bucket = u.bucket)
              ) as u
              where u.total is not null
            ) as before
            $statement$, case span.unit when interval '1 hour' then 'usage_1h' else 'usage_1d' end, span.from_at, span.to_at)
          into sum_of, sums
          using span.tenants, span.customers, span.starts, span.ends, span.measures, span.types,
                coalesce(stale_of, '{}'), coalesce(stale_at, '{}');

          if stale_of is not null then
            execute format($statement$
              select $1 || array_agg(n), $2 || array_agg(total) from (
                select b.n, e.total
                from unnest($3, $4, $5, $6) with ordinality as b (tenant_id, customer_id, measure, event_type, n)
                join unnest($7, $8) as s (n, bucket) on s.n = b.n
                cross join lateral (
                  select sum(case when b.measure = 'calls' then 1 when b.measure = 'tokens' then coalesce(e.tokens, 0)
                                  when e.event_type = 'negative' then -coalesce(e.value, 0) else coalesce(e.value, 0) end) as total
                  from event e
                  where e.ts >= %L::timestamptz and e.ts < %L::timestamptz
                    and e.tenant_id = b.tenant_id and e.customer_id = b.customer_id
                    and e.ts >= s.bucket and e.ts < s.bucket + %L::interval
                    and (b.event_type is null or e.event_type = b.event_type)
                ) as e
                where e.total is not null
              ) as lacking
              $statement$, (select min(at) from unnest(stale_at) as at),
              (select max(at) + span.unit from unnest(stale_at) as at), span.unit)
            into sum_of, sums
            using sum_of, sums, span.tenants, span.customers, span.measures, span.types, stale_of, stale_at;
          end if;

          update usage_tally t set total = t.total + before.total
          from (
            select span.rules[n] as rule_id, span.customers[n] as customer_id, span.starts[n] as period_start, sum(total) as total
            from unnest(sum_of, sums) as parts (n, total) group by n
          ) as before
          where t.rule_id = before.rule_id and t.customer_id = before.customer_id and t.period_start = before.period_start;
        end loop;
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
            'lastTime', iso8601_micros(earlier_last_time))) as body, awaits
        from (
          select r.n, r.tenant, r.customer, r.body,
            t.count - count(*) over (partition by r.tenant, r.customer, r.key) + row_number() over each_key - 1 as earlier_count,
            t.total - sum(r.signed) over (partition by r.tenant, r.customer, r.key) + sum(r.signed) over each_key - r.signed
              as earlier_total,
            greatest(t.prior_last_time, max(r.ts) over (each_key rows between unbounded preceding and 1 preceding))
              as earlier_last_time,
            case when not t.history then t.epoch end as awaits
          from record r
          join record_tally t on t.tenant_id = r.tenant and t.customer_id = r.customer and t.reference_key = r.key
          window each_key as (partition by r.tenant, r.customer, r.key order by r.n)
        ) as summed
        union all
        select n, 1, type, tenant, customer, body, null
        from jsonb_to_recordset(coalesce(facts -> 'ready', '[]'))
          as ready (n integer, tenant text, customer text, type text, body jsonb)
        union all
        select n, 2, 'usage.threshold', tenant_id, customer, jsonb_build_object(
          'rule', jsonb_build_object('id', id, 'name', name, 'measure', measure, 'period', period, 'eventType', event_type,
                                     'threshold', trim_scale(threshold)::text),
          'customerId', customer, 'periodStart', iso8601(start), 'periodEnd', iso8601("end"),
          'total', trim_scale(total)::text, 'threshold', trim_scale(threshold)::text), null
        from crossed
      )
      insert into outbox (type, tenant_id, customer_id, payload, awaits)
      select type, tenant, customer, body, awaits from message order by n, rank, body -> 'rule' ->> 'id';
    end $$;

    /* As before, and of events it plans those of the days of the windows. */
    create or replace function record_late_windows(windows jsonb) returns void
    language plpgsql set jit = off ${planned} as $$
    declare
      tenants text[];
      near record;
    begin
      insert into late_window as l (bucket, tenant_id, customer_id, revision, stale, stale_references, revised_at)
      select w.bucket, w.tenant_id, w.customer_id, 1, ${timescale},
             ${timescale ? 'w."references"' : 'false'},
             greatest(clock_timestamp(), s.settled_at + interval '1 microsecond')
      from jsonb_to_recordset(windows)
        as w (bucket timestamptz, tenant_id text, customer_id text, "references" boolean),
        window_state s
      order by w.tenant_id, w.customer_id, w.bucket
      on conflict (tenant_id, customer_id, bucket) do update set
        revision = l.revision + 1,
        stale = excluded.stale,
        stale_references = l.stale_references or excluded.stale_references,
        changed_by = excluded.changed_by,
        revised_at = excluded.revised_at,
        updated_at = now();

      select array_agg(distinct tenant_id) into tenants
        from subscription where active and 'window.revised' = any (message_types);
      if tenants is null then return; end if;
      for near in
        select min(w.bucket) as from_at, max(w.bucket) + interval '30 seconds' as to_at
        from jsonb_to_recordset(windows) as w (bucket timestamptz, tenant_id text)
        where w.tenant_id = any (tenants)
        group by date_bin('8 days', w.bucket, 'epoch'::timestamptz)
        order by 1
      loop
        ${insertMessages(
          'window.revised',
          fromEvents(
            `(select l.* from late_window l
          join jsonb_to_recordset(windows) as w (bucket timestamptz, tenant_id text, customer_id text)
            using (bucket, tenant_id, customer_id)
          where l.tenant_id = any (tenants) and w.bucket >= near.from_at and w.bucket < near.to_at)`,
            'near.from_at',
            'near.to_at',
          ),
        )}
      end loop;
    end $$;

    /* As before, and of events it plans those of the windows. */
    create or replace function ${announcing}(most integer) returns boolean
    language plpgsql set jit = off ${planned} as $$
    declare
      tenants text[];
      from_at timestamptz;
      to_at timestamptz;
      reach timestamptz;
    begin
      select ${timescale ? 'least(closed_until, refreshed_30s)' : 'closed_until'} into reach from window_state;
      select announced_until into from_at from window_announcement where announced_until < reach for update skip locked;
      if not found then return false; end if;
      select array_agg(distinct tenant_id) into tenants
        from subscription where active and 'window.closed' = any (message_types);
      to_at := case when tenants is null then reach else least(reach, from_at + most * interval '30 seconds') end;
      if tenants is not null then
        ${insertMessages(
          'window.closed',
          `select u.bucket, u.tenant_id, u.customer_id, coalesce(l.revision, 0) as revision, u.endpoint, u.model, u.calls,
             u.tokens, u.input_tokens, u.output_tokens, u.latency_sum, u.latency_count
           from usage_30s u
           left join late_window l using (bucket, tenant_id, customer_id)
           where u.tenant_id = any (tenants) and u.bucket >= from_at and u.bucket < to_at and l.stale is not true
           union all
           ${fromEvents(
             `(select * from late_window where stale and tenant_id = any (tenants)
                          and bucket >= from_at and bucket < to_at)`,
             'from_at',
             'to_at',
           )}`,
        )}
      end if;
      update window_announcement set announced_until = to_at, updated_at = now();
      return to_at < reach;
    end $$;

    -- cover_activity as it is, but it plans over a week at most: where nothing has changed its bounds were null, which
    -- exclude no chunk; and what an import has changed long ago, and what has just closed, are for two rounds.
    do $do$
    declare
      definition text := pg_get_functiondef('cover_activity(interval, integer)'::regprocedure);
      behind text := 'if to_at = from_at and tenants is null then return; end if;';
      bounds text := 'first_at, last_at, least(from_at, first_at), greatest(to_at, last_at)';
    begin
      if position(behind in definition) = 0 or position(bounds in definition) = 0 then
        raise exception 'cover_activity is not as expected';
      end if;
      definition := replace(definition, behind, behind || $added$
      if to_at > from_at and exists (select from unnest(buckets) as b where b < from_at - interval '8 days') then
        tenants := '{}';
        buckets := '{}';
        most := 0; -- which says that there is more to do
      elsif exists (select from unnest(buckets) as b
                    where b >= (select min(first) from unnest(buckets) as first) + interval '8 days') then
        select array_agg(t), array_agg(b), count(*) into tenants, buckets, most
        from unnest(tenants, buckets) as c (t, b)
        where b < (select min(first) from unnest(buckets) as first) + interval '8 days';
      end if;$added$);
      definition := replace(definition, 'if tenants is not null then', 'if cardinality(tenants) > 0 then');
      execute replace(definition, bounds, $bounds$coalesce(first_at, from_at), coalesce(last_at, from_at),
        case when to_at = from_at then coalesce(first_at, from_at) else least(from_at, first_at) end,
        case when to_at = from_at then coalesce(last_at, to_at) else greatest(to_at, last_at) end$bounds$);
    end $do$;
    alter function cover_activity(interval, integer) set jit = off;

    -- What rules about 'value' have summed so far took records without their sign: begun again from what is stored.
    -- Batches under way may yet store something of a period that has just begun.
    update alert_rule set epoch = epoch + 1, counted_from = latest_time() + interval '1 hour'
      where kind = 'usage' and measure = 'value';

    /*
     * Transactions of this database that may have written to the outbox and have not ended, but for one's own, with
     * their ids; null: not known. Who inserts takes this lock of the table before a row gets its id, and holds it to the end,
     * prepared or not, whatever version of the service it is of.
     *
     * The locks come in no snapshot, and are looked at after that of the statement was taken. So what this does not
     * list has ended before, or takes the lock, hence ids of the outbox, later than anything that the snapshot shows.
     */
    create function outbox_writers() returns table (pid integer, virtualtransaction text, xid xid8) language sql as $$
      with held as materialized (
        select l.locktype, l.transactionid, l.virtualtransaction, l.pid
        from pg_locks l
        where l.granted and (
          l.locktype = 'relation' and l.mode = 'RowExclusiveLock' and l.relation = 'outbox'::regclass
            and l.database = (select oid from pg_database where datname = current_database())
          or l.locktype = 'transactionid' and l.mode = 'ExclusiveLock')
      )
      select w.pid, w.virtualtransaction,
        (select case when count(*) > 0 then coalesce(min(running), pg_snapshot_xmax(pg_current_snapshot())) end -- or has ended
         from held t left join pg_snapshot_xip(pg_current_snapshot()) as running on running::xid = t.transactionid
         where t.locktype = 'transactionid' and t.virtualtransaction = w.virtualtransaction)
      from held w
      where w.locktype = 'relation' and w.pid is distinct from pg_backend_pid()
    $$;

    /*
     * Makes deliveries of up to 'most' messages whose transactions have ended, as have all those that began to write
     * before them and may have written to the outbox: so those of a customer come in the order of their facts, as long
     * as the facts themselves were one after the other. One at a time, whoever it is; the others find the lock taken.
     *
     * Where a transaction of whatever database is in the way, it is asked who of them may write to the outbox (ADR 19).
     */
    create or replace function fan_out_messages(most integer, out taken integer, out made integer) language plpgsql as $$
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

    /*
     * Who holds messages back: 'outbox', a transaction that may have written to it, since before the oldest message that
     * waits could be sent; 'fan_out', who makes deliveries and does not end; 'batches', who keeps windows from closing. One's own
     * left out. A prepared transaction has no process, and is known by its name.
     */
    create function holders(of_lock text) returns table (
      pid integer, prepared text, application text, login text, since timestamptz, state text, xid xid8
    ) language sql as $$
      with held as (
        select w.pid, w.virtualtransaction, w.xid from outbox_writers() w
        where of_lock = 'outbox' and (w.xid is null or w.xid <= (
          select min(o.xid) from outbox o where o.fanned_out_at is null and o.awaits is null))
        union all
        select l.pid, l.virtualtransaction, null
        from pg_locks l
        where of_lock <> 'outbox' and l.locktype = 'advisory' and l.granted and l.objsubid = 1
          and (l.classid::bigint << 32 | l.objid::bigint)::bigint
            = (hashtext(case of_lock when 'batches' then 'tidemark.windows' else 'tidemark.' || of_lock end)::bigint)
          and l.database = (select oid from pg_database where datname = current_database())
          and l.pid is distinct from pg_backend_pid()
      )
      select h.pid, p.gid, a.application_name, coalesce(a.usename::text, p.owner::text),
        coalesce(a.xact_start, p.prepared), a.state, h.xid
      from held h
      left join pg_stat_activity a on a.pid = h.pid
      left join pg_prepared_xacts p on h.pid is null and exists (
        select from pg_locks l where l.virtualtransaction = h.virtualtransaction and l.locktype = 'transactionid'
          and l.mode = 'ExclusiveLock' and l.transactionid = p.transaction)
      order by 5 nulls last
    $$;

    ${
      timescale
        ? `/* As before; and without JIT, also where a connection pooler has no session to be told. */
    create or replace function refreshed_from(since timestamptz) returns timestamptz language plpgsql ${planned} as $$
    declare
      oldest timestamptz;
    begin
      select kept_from into oldest from retention where relation = 'event';
      if since < oldest then
        raise exception 'events before % are no longer kept, and what was made of them stays as it is', iso8601(oldest)
          using errcode = 'TM005';
      end if;
      perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', false),
              set_config('jit', 'off', false);
      return since;
    end $$;`
        : ''
    }

    revoke execute on function fill_record_history(interval), prune_record_history(integer), outbox_writers(), holders(text)
      from public;
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
