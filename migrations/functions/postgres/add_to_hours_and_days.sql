-- revision 1, 4eb022595e2c
/*
 * Adds rows of usage_30s to the hours and days they lie in. Hours before days, each in key order: so all who add wait for each
 * other in one order.
 */
create or replace function add_to_hours_and_days(usage usage_30s[]) returns void
language plpgsql set jit = off as $$
begin
  insert into usage_1h_folded as r (
    bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
    value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
    latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
    latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
  )
  select date_bin('1 hour', bucket, 'epoch'::timestamptz), tenant_id, customer_id, event_type, endpoint, model,
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
  from unnest(usage)
  group by 1, tenant_id, customer_id, event_type, endpoint, model
  order by tenant_id, customer_id, 1, event_type, endpoint, model
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
    latency_sketch = coalesce(r.latency_sketch + excluded.latency_sketch, r.latency_sketch, excluded.latency_sketch);

  insert into usage_1d_folded as r (
    bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
    value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
    latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
    latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
  )
  select date_bin('1 day', bucket, 'epoch'::timestamptz), tenant_id, customer_id, event_type, endpoint, model,
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
  from unnest(usage)
  group by 1, tenant_id, customer_id, event_type, endpoint, model
  order by tenant_id, customer_id, 1, event_type, endpoint, model
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
    latency_sketch = coalesce(r.latency_sketch + excluded.latency_sketch, r.latency_sketch, excluded.latency_sketch);
end $$;

revoke execute on function add_to_hours_and_days(usage_30s[]) from public;
