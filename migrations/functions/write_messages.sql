-- revision 3, bf4d1edc6f3d
/*
 * Writes what a batch has to tell, in the order of its events, before the events themselves are stored: so whatever
 * is stored here of a key is of others. 'quiet': tallies are kept and nobody is told.
 *
 * records: [{n, tenant, customer, key, type, value, ts, body}], n: the place in the batch
 * usage:   [{n, rule, customer, start, "end", add}]; add: of a meter that tells the greatest value, that of the batch
 * ready:   [{n, tenant, customer, type, body}]
 *
 * A tally is locked before it is read, in the order of keys, and stays so until the end of the transaction.
 * One that begins here gets what is stored by now. Nobody who adds to it can have committed in between: they would
 * have had to lock it, and those who did not know of the subscription had ended before it.
 *
 * Nothing here may plan over the whole history, which takes longer with every chunk (docs/adr/0026). Records of
 * before are looked up in record_history; while that is being filled, messages wait for it (outbox.awaits). Sums of a
 * period (of months, days or hours, by begun_by) are read within bounds that are known when the statement is planned.
 * Those of a meter are read as planMeter (meterSegments.ts) has it: where a series is filled, levels and parts; before
 * that events, by the text in alert_rule.history; and what has no events any more from the series before it. Levels have
 * no more than what is filled, so that they are read whole. A fill in between would count twice, so it is read again.
 * What was spent is rated by stored_costs, by the prices of now: put_prices has each tally begin anew, and no batch goes by
 * others.
 *
 * Raises 40001 for a batch that began before records were history, and entered after: it has to begin anew.
 */
create or replace function write_messages(facts jsonb) returns void
language plpgsql security definer set search_path from current set jit = off as $$
declare
  me uuid := gen_random_uuid();
  span record;
  stale_of bigint[];
  stale_at timestamptz[];
  sum_of bigint[];
  sums numeric[];
  series meter_series;
  next_series integer;
  chain integer[];
  filled timestamptz[];
  filled_then timestamptz[];
  kept_at timestamptz;
  lower_at timestamptz;
  upper_at timestamptz;
  pieces text[];
