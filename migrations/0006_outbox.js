import { chooseEngine } from './support/engine.js';

/** Messages about windows, written with the facts they tell of. */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);
  const timescale = engine === 'timescale';

  pgm.sql(`
    -- Who wants to hear of what. Nothing is written to the outbox for a tenant that has no subscription.
    create table subscription (
      id            uuid primary key default gen_random_uuid(),
      tenant_id     text not null references tenant (id),
      message_types text[] not null,
      active        boolean not null default true,
      created_at    timestamptz not null default now(),
      updated_at    timestamptz not null default now(),
      check (message_types <> '{}')
    );

    create table outbox (
      id          bigint generated always as identity primary key,
      message_id  uuid not null default gen_random_uuid(), -- what receivers see, the same on every attempt
      type        text not null,
      tenant_id   text not null,
      customer_id text,
      payload     jsonb not null,
      created_at  timestamptz not null default clock_timestamp()
    );

    -- How far window.closed has been written. A row of its own: writing messages must not hold up closing.
    create table window_announcement (
      only_row        boolean primary key default true check (only_row),
      announced_until timestamptz not null,
      updated_at      timestamptz not null default now()
    );
    insert into window_announcement (announced_until) select closed_until from window_state;

    create function iso8601(at timestamptz) returns text language sql stable as $$
      select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    $$;

    /*
     * Writes window.closed for the windows that have closed${timescale ? ' and are in usage_30s' : ''}, at most 'most' of them
     * at a time, and notes how far it got, in one transaction: each window is announced once, whoever does it.
     * Returns whether there is more to do.
     */
    create function announce_closed_windows(most integer) returns boolean language plpgsql as $$
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
           ${fromEvents(`(select * from late_window where stale and tenant_id = any (tenants)
                          and bucket >= from_at and bucket < to_at)`)}`,
        )}
      end if;
      update window_announcement set announced_until = to_at, updated_at = now();
      return to_at < reach;
    end $$;

    /*
     * Records closed windows that this transaction changed: one revision each, and a window.revised for those who
     * want to hear of it. The row locks of the first statement order the transactions that change a window, so the
     * sums that the second one reads are those of its revision.
     */
    create or replace function mark_late_windows(windows jsonb) returns void language plpgsql as $$
    declare
      tenants text[];
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
      ${insertMessages(
        'window.revised',
        fromEvents(`(select l.* from late_window l
          join jsonb_to_recordset(windows) as w (bucket timestamptz, tenant_id text, customer_id text)
            using (bucket, tenant_id, customer_id)
          where l.tenant_id = any (tenants))`),
      )}
    end $$;
  `);
};

export const down = false;

/** Rows as in usage_30s, with the revision, of the windows of a relation that is like late_window. */
function fromEvents(windows) {
  return `select l.bucket, l.tenant_id, l.customer_id, l.revision, e.endpoint, e.model, 1, coalesce(e.tokens, 0),
             coalesce(e.input_tokens, 0), coalesce(e.output_tokens, 0), coalesce(e.latency_ms, 0),
             (e.latency_ms is not null)::int
           from ${windows} as l
           join event e on e.tenant_id = l.tenant_id and e.customer_id = l.customer_id
             and e.ts >= l.bucket and e.ts < l.bucket + interval '30 seconds'`;
}

/** A message for each window of the source, its payload as GET /v1/windows serves it. */
function insertMessages(type, source) {
  const key = 'bucket, tenant_id, customer_id';
  const by = (dimension) => `
          select ${key}, jsonb_object_agg(${dimension}, sums) as sums
          from (select ${key}, ${dimension},
                  jsonb_build_object('calls', sum(calls)::bigint, 'tokens', sum(tokens)::bigint) as sums
                from usage where ${dimension} is not null group by ${key}, ${dimension}) as named
          group by ${key}`;
  return `
        with usage (${key}, revision, endpoint, model, calls, tokens, input_tokens, output_tokens,
                    latency_sum, latency_count) as materialized (
          ${source}
        ), total as (
          select ${key}, revision, sum(calls)::bigint as calls, sum(tokens)::bigint as tokens,
            sum(input_tokens)::bigint as input_tokens, sum(output_tokens)::bigint as output_tokens,
            sum(latency_sum) as latency_sum, sum(latency_count)::bigint as latency_count
          from usage group by ${key}, revision
        ), by_endpoint as (${by('endpoint')}
        ), by_model as (${by('model')}
        )
        insert into outbox (type, tenant_id, customer_id, payload)
        select '${type}', tenant_id, customer_id, jsonb_build_object(
          'windowStart', iso8601(bucket), 'windowEnd', iso8601(bucket + interval '30 seconds'),
          'tenantId', tenant_id, 'customerId', customer_id,
          'state', case when revision > 0 then 'revised' else 'closed' end, 'revision', revision,
          'aggregations', jsonb_build_object(
            'totalCalls', calls, 'totalTokens', tokens,
            'totalInputTokens', input_tokens, 'totalOutputTokens', output_tokens,
            'avgLatencyMs', case when latency_count > 0
                            then floor(latency_sum / latency_count * 1000 + 0.5) / 1000 end,
            'byEndpoint', coalesce(by_endpoint.sums, '{}'), 'byModel', coalesce(by_model.sums, '{}')))
        from total left join by_endpoint using (${key}) left join by_model using (${key})
        order by ${key};`;
}
