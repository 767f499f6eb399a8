-- revision 1, 71af20b95c4c
/*
 * What the AI usage that is stored of customers costs in a currency: a total for each n that has a price, n being the place in
 * customers, whose period of whole days (or hours, by unit) of UTC is from starts on and up to ends. of_type: events of this
 * type; null: of all. history: what reads single events (costHistory.ts).
 *
 * Each event by the price in force at its own time, of those that hold now; what has no price is in no sum. PriceBook, ratesOf
 * and costOf in src/sums/costs/rating say the same, and test/integration/outbound/costAlerts.test.ts holds the two equal.
 *
 * As planCosts (costSegments.ts) has it: no row that a change of prices lies within, but rows of the next finer level, and of a
 * window its events; what is not filled yet from the events; of the rest each level has what the others have, with the parts.
 * Where the finer level is no longer kept a row goes by the price at its beginning. A fill in between would count twice, so it
 * is read again.
 *
 * Nothing here may plan over the whole history (docs/adr/0026): whatever is read has bounds that are known by then.
 */
create or replace function stored_costs(
  tenant text, in_currency text, of_type text, history text, unit interval,
  customers text[], starts timestamptz[], ends timestamptz[]
) returns table (n bigint, total numeric)
language plpgsql set jit = off set plan_cache_mode = force_custom_plan as $$
declare
  epoch constant timestamptz := 'epoch';
  from_at timestamptz := (select min(at) from unnest(starts) as at);
  to_at timestamptz := (select max(at) from unnest(ends) as at);
  changes timestamptz[];
  days timestamptz[];    -- within which prices change, where hours are kept,
  hours timestamptz[];   -- where windows are kept,
  windows timestamptz[]; -- and where events are
  series integer;
  filled timestamptz;
  filled_then timestamptz;
  pieces text[];
  places bigint[];
  totals numeric[];
