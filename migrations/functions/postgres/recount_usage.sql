-- revision 1, e98a48a7b403
/*
 * Counts windows of customers anew, of the events that are there: their rows of usage_30s, and the hours and days that they
 * are folded into. Each row is locked before it is counted, in the order in which batches lock them: who has added to it has
 * then committed, and whoever comes later adds to what stands here. Rows that have nothing left go.
 *
 * windows: [{tenant_id, customer_id, bucket}]. By who has the batches' lock, statement by statement.
 */
create or replace function recount_usage(windows jsonb) returns void
language plpgsql set jit = off as $$
declare
  fold usage_fold;
  keys usage_30s[];
  hours usage_1h_folded[];
  days usage_1d_folded[];
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'windows are counted statement by statement' using errcode = 'active_sql_transaction';
  end if;
  perform pg_advisory_xact_lock_shared(hashtext('tidemark.folding'));
  select * into fold from usage_fold;

  with touched as materialized (
    select w.tenant_id, w.customer_id, w.bucket
    from jsonb_to_recordset(windows) as w (tenant_id text, customer_id text, bucket timestamptz)
  ), key as (
    select t.bucket, t.tenant_id, t.customer_id, u.event_type, u.endpoint, u.model
    from touched t cross join lateral (
      select event_type, endpoint, model from usage_30s
      where tenant_id = t.tenant_id and customer_id = t.customer_id and bucket = t.bucket offset 0
    ) as u
    union
    select t.bucket, t.tenant_id, t.customer_id, e.event_type, e.endpoint, e.model
    from touched t cross join lateral (
      select event_type, endpoint, model from event
      where tenant_id = t.tenant_id and customer_id = t.customer_id
        and ts >= t.bucket and ts < t.bucket + interval '30 seconds' offset 0
    ) as e
  ), locked as (
    insert into usage_30s as r (
      bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
      value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
      latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
      latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
    )
    select bucket, tenant_id, customer_id, event_type, endpoint, model,
      0, 0, 0, 0, 0, 0, 0, null, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, null, null
    from key
    order by tenant_id, customer_id, bucket, event_type, endpoint, model
    on conflict (tenant_id, customer_id, bucket, key_digest(event_type, endpoint, model)) do update set calls = r.calls
    returning r.*
  )
  select array_agg(row(locked.*)::usage_30s) into keys from locked;
  if keys is null then return; end if;

  with touched as materialized (
    select distinct tenant_id, customer_id, bucket from unnest(keys) as k
  ), counted as materialized (
    select t.bucket, t.tenant_id, t.customer_id, e.event_type, e.endpoint, e.model,
      count(*) as calls, coalesce(sum(e.tokens), 0)::bigint as tokens,
      coalesce(sum(e.input_tokens), 0)::bigint as input_tokens,
      coalesce(sum(e.output_tokens), 0)::bigint as output_tokens, coalesce(sum(e.value), 0) as value_sum,
      coalesce(sum(e.latency_ms), 0) as latency_sum, count(e.latency_ms) as latency_count,
      max(e.latency_ms) as latency_max, count(*) filter (where e.latency_ms <= 5) as latency_le_5,
      count(*) filter (where e.latency_ms <= 10) as latency_le_10,
      count(*) filter (where e.latency_ms <= 25) as latency_le_25,
      count(*) filter (where e.latency_ms <= 50) as latency_le_50,
      count(*) filter (where e.latency_ms <= 100) as latency_le_100,
      count(*) filter (where e.latency_ms <= 250) as latency_le_250,
      count(*) filter (where e.latency_ms <= 500) as latency_le_500,
      count(*) filter (where e.latency_ms <= 1000) as latency_le_1000,
      count(*) filter (where e.latency_ms <= 2500) as latency_le_2500,
      count(*) filter (where e.latency_ms <= 5000) as latency_le_5000,
      count(*) filter (where e.latency_ms <= 10000) as latency_le_10000,
      count(*) filter (where e.latency_ms <= 30000) as latency_le_30000,
      count(*) filter (where e.latency_ms <= 60000) as latency_le_60000,
      count(*) filter (where e.latency_ms <= 120000) as latency_le_120000, min(e.latency_ms) as latency_min,
      sum(tenant_data.latency_slot(e.latency_ms)) as latency_sketch
    from touched t cross join lateral (
      select * from event e
      where e.tenant_id = t.tenant_id and e.customer_id = t.customer_id
        and e.ts >= t.bucket and e.ts < t.bucket + interval '30 seconds' offset 0
    ) as e
    group by t.bucket, t.tenant_id, t.customer_id, e.event_type, e.endpoint, e.model
  ), made as materialized (
    select k.bucket, k.tenant_id, k.customer_id, key_digest(k.event_type, k.endpoint, k.model) as digest,
      c.calls, c.tokens, c.input_tokens, c.output_tokens, c.value_sum, c.latency_sum, c.latency_count, c.latency_max,
      c.latency_le_5, c.latency_le_10, c.latency_le_25, c.latency_le_50, c.latency_le_100, c.latency_le_250,
      c.latency_le_500, c.latency_le_1000, c.latency_le_2500, c.latency_le_5000, c.latency_le_10000, c.latency_le_30000,
      c.latency_le_60000, c.latency_le_120000, c.latency_min, c.latency_sketch
    from unnest(keys) as k
    left join counted c on c.tenant_id = k.tenant_id and c.customer_id = k.customer_id and c.bucket = k.bucket
      and c.event_type = k.event_type and coalesce(c.endpoint, '') = coalesce(k.endpoint, '')
      and coalesce(c.model, '') = coalesce(k.model, '')
  )
  update usage_30s r set
    calls = coalesce(i.calls, 0), tokens = coalesce(i.tokens, 0), input_tokens = coalesce(i.input_tokens, 0),
    output_tokens = coalesce(i.output_tokens, 0), value_sum = coalesce(i.value_sum, 0),
    latency_sum = coalesce(i.latency_sum, 0), latency_count = coalesce(i.latency_count, 0), latency_max = i.latency_max,
    latency_le_5 = coalesce(i.latency_le_5, 0), latency_le_10 = coalesce(i.latency_le_10, 0),
    latency_le_25 = coalesce(i.latency_le_25, 0), latency_le_50 = coalesce(i.latency_le_50, 0),
    latency_le_100 = coalesce(i.latency_le_100, 0), latency_le_250 = coalesce(i.latency_le_250, 0),
    latency_le_500 = coalesce(i.latency_le_500, 0), latency_le_1000 = coalesce(i.latency_le_1000, 0),
    latency_le_2500 = coalesce(i.latency_le_2500, 0), latency_le_5000 = coalesce(i.latency_le_5000, 0),
    latency_le_10000 = coalesce(i.latency_le_10000, 0), latency_le_30000 = coalesce(i.latency_le_30000, 0),
    latency_le_60000 = coalesce(i.latency_le_60000, 0), latency_le_120000 = coalesce(i.latency_le_120000, 0),
    latency_min = i.latency_min, latency_sketch = i.latency_sketch
  from made as i
  where r.tenant_id = i.tenant_id and r.customer_id = i.customer_id and r.bucket = i.bucket
    and key_digest(r.event_type, r.endpoint, r.model) = i.digest;

  -- usage_1h_folded: locked in their order, then added up of what is below, in a snapshot that has all who held them before.
  with touched as (
    select distinct date_bin('1 hour', bucket, 'epoch'::timestamptz) as bucket, tenant_id, customer_id, event_type, endpoint,
      model
    from unnest(keys) as k
    where k.bucket < fold.folded_until
       or k.bucket = fold.folded_until and fold.folded_part > 0
          and get_byte(sha256(convert_to(k.customer_id, 'UTF8')), 0) < fold.folded_part
  ), locked as (
    insert into usage_1h_folded as r (
      bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
      value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
      latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
      latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
    )
    select bucket, tenant_id, customer_id, event_type, endpoint, model,
      0, 0, 0, 0, 0, 0, 0, null, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, null, null
    from touched
    order by tenant_id, customer_id, bucket, event_type, endpoint, model
    on conflict (tenant_id, customer_id, bucket, key_digest(event_type, endpoint, model)) do update set calls = r.calls
    returning r.*
  )
  select array_agg(row(locked.*)::usage_1h_folded) into hours from locked;
  if hours is not null then
    with made as materialized (
      select k.bucket, k.tenant_id, k.customer_id, key_digest(k.event_type, k.endpoint, k.model) as digest,
        s.calls, s.tokens, s.input_tokens, s.output_tokens, s.value_sum, s.latency_sum, s.latency_count, s.latency_max,
        s.latency_le_5, s.latency_le_10, s.latency_le_25, s.latency_le_50, s.latency_le_100, s.latency_le_250,
        s.latency_le_500, s.latency_le_1000, s.latency_le_2500, s.latency_le_5000, s.latency_le_10000, s.latency_le_30000,
        s.latency_le_60000, s.latency_le_120000, s.latency_min, s.latency_sketch
      from unnest(hours) as k cross join lateral (
        select
          sum(calls)::bigint as calls, sum(tokens)::bigint as tokens, sum(input_tokens)::bigint as input_tokens,
          sum(output_tokens)::bigint as output_tokens, sum(value_sum) as value_sum, sum(latency_sum) as latency_sum,
          sum(latency_count)::bigint as latency_count, max(latency_max) as latency_max,
          sum(latency_le_5)::bigint as latency_le_5, sum(latency_le_10)::bigint as latency_le_10,
          sum(latency_le_25)::bigint as latency_le_25, sum(latency_le_50)::bigint as latency_le_50,
          sum(latency_le_100)::bigint as latency_le_100, sum(latency_le_250)::bigint as latency_le_250,
          sum(latency_le_500)::bigint as latency_le_500, sum(latency_le_1000)::bigint as latency_le_1000,
          sum(latency_le_2500)::bigint as latency_le_2500, sum(latency_le_5000)::bigint as latency_le_5000,
          sum(latency_le_10000)::bigint as latency_le_10000, sum(latency_le_30000)::bigint as latency_le_30000,
          sum(latency_le_60000)::bigint as latency_le_60000, sum(latency_le_120000)::bigint as latency_le_120000,
          min(latency_min) as latency_min, sum(latency_sketch) as latency_sketch
        from usage_30s u
        where u.tenant_id = k.tenant_id and u.customer_id = k.customer_id
          and u.bucket >= k.bucket and u.bucket < k.bucket + interval '1 hour'
          and u.event_type = k.event_type and u.endpoint is not distinct from k.endpoint
          and u.model is not distinct from k.model
          and (u.bucket < fold.folded_until
               or u.bucket = fold.folded_until and fold.folded_part > 0
                  and get_byte(sha256(convert_to(u.customer_id, 'UTF8')), 0) < fold.folded_part)
      ) as s
    )
    update usage_1h_folded r set
      calls = coalesce(i.calls, 0), tokens = coalesce(i.tokens, 0), input_tokens = coalesce(i.input_tokens, 0),
      output_tokens = coalesce(i.output_tokens, 0), value_sum = coalesce(i.value_sum, 0),
      latency_sum = coalesce(i.latency_sum, 0), latency_count = coalesce(i.latency_count, 0), latency_max = i.latency_max,
      latency_le_5 = coalesce(i.latency_le_5, 0), latency_le_10 = coalesce(i.latency_le_10, 0),
      latency_le_25 = coalesce(i.latency_le_25, 0), latency_le_50 = coalesce(i.latency_le_50, 0),
      latency_le_100 = coalesce(i.latency_le_100, 0), latency_le_250 = coalesce(i.latency_le_250, 0),
      latency_le_500 = coalesce(i.latency_le_500, 0), latency_le_1000 = coalesce(i.latency_le_1000, 0),
      latency_le_2500 = coalesce(i.latency_le_2500, 0), latency_le_5000 = coalesce(i.latency_le_5000, 0),
      latency_le_10000 = coalesce(i.latency_le_10000, 0), latency_le_30000 = coalesce(i.latency_le_30000, 0),
      latency_le_60000 = coalesce(i.latency_le_60000, 0), latency_le_120000 = coalesce(i.latency_le_120000, 0),
      latency_min = i.latency_min, latency_sketch = i.latency_sketch
    from made as i
    where r.tenant_id = i.tenant_id and r.customer_id = i.customer_id and r.bucket = i.bucket
      and key_digest(r.event_type, r.endpoint, r.model) = i.digest;

    -- usage_1d_folded: locked in their order, then added up of what is below, in a snapshot that has all who held them before.
    with touched as (
      select distinct date_bin('1 day', bucket, 'epoch'::timestamptz) as bucket, tenant_id, customer_id, event_type, endpoint,
        model
      from unnest(hours) as k
    ), locked as (
      insert into usage_1d_folded as r (
        bucket, tenant_id, customer_id, event_type, endpoint, model, calls, tokens, input_tokens, output_tokens,
        value_sum, latency_sum, latency_count, latency_max, latency_le_5, latency_le_10, latency_le_25, latency_le_50,
        latency_le_100, latency_le_250, latency_le_500, latency_le_1000, latency_le_2500, latency_le_5000,
        latency_le_10000, latency_le_30000, latency_le_60000, latency_le_120000, latency_min, latency_sketch
      )
      select bucket, tenant_id, customer_id, event_type, endpoint, model,
        0, 0, 0, 0, 0, 0, 0, null, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, null, null
      from touched
      order by tenant_id, customer_id, bucket, event_type, endpoint, model
      on conflict (tenant_id, customer_id, bucket, key_digest(event_type, endpoint, model)) do update set calls = r.calls
      returning r.*
    )
    select array_agg(row(locked.*)::usage_1d_folded) into days from locked;

    with made as materialized (
      select k.bucket, k.tenant_id, k.customer_id, key_digest(k.event_type, k.endpoint, k.model) as digest,
        s.calls, s.tokens, s.input_tokens, s.output_tokens, s.value_sum, s.latency_sum, s.latency_count, s.latency_max,
        s.latency_le_5, s.latency_le_10, s.latency_le_25, s.latency_le_50, s.latency_le_100, s.latency_le_250,
        s.latency_le_500, s.latency_le_1000, s.latency_le_2500, s.latency_le_5000, s.latency_le_10000, s.latency_le_30000,
        s.latency_le_60000, s.latency_le_120000, s.latency_min, s.latency_sketch
      from unnest(days) as k cross join lateral (
        select
          sum(calls)::bigint as calls, sum(tokens)::bigint as tokens, sum(input_tokens)::bigint as input_tokens,
          sum(output_tokens)::bigint as output_tokens, sum(value_sum) as value_sum, sum(latency_sum) as latency_sum,
          sum(latency_count)::bigint as latency_count, max(latency_max) as latency_max,
          sum(latency_le_5)::bigint as latency_le_5, sum(latency_le_10)::bigint as latency_le_10,
          sum(latency_le_25)::bigint as latency_le_25, sum(latency_le_50)::bigint as latency_le_50,
          sum(latency_le_100)::bigint as latency_le_100, sum(latency_le_250)::bigint as latency_le_250,
          sum(latency_le_500)::bigint as latency_le_500, sum(latency_le_1000)::bigint as latency_le_1000,
          sum(latency_le_2500)::bigint as latency_le_2500, sum(latency_le_5000)::bigint as latency_le_5000,
          sum(latency_le_10000)::bigint as latency_le_10000, sum(latency_le_30000)::bigint as latency_le_30000,
          sum(latency_le_60000)::bigint as latency_le_60000, sum(latency_le_120000)::bigint as latency_le_120000,
          min(latency_min) as latency_min, sum(latency_sketch) as latency_sketch
        from usage_1h_folded u
        where u.tenant_id = k.tenant_id and u.customer_id = k.customer_id
          and u.bucket >= k.bucket and u.bucket < k.bucket + interval '1 day'
          and u.event_type = k.event_type and u.endpoint is not distinct from k.endpoint
          and u.model is not distinct from k.model
      ) as s
    )
    update usage_1d_folded r set
      calls = coalesce(i.calls, 0), tokens = coalesce(i.tokens, 0), input_tokens = coalesce(i.input_tokens, 0),
      output_tokens = coalesce(i.output_tokens, 0), value_sum = coalesce(i.value_sum, 0),
      latency_sum = coalesce(i.latency_sum, 0), latency_count = coalesce(i.latency_count, 0), latency_max = i.latency_max,
      latency_le_5 = coalesce(i.latency_le_5, 0), latency_le_10 = coalesce(i.latency_le_10, 0),
      latency_le_25 = coalesce(i.latency_le_25, 0), latency_le_50 = coalesce(i.latency_le_50, 0),
      latency_le_100 = coalesce(i.latency_le_100, 0), latency_le_250 = coalesce(i.latency_le_250, 0),
      latency_le_500 = coalesce(i.latency_le_500, 0), latency_le_1000 = coalesce(i.latency_le_1000, 0),
      latency_le_2500 = coalesce(i.latency_le_2500, 0), latency_le_5000 = coalesce(i.latency_le_5000, 0),
      latency_le_10000 = coalesce(i.latency_le_10000, 0), latency_le_30000 = coalesce(i.latency_le_30000, 0),
      latency_le_60000 = coalesce(i.latency_le_60000, 0), latency_le_120000 = coalesce(i.latency_le_120000, 0),
      latency_min = i.latency_min, latency_sketch = i.latency_sketch
    from made as i
    where r.tenant_id = i.tenant_id and r.customer_id = i.customer_id and r.bucket = i.bucket
      and key_digest(r.event_type, r.endpoint, r.model) = i.digest;

    delete from usage_1h_folded r using unnest(hours) as k
    where r.calls = 0 and r.tenant_id = k.tenant_id and r.customer_id = k.customer_id and r.bucket = k.bucket
      and key_digest(r.event_type, r.endpoint, r.model) = key_digest(k.event_type, k.endpoint, k.model);

    delete from usage_1d_folded r using unnest(days) as k
    where r.calls = 0 and r.tenant_id = k.tenant_id and r.customer_id = k.customer_id and r.bucket = k.bucket
      and key_digest(r.event_type, r.endpoint, r.model) = key_digest(k.event_type, k.endpoint, k.model);
  end if;

  delete from usage_30s r using unnest(keys) as k
  where r.calls = 0 and r.tenant_id = k.tenant_id and r.customer_id = k.customer_id and r.bucket = k.bucket
    and key_digest(r.event_type, r.endpoint, r.model) = key_digest(k.event_type, k.endpoint, k.model);
end $$;

revoke execute on function recount_usage(jsonb) from public;
