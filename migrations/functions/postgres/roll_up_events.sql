-- revision 1, 4bbbe6d01eed
/*
 * After the rows of a batch: keeps the rollups. Each level is summed from the one below, and every upsert runs in key
 * order so that two batches cannot wait for each other in a circle.
 */
create or replace function roll_up_events() returns trigger
language plpgsql security definer set search_path from current as $$
begin
  with batch_30s as materialized (
    select date_bin('30 seconds', ts, 'epoch'::timestamptz) as bucket, tenant_id, customer_id, event_type, endpoint, model,
      count(*) as calls,
      coalesce(sum(tokens), 0)::bigint as tokens,
      coalesce(sum(input_tokens), 0)::bigint as input_tokens,
      coalesce(sum(output_tokens), 0)::bigint as output_tokens,
      coalesce(sum(value), 0) as value_sum,
      coalesce(sum(latency_ms), 0) as latency_sum,
      count(latency_ms) as latency_count,
      max(latency_ms) as latency_max,
      count(*) filter (where latency_ms <= 5) as latency_le_5,
      count(*) filter (where latency_ms <= 10) as latency_le_10,
      count(*) filter (where latency_ms <= 25) as latency_le_25,
      count(*) filter (where latency_ms <= 50) as latency_le_50,
      count(*) filter (where latency_ms <= 100) as latency_le_100,
      count(*) filter (where latency_ms <= 250) as latency_le_250,
      count(*) filter (where latency_ms <= 500) as latency_le_500,
      count(*) filter (where latency_ms <= 1000) as latency_le_1000,
      count(*) filter (where latency_ms <= 2500) as latency_le_2500,
      count(*) filter (where latency_ms <= 5000) as latency_le_5000,
      count(*) filter (where latency_ms <= 10000) as latency_le_10000,
      count(*) filter (where latency_ms <= 30000) as latency_le_30000,
      count(*) filter (where latency_ms <= 60000) as latency_le_60000,
      count(*) filter (where latency_ms <= 120000) as latency_le_120000,
      min(latency_ms) as latency_min,
      sum(tenant_data.latency_slot(latency_ms)) as latency_sketch
    from new_event group by 1, tenant_id, customer_id, event_type, endpoint, model
  ), batch_1h as materialized (
    select date_bin('1 hour', bucket, 'epoch'::timestamptz) as bucket, tenant_id, customer_id, event_type, endpoint, model,
      sum(calls)::bigint as calls,
      sum(tokens)::bigint as tokens,
      sum(input_tokens)::bigint as input_tokens,
      sum(output_tokens)::bigint as output_tokens,
      sum(value_sum) as value_sum,
      sum(latency_sum) as latency_sum,
      sum(latency_count)::bigint as latency_count,
      max(latency_max) as latency_max,
      sum(latency_le_5)::bigint as latency_le_5,
      sum(latency_le_10)::bigint as latency_le_10,
      sum(latency_le_25)::bigint as latency_le_25,
      sum(latency_le_50)::bigint as latency_le_50,
      sum(latency_le_100)::bigint as latency_le_100,
      sum(latency_le_250)::bigint as latency_le_250,
      sum(latency_le_500)::bigint as latency_le_500,
      sum(latency_le_1000)::bigint as latency_le_1000,
      sum(latency_le_2500)::bigint as latency_le_2500,
      sum(latency_le_5000)::bigint as latency_le_5000,
      sum(latency_le_10000)::bigint as latency_le_10000,
      sum(latency_le_30000)::bigint as latency_le_30000,
      sum(latency_le_60000)::bigint as latency_le_60000,
      sum(latency_le_120000)::bigint as latency_le_120000,
      min(latency_min) as latency_min,
      sum(latency_sketch) as latency_sketch
    from batch_30s group by 1, tenant_id, customer_id, event_type, endpoint, model
  ), batch_1d as materialized (
    select date_bin('1 day', bucket, 'epoch'::timestamptz) as bucket, tenant_id, customer_id, event_type, endpoint, model,
      sum(calls)::bigint as calls,
      sum(tokens)::bigint as tokens,
      sum(input_tokens)::bigint as input_tokens,
      sum(output_tokens)::bigint as output_tokens,
      sum(value_sum) as value_sum,
      sum(latency_sum) as latency_sum,
      sum(latency_count)::bigint as latency_count,
      max(latency_max) as latency_max,
      sum(latency_le_5)::bigint as latency_le_5,
      sum(latency_le_10)::bigint as latency_le_10,
      sum(latency_le_25)::bigint as latency_le_25,
      sum(latency_le_50)::bigint as latency_le_50,
      sum(latency_le_100)::bigint as latency_le_100,
      sum(latency_le_250)::bigint as latency_le_250,
      sum(latency_le_500)::bigint as latency_le_500,
      sum(latency_le_1000)::bigint as latency_le_1000,
      sum(latency_le_2500)::bigint as latency_le_2500,
      sum(latency_le_5000)::bigint as latency_le_5000,
      sum(latency_le_10000)::bigint as latency_le_10000,
      sum(latency_le_30000)::bigint as latency_le_30000,
      sum(latency_le_60000)::bigint as latency_le_60000,
      sum(latency_le_120000)::bigint as latency_le_120000,
      min(latency_min) as latency_min,
      sum(latency_sketch) as latency_sketch
    from batch_1h group by 1, tenant_id, customer_id, event_type, endpoint, model
  ), into_30s as (
    insert into usage_30s as r (
      bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
      value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
      latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
      latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
    )
    select bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
      value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
      latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
      latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
    from batch_30s
    order by tenant_id, customer_id, bucket, event_type, endpoint, model
    on conflict (tenant_id, customer_id, bucket, key_digest(event_type, endpoint, model)) do update set
      calls = r.calls + excluded.calls,
      tokens = r.tokens + excluded.tokens,
      input_tokens = r.input_tokens + excluded.input_tokens,
      output_tokens = r.output_tokens + excluded.output_tokens,
      value_sum = r.value_sum + excluded.value_sum,
      latency_sum = r.latency_sum + excluded.latency_sum,
      latency_count = r.latency_count + excluded.latency_count,
      latency_max = greatest(r.latency_max, excluded.latency_max),
      latency_le_5 = r.latency_le_5 + excluded.latency_le_5,
      latency_le_10 = r.latency_le_10 + excluded.latency_le_10,
      latency_le_25 = r.latency_le_25 + excluded.latency_le_25,
      latency_le_50 = r.latency_le_50 + excluded.latency_le_50,
      latency_le_100 = r.latency_le_100 + excluded.latency_le_100,
      latency_le_250 = r.latency_le_250 + excluded.latency_le_250,
      latency_le_500 = r.latency_le_500 + excluded.latency_le_500,
      latency_le_1000 = r.latency_le_1000 + excluded.latency_le_1000,
      latency_le_2500 = r.latency_le_2500 + excluded.latency_le_2500,
      latency_le_5000 = r.latency_le_5000 + excluded.latency_le_5000,
      latency_le_10000 = r.latency_le_10000 + excluded.latency_le_10000,
      latency_le_30000 = r.latency_le_30000 + excluded.latency_le_30000,
      latency_le_60000 = r.latency_le_60000 + excluded.latency_le_60000,
      latency_le_120000 = r.latency_le_120000 + excluded.latency_le_120000,
      latency_min = least(r.latency_min, excluded.latency_min),
      latency_sketch = coalesce(r.latency_sketch + excluded.latency_sketch, r.latency_sketch, excluded.latency_sketch)
  ), into_1h as (
    insert into usage_1h as r (
      bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
      value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
      latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
      latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
    )
    select bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
      value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
      latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
      latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
    from batch_1h
    order by tenant_id, customer_id, bucket, event_type, endpoint, model
    on conflict (tenant_id, customer_id, bucket, key_digest(event_type, endpoint, model)) do update set
      calls = r.calls + excluded.calls,
      tokens = r.tokens + excluded.tokens,
      input_tokens = r.input_tokens + excluded.input_tokens,
      output_tokens = r.output_tokens + excluded.output_tokens,
      value_sum = r.value_sum + excluded.value_sum,
      latency_sum = r.latency_sum + excluded.latency_sum,
      latency_count = r.latency_count + excluded.latency_count,
      latency_max = greatest(r.latency_max, excluded.latency_max),
      latency_le_5 = r.latency_le_5 + excluded.latency_le_5,
      latency_le_10 = r.latency_le_10 + excluded.latency_le_10,
      latency_le_25 = r.latency_le_25 + excluded.latency_le_25,
      latency_le_50 = r.latency_le_50 + excluded.latency_le_50,
      latency_le_100 = r.latency_le_100 + excluded.latency_le_100,
      latency_le_250 = r.latency_le_250 + excluded.latency_le_250,
      latency_le_500 = r.latency_le_500 + excluded.latency_le_500,
      latency_le_1000 = r.latency_le_1000 + excluded.latency_le_1000,
      latency_le_2500 = r.latency_le_2500 + excluded.latency_le_2500,
      latency_le_5000 = r.latency_le_5000 + excluded.latency_le_5000,
      latency_le_10000 = r.latency_le_10000 + excluded.latency_le_10000,
      latency_le_30000 = r.latency_le_30000 + excluded.latency_le_30000,
      latency_le_60000 = r.latency_le_60000 + excluded.latency_le_60000,
      latency_le_120000 = r.latency_le_120000 + excluded.latency_le_120000,
      latency_min = least(r.latency_min, excluded.latency_min),
      latency_sketch = coalesce(r.latency_sketch + excluded.latency_sketch, r.latency_sketch, excluded.latency_sketch)
  ), into_1d as (
    insert into usage_1d as r (
      bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
      value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
      latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
      latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
    )
    select bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
      value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
      latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
      latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
    from batch_1d
    order by tenant_id, customer_id, bucket, event_type, endpoint, model
    on conflict (tenant_id, customer_id, bucket, key_digest(event_type, endpoint, model)) do update set
      calls = r.calls + excluded.calls,
      tokens = r.tokens + excluded.tokens,
      input_tokens = r.input_tokens + excluded.input_tokens,
      output_tokens = r.output_tokens + excluded.output_tokens,
      value_sum = r.value_sum + excluded.value_sum,
      latency_sum = r.latency_sum + excluded.latency_sum,
      latency_count = r.latency_count + excluded.latency_count,
      latency_max = greatest(r.latency_max, excluded.latency_max),
      latency_le_5 = r.latency_le_5 + excluded.latency_le_5,
      latency_le_10 = r.latency_le_10 + excluded.latency_le_10,
      latency_le_25 = r.latency_le_25 + excluded.latency_le_25,
      latency_le_50 = r.latency_le_50 + excluded.latency_le_50,
      latency_le_100 = r.latency_le_100 + excluded.latency_le_100,
      latency_le_250 = r.latency_le_250 + excluded.latency_le_250,
      latency_le_500 = r.latency_le_500 + excluded.latency_le_500,
      latency_le_1000 = r.latency_le_1000 + excluded.latency_le_1000,
      latency_le_2500 = r.latency_le_2500 + excluded.latency_le_2500,
      latency_le_5000 = r.latency_le_5000 + excluded.latency_le_5000,
      latency_le_10000 = r.latency_le_10000 + excluded.latency_le_10000,
      latency_le_30000 = r.latency_le_30000 + excluded.latency_le_30000,
      latency_le_60000 = r.latency_le_60000 + excluded.latency_le_60000,
      latency_le_120000 = r.latency_le_120000 + excluded.latency_le_120000,
      latency_min = least(r.latency_min, excluded.latency_min),
      latency_sketch = coalesce(r.latency_sketch + excluded.latency_sketch, r.latency_sketch, excluded.latency_sketch)
  )
  insert into reference_1d as r (bucket, tenant_id, reference, customer_id, event_type,
                                 events, value_sum, tokens, first_ts, last_ts)
  select date_bin('1 day', ts, 'epoch'::timestamptz), tenant_id, reference, customer_id, event_type,
    count(*), coalesce(sum(value), 0), coalesce(sum(tokens), 0)::bigint, min(ts), max(ts)
  from new_event where reference is not null
  group by 1, tenant_id, reference, customer_id, event_type
  order by tenant_id, reference, 1, customer_id, event_type
  on conflict (tenant_id, reference, bucket, key_digest(customer_id, event_type)) do update set
    events = r.events + excluded.events,
    value_sum = r.value_sum + excluded.value_sum,
    tokens = r.tokens + excluded.tokens,
    first_ts = least(r.first_ts, excluded.first_ts),
    last_ts = greatest(r.last_ts, excluded.last_ts);
  return null;
end $$;

revoke execute on function roll_up_events() from public;
