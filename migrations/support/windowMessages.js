/**
 * Rows as in usage_30s, with the revision, of the windows of a relation that is like late_window, all of them in
 * [from, to): bounds that are known when the statement is planned, or every chunk there is would be planned with it.
 */
export function fromEvents(windows, from, to) {
  return `select l.bucket, l.tenant_id, l.customer_id, l.revision, e.endpoint, e.model, 1, coalesce(e.tokens, 0),
             coalesce(e.input_tokens, 0), coalesce(e.output_tokens, 0), coalesce(e.latency_ms, 0),
             (e.latency_ms is not null)::int
           from ${windows} as l
           join event e on e.tenant_id = l.tenant_id and e.customer_id = l.customer_id
             and e.ts >= l.bucket and e.ts < l.bucket + interval '30 seconds'
             and e.ts >= ${from} and e.ts < ${to}`;
}

/** A message for each window of the source, its payload as GET /v1/windows serves it. */
export function insertMessages(type, source) {
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
