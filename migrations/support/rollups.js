/** Upper bounds (ms) of the cumulative latency histogram. src/sums/rollups/latencyHistogram.ts reads the same columns. */
export const LATENCY_BOUNDS_MS = [
  5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000,
];

/** The dimensions of usage_30s, usage_1h and usage_1d, after the bucket. */
export const USAGE_DIMENSIONS = ['tenant_id', 'customer_id', 'event_type', 'endpoint', 'model'];

/**
 * The measures of the usage rollups: column, type, how it comes from raw events, how it adds up across rollups,
 * and how an upsert merges it.
 */
export const USAGE_MEASURES = [
  measure('calls', 'bigint', 'count(*)', 'sum'),
  measure('tokens', 'bigint', 'coalesce(sum(tokens), 0)::bigint', 'sum'),
  measure('input_tokens', 'bigint', 'coalesce(sum(input_tokens), 0)::bigint', 'sum'),
  measure('output_tokens', 'bigint', 'coalesce(sum(output_tokens), 0)::bigint', 'sum'),
  measure('value_sum', 'numeric', 'coalesce(sum(value), 0)', 'sum'),
  measure('latency_sum', 'double precision', 'coalesce(sum(latency_ms), 0)', 'sum'),
  measure('latency_count', 'bigint', 'count(latency_ms)', 'sum'),
  measure('latency_max', 'double precision', 'max(latency_ms)', 'max'),
  ...LATENCY_BOUNDS_MS.map((bound) =>
    measure(`latency_le_${bound}`, 'bigint', `count(*) filter (where latency_ms <= ${bound})`, 'sum'),
  ),
];

function measure(column, type, fromEvents, combine) {
  const cast = type === 'bigint' ? '::bigint' : '';
  return {
    column,
    type,
    fromEvents,
    fromRollup: `${combine}(${column})${cast}`,
    merge:
      combine === 'sum'
        ? `${column} = r.${column} + excluded.${column}`
        : `${column} = greatest(r.${column}, excluded.${column})`,
  };
}

/** `expression as column` for every measure, from 'fromEvents' or 'fromRollup'. */
export function selectMeasures(source) {
  return USAGE_MEASURES.map((m) => `${m[source]} as ${m.column}`).join(',\n        ');
}