begin
  changes := array(
    select distinct at from price p cross join unnest(array[p.effective_from, p.effective_to]) as at
    where p.tenant_id = tenant and p.superseded_in is null and p.currency = in_currency and at > from_at and at < to_at
    order by at);
  select array_agg(distinct day) filter (where day < at and day >= hours_from),
      array_agg(distinct hour) filter (where hour < at and hour >= windows_from),
      array_agg(distinct w) filter (where w < at and w >= events_from)
    into days, hours, windows
  from (
    select at, date_bin('1 day', at, epoch) as day, date_bin('1 hour', at, epoch) as hour, date_bin('30 seconds', at, epoch) as w
    from unnest(changes) as at
  ) as change
  cross join (
    select coalesce(max(kept_from) filter (where relation = 'meter_1h'), '-infinity') as hours_from,
      coalesce(max(kept_from) filter (where relation = 'meter_30s'), '-infinity') as windows_from,
      coalesce(max(kept_from) filter (where relation = 'event'), '-infinity') as events_from
    from retention
  ) as kept;

  loop
    select id, filled_from into series, filled from meter_series
      where tenant_id = tenant and event_type = '' and retired_at is null;
    filled := coalesce(filled, 'infinity');
    pieces := '{}';
    if filled < to_at then
      -- Levels have no more than what is filled. within: what is asked of this one; finer: what is asked of the next one.
      select array_agg(format($piece$
        select l.customer_id, l.bucket, l.dims, l.events, l.counted, l.sum from %I l %s
        where l.series_id = %s and l.bucket >= %L and l.bucket < %L and l.customer_id = any ($1) %s
        $piece$, relation,
        case when within is not null then format(
          'join unnest(%L::timestamptz[]) as w (at) on l.bucket >= w.at and l.bucket < w.at + %L::interval', within, length) end,
        series, begin_at, end_at,
        case when finer is not null then format('and l.bucket <> all (%L::timestamptz[])', finer) end))
      into pieces
      from (values
        ('meter_1d', case unit when '1 day' then from_at end, to_at, null::timestamptz[], null::interval, days),
        ('meter_1h', case unit when '1 hour' then from_at else days[1] end,
          case unit when '1 hour' then to_at else days[cardinality(days)] + interval '1 day' end,
          case unit when '1 day' then days end, '1 day', hours),
        ('meter_30s', hours[1], hours[cardinality(hours)] + interval '1 hour', hours, '1 hour', windows),
        ('meter_part', greatest(from_at, filled), to_at, null, null, windows)
      ) as level (relation, begin_at, end_at, within, length, finer)
      where begin_at < end_at;
    end if;
    if from_at < filled then
      pieces := pieces || format(history, quote_literal(from_at), quote_literal(least(to_at, filled)));
    end if;
    if windows is not null then
      pieces := pieces || format(
        'select e.* from unnest(%L::timestamptz[]) as w (at) cross join lateral (%s) as e where w.at >= %L', windows,
        format(history,
          format('w.at and e.ts >= %L', windows[1]),
          format('w.at + interval ''30 seconds'' and e.ts < %L', windows[cardinality(windows)] + interval '30 seconds')),
        filled);
    end if;

    execute format($statement$
      with used as materialized (
        select b.n, r.dims[3] as model, coalesce(r.dims[4], '') as provider, width_bucket(r.at, $5) as place,
          sum(r.events) as calls, sum(r.counted) as counted, coalesce(sum(r.tokens), 0) as tokens
        from unnest($1, $2, $3) with ordinality as b (customer_id, starts, ends, n)
        join (%s) as r (customer_id, at, dims, events, counted, tokens)
          on r.customer_id = b.customer_id and r.at >= b.starts and r.at < b.ends
        where r.dims[3] is not null and ($4 is null or r.dims[1] = $4)
        group by 1, 2, 3, 4
      ), rated as materialized (
        select kind.*, price.*
        from (select distinct model, provider, place, coalesce($5[place], $8) as since from used) as kind
        cross join lateral (
          select coalesce(p.call, 0) as call, coalesce(p.input, 0) as input, coalesce(p.output, 0) as output,
            coalesce(p.cached_input, p.input, 0) as cached_input, coalesce(p.reasoning, p.output, 0) as reasoning,
            coalesce(p.cache_write, p.input, 0) as cache_write, coalesce(p.audio_input, p.input, 0) as audio_input,
            coalesce(p.audio_output, p.output, 0) as audio_output,
            greatest(p.input, p.output, p.cached_input, p.reasoning, p.cache_write, p.audio_input, p.audio_output) > 0
              as of_tokens
          from price p
          where p.tenant_id = $6 and p.superseded_in is null and p.currency = $7
            and p.model = any (array(select left(kind.model, length) from generate_series(1, length(kind.model)) as length))
            and (p.match = 'prefix' or p.model = kind.model) and (p.provider is null or p.provider = kind.provider)
            and p.effective_from <= kind.since and kind.since < p.effective_to
          order by p.match = 'exact' desc, length(p.model) desc, p.provider is not null desc
          limit 1
        ) as price
      )
      select array_agg(n), array_agg(total), (select filled_from from meter_series where id = $9)
      from (
        -- Tokens of the kind at place k count as 10 to the power of 24 k (packCounts.ts).
        select n, sum(
          call * case when of_tokens then counted else calls end
          + input * mod(tokens, 1e24) + output * mod(div(tokens, 1e24), 1e24)
          + cached_input * mod(div(tokens, 1e48), 1e24) + reasoning * mod(div(tokens, 1e72), 1e24)
          + cache_write * mod(div(tokens, 1e96), 1e24) + audio_input * mod(div(tokens, 1e120), 1e24)
          + audio_output * mod(div(tokens, 1e144), 1e24)) as total
        from used join rated using (model, provider, place)
        group by n
      ) as sums
      $statement$, array_to_string(pieces, ' union all '))
    into places, totals, filled_then
    using customers, starts, ends, of_type, changes, tenant, in_currency, from_at, series;
    exit when series is null or filled_then = filled;
  end loop;
  return query select * from unnest(places, totals);
end $$;

revoke execute on function stored_costs(text, text, text, text, interval, text[], timestamptz[], timestamptz[]) from public;