begin
  if facts ? 'records' then
    insert into record_tally as t
      (tenant_id, customer_id, reference_key, epoch, begun_by, count, total, last_time, history)
    select r.tenant, r.customer, r.key, coalesce(s.record_epoch, 0), me, count(*),
      sum(case r.type when 'positive' then r.value else -r.value end), max(r.ts), false
    from jsonb_to_recordset(coalesce(facts -> 'records', '[]')) as r
      (n integer, tenant text, customer text, key text, type text, value numeric, ts timestamptz, body jsonb)
    left join tally_state s on s.tenant_id = r.tenant
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
      select from (select distinct r.tenant from jsonb_to_recordset(coalesce(facts -> 'records', '[]')) as r
        (n integer, tenant text, customer text, key text, type text, value numeric, ts timestamptz, body jsonb)) as r
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
    from (select distinct r.tenant, r.customer, r.key from jsonb_to_recordset(coalesce(facts -> 'records', '[]')) as r
      (n integer, tenant text, customer text, key text, type text, value numeric, ts timestamptz, body jsonb)) as r
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
    from jsonb_to_recordset(coalesce(facts -> 'usage', '[]')) as u
      (n integer, rule uuid, customer text, start timestamptz, "end" timestamptz, add numeric)
    join alert_rule r on r.id = u.rule
    left join meter m on m.id = r.meter_id
    where m.aggregation is distinct from 'max' and not exists (
      select from usage_tally told
      where told.rule_id = u.rule and told.customer_id = u.customer and told.period_start = u.start
        and told.crossed = r.threshold)
    order by u.rule, u.customer collate "C", u.start
    on conflict (rule_id, customer_id, period_start) do update set
      epoch = excluded.epoch,
      begun_by = case when t.epoch = excluded.epoch then t.begun_by else me end,
      total = excluded.total + case when t.epoch = excluded.epoch then t.total else 0 end;

    -- In every batch after all others, so that two wait for each other in one order.
    insert into usage_tally as t (rule_id, customer_id, period_start, epoch, begun_by, total)
    select u.rule, u.customer, u.start, r.epoch, me, u.add
    from jsonb_to_recordset(coalesce(facts -> 'usage', '[]')) as u
      (n integer, rule uuid, customer text, start timestamptz, "end" timestamptz, add numeric)
    join alert_rule r on r.id = u.rule
    join meter m on m.id = r.meter_id
    where m.aggregation = 'max' and not exists (
      select from usage_tally told
      where told.rule_id = u.rule and told.customer_id = u.customer and told.period_start = u.start
        and told.crossed = r.threshold)
    order by u.rule, u.customer collate "C", u.start
    on conflict (rule_id, customer_id, period_start) do update set
      epoch = excluded.epoch,
      begun_by = case when t.epoch = excluded.epoch then t.begun_by else me end,
      total = greatest(excluded.total, case when t.epoch = excluded.epoch then t.total end);

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
        from jsonb_to_recordset(coalesce(facts -> 'usage', '[]')) as u
          (n integer, rule uuid, customer text, start timestamptz, "end" timestamptz, add numeric)
        join alert_rule r on r.id = u.rule
        join usage_tally t on t.rule_id = u.rule and t.customer_id = u.customer and t.period_start = u.start
        where t.begun_by = me and t.period_start <= r.counted_from and r.measure <> 'cost'
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

    -- The same of costs, a rule at a time.
    for span in
      select rule_id, tenant_id, currency, event_type, history, unit,
        array_agg(customer_id) as customers, array_agg(period_start) as starts, array_agg(period_end) as ends
      from (
        select t.rule_id, t.customer_id, t.period_start, u."end" as period_end, r.tenant_id, r.currency, r.event_type, r.history,
          case r.period when 'hour' then interval '1 hour' else interval '1 day' end as unit,
          date_bin(case r.period when 'month' then interval '32 days' else interval '8 days' end,
                   t.period_start, 'epoch'::timestamptz) as near
        from jsonb_to_recordset(coalesce(facts -> 'usage', '[]')) as u
          (n integer, rule uuid, customer text, start timestamptz, "end" timestamptz, add numeric)
        join alert_rule r on r.id = u.rule
        join usage_tally t on t.rule_id = u.rule and t.customer_id = u.customer and t.period_start = u.start
        where t.begun_by = me and t.period_start <= r.counted_from and r.measure = 'cost'
      ) as begun
      group by rule_id, tenant_id, currency, event_type, history, unit, near
    loop
      update usage_tally t set total = t.total + before.total
      from stored_costs(span.tenant_id, span.currency, span.event_type, span.history, span.unit,
        span.customers, span.starts, span.ends) as before
      where t.rule_id = span.rule_id and t.customer_id = span.customers[before.n] and t.period_start = span.starts[before.n];
    end loop;

    -- The same of meters, a rule at a time.
    for span in
      select rule_id, history, aggregation, series_id, unit, min(period_start) as from_at, max(period_end) as to_at,
        array_agg(customer_id) as customers, array_agg(period_start) as starts, array_agg(period_end) as ends
      from (
        select t.rule_id, t.customer_id, t.period_start, u."end" as period_end, r.history, m.aggregation, m.series_id,
          case r.period when 'hour' then interval '1 hour' else interval '1 day' end as unit,
          date_bin(case r.period when 'month' then interval '32 days' else interval '8 days' end,
                   t.period_start, 'epoch'::timestamptz) as near
        from jsonb_to_recordset(coalesce(facts -> 'usage', '[]')) as u
          (n integer, rule uuid, customer text, start timestamptz, "end" timestamptz, add numeric)
        join alert_rule r on r.id = u.rule
        join meter m on m.id = r.meter_id
        join usage_tally t on t.rule_id = u.rule and t.customer_id = u.customer and t.period_start = u.start
        where t.begun_by = me and t.period_start <= r.counted_from
      ) as begun
      group by rule_id, history, aggregation, series_id, unit, near
    loop
      select coalesce(kept_from, '-infinity') into kept_at from retention where relation = 'event';
      loop
        pieces := '{}';
        chain := '{}';
        filled := '{}';
        upper_at := span.to_at;
        next_series := span.series_id;
        while next_series is not null and span.from_at < upper_at loop
          select * into series from meter_series where id = next_series;
          next_series := series.predecessor;
          chain := chain || series.id;
          filled := filled || series.filled_from;
          lower_at := greatest(span.from_at, series.filled_from);
          if lower_at < upper_at then
            select pieces || array_agg(format($piece$
              select customer_id, bucket, %I::numeric from %I
              where series_id = %s and bucket >= %L and bucket < %L and customer_id = any ($1)
              $piece$, case span.aggregation when 'count' then 'events' else span.aggregation end,
              relation, series.id, begins, ends))
            into pieces
            from (values
              ('meter_1d', case when span.unit = interval '1 day' then span.from_at end,
                case when upper_at = span.to_at then upper_at else date_bin('1 day', upper_at, 'epoch'::timestamptz) end),
              ('meter_1h',
                case when span.unit = interval '1 hour' then span.from_at
                     else greatest(span.from_at, date_bin('1 day', upper_at, 'epoch'::timestamptz)) end,
                case when upper_at = span.to_at and span.unit = interval '1 day' then null
                     when upper_at = span.to_at then upper_at
                     else date_bin('1 hour', upper_at, 'epoch'::timestamptz) end),
              ('meter_30s', greatest(span.from_at, date_bin('1 hour', upper_at, 'epoch'::timestamptz)),
                case when upper_at < span.to_at then upper_at end),
              ('meter_part', lower_at, upper_at)
            ) as part (relation, begins, ends)
            where begins < ends;
            upper_at := lower_at;
          end if;
          lower_at := case when series.predecessor is null then span.from_at
                           else greatest(span.from_at, least(upper_at, kept_at)) end;
          if lower_at < upper_at then
            pieces := pieces || format(span.history, lower_at, upper_at);
            upper_at := lower_at;
          end if;
        end loop;
        exit when pieces = '{}';
        execute format($statement$
          select array_agg(n), array_agg(total), (
            select array_agg(filled_from order by place)
            from unnest($4) with ordinality as chain (id, place) join meter_series using (id))
          from (
            select b.n, %s(r.value) as total
            from unnest($1, $2, $3) with ordinality as b (customer_id, period_start, period_end, n)
            join (%s) as r (customer_id, at, value)
              on r.customer_id = b.customer_id and r.at >= b.period_start and r.at < b.period_end
            group by b.n
          ) as before
          where total is not null
          $statement$, case span.aggregation when 'max' then 'max' else 'sum' end, array_to_string(pieces, ' union all '))
        into sum_of, sums, filled_then
        using span.customers, span.starts, span.ends, chain;
        exit when filled_then = filled;
      end loop;

      if pieces <> '{}' then
        update usage_tally t set
          total = case span.aggregation when 'max' then greatest(t.total, before.total) else t.total + before.total end
        from (
          select span.customers[n] as customer_id, span.starts[n] as period_start, total
          from unnest(sum_of, sums) as parts (n, total)
        ) as before
        where t.rule_id = span.rule_id and t.customer_id = before.customer_id and t.period_start = before.period_start;
      end if;
    end loop;
  end if;

  if facts ->> 'quiet' = 'true' then return; end if;

  with record as (
    select r.*, case r.type when 'positive' then r.value else -r.value end as signed
    from jsonb_to_recordset(coalesce(facts -> 'records', '[]')) as r
      (n integer, tenant text, customer text, key text, type text, value numeric, ts timestamptz, body jsonb)
  ), crossed as (
    update usage_tally t set crossed = r.threshold
    from jsonb_to_recordset(coalesce(facts -> 'usage', '[]')) as u
      (n integer, rule uuid, customer text, start timestamptz, "end" timestamptz, add numeric)
    join alert_rule r on r.id = u.rule
    left join meter m on m.id = r.meter_id
    where t.rule_id = u.rule and t.customer_id = u.customer and t.period_start = u.start
      and t.epoch = r.epoch and t.total > r.threshold and t.crossed is distinct from r.threshold
    returning u.n, u.customer, u.start, u."end", t.total, r.id, r.tenant_id, r.name, r.measure, r.currency, r.period,
      r.threshold, r.event_type, m.slug, m.aggregation
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
      'rule', jsonb_build_object('id', id, 'name', name, 'period', period, 'threshold', trim_scale(threshold)::text)
        || case when slug is not null then jsonb_build_object('meter', slug, 'aggregation', aggregation)
                when currency is null then jsonb_build_object('measure', measure, 'eventType', event_type)
                else jsonb_build_object('measure', measure, 'currency', currency, 'eventType', event_type) end,
      'customerId', customer, 'periodStart', iso8601(start), 'periodEnd', iso8601("end"),
      'total', trim_scale(total)::text, 'threshold', trim_scale(threshold)::text)
        || case when currency is null then '{}'
                else jsonb_build_object('priceVersion', (
                  select version from price_list where price_list.tenant_id = crossed.tenant_id)) end, null
    from crossed
  )
  insert into outbox (type, tenant_id, customer_id, payload, awaits)
  select type, tenant, customer, body, awaits from message order by n, rank, body -> 'rule' ->> 'id';
end $$;

-- A plan that is kept goes on without the rows that a chunk of the columnstore gets beside its columns.
do $$ begin
  if (select engine from installation) = 'timescale' then
    alter function write_messages(jsonb) set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function write_messages(jsonb) from public;
grant execute on function write_messages(jsonb) to tidemark_ingest;
