-- revision 3, b20970b3b450
/*
 * After the rows of a batch: keeps the rollups, whoever inserted them. Windows, and the days of references, at once; hours and
 * days (usage_1h_folded, usage_1d_folded) only where fold_windows has passed, which else brings them up later
 * (docs/adr/0038). Every upsert runs in key order, so that two batches cannot wait for each other in a circle.
 *
 * Not of a correction, which counts all that it changes anew (recount_usage).
 *
 * Whether fold_windows has passed is sure for windows that are open: it folds what is closed, and closing waits for this
 * transaction, which has the batches' lock by now, too, where it is not one of the writer's. For others it is asked while
 * nobody folds, before any row is locked. A transaction of one snapshot may not see where folding is: it holds it there.
 */
create or replace function roll_up_events() returns trigger
language plpgsql security definer set search_path from current as $$
declare
  late boolean;
  referring boolean;
  fold usage_fold;
  folded usage_30s[];
begin
  if current_setting('tidemark.correcting', true) = 'on' then return null; end if;
  perform pg_advisory_xact_lock_shared(hashtext('tidemark.windows'));
  if current_setting('transaction_isolation') <> 'read committed' then perform from usage_fold for share; end if;
  select coalesce(bool_or(ts < (select greatest(s.closed_until, f.folded_until) from window_state s, usage_fold f)), false),
         coalesce(bool_or(reference is not null), false)
    into late, referring from new_event;
  if late then
    perform pg_advisory_xact_lock_shared(hashtext('tidemark.folding'));
    select * into fold from usage_fold;
  end if;

  with batch as materialized (
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
    from batch
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
  select array_agg(row(b.*)::usage_30s) into folded from batch b
    where late and (b.bucket < fold.folded_until
                    or b.bucket = fold.folded_until and fold.folded_part > 0
                       and get_byte(sha256(convert_to(b.customer_id, 'UTF8')), 0) < fold.folded_part);
  if folded is not null then perform add_to_hours_and_days(folded); end if;

  if referring then
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
  end if;
  return null;
end $$;

revoke execute on function roll_up_events() from public;
