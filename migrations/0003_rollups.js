import { chooseEngine } from './support/engine.js';
import { selectMeasures, USAGE_DIMENSIONS, USAGE_MEASURES } from './support/rollups.js';

const dimensions = USAGE_DIMENSIONS.join(', ');
const measures = USAGE_MEASURES.map((m) => m.column).join(', ');

/** usage_30s, usage_1h, usage_1d and reference_1d: the same relations in both engines. */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);
  pgm.sql(engine === 'timescale' ? timescale() : postgres());
};

export const down = false;

/**
 * Continuous aggregates, each on the one below. No refresh policies: the closer alone refreshes, never past the
 * closed windows, and real-time aggregation serves what is above the watermark.
 */
function timescale() {
  const aggregate = (name, bucket, from, source) => `
    create materialized view ${name}
    with (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) as
      select
        ${bucket} as bucket, ${dimensions},
        ${selectMeasures(source)}
      from ${from}
      group by 1, ${dimensions}
    with no data;
    create index ${name}_customer on ${name} (tenant_id, customer_id, bucket);
    create index ${name}_tenant on ${name} (tenant_id, bucket);
  `;
  return `
    ${aggregate('usage_30s', `time_bucket('30 seconds', ts)`, 'event', 'fromEvents')}
    ${aggregate('usage_1h', `time_bucket('1 hour', bucket)`, 'usage_30s', 'fromRollup')}
    ${aggregate('usage_1d', `time_bucket('1 day', bucket)`, 'usage_1h', 'fromRollup')}

    create materialized view reference_1d
    with (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) as
      select time_bucket('1 day', ts) as bucket, tenant_id, reference, customer_id, event_type,
        count(*) as events,
        coalesce(sum(value), 0) as value_sum,
        coalesce(sum(tokens), 0)::bigint as tokens,
        min(ts) as first_ts,
        max(ts) as last_ts
      from event
      where reference is not null
      group by 1, tenant_id, reference, customer_id, event_type
    with no data;
    create index reference_1d_reference on reference_1d (tenant_id, reference, bucket);
  `;
}

/**
 * Plain tables, kept by one statement-level trigger: each level is summed from the one below, and every upsert
 * runs in key order so that two batches cannot wait for each other in a circle.
 */
function postgres() {
  const table = (name) => `
    create table ${name} (
      bucket timestamptz not null,
      tenant_id text not null, customer_id text not null, event_type text not null, endpoint text, model text,
      ${USAGE_MEASURES.map((m) => `${m.column} ${m.type}${m.column === 'latency_max' ? '' : ' not null'}`).join(',\n      ')}
    ) with (fillfactor = 70); -- room for HOT updates: the current bucket is updated by every batch
    create unique index ${name}_customer
      on ${name} (tenant_id, customer_id, bucket, event_type, endpoint, model) nulls not distinct;
    create index ${name}_tenant on ${name} (tenant_id, bucket);
  `;
  const upsert = (name, from) => `
        insert into ${name} as r (bucket, ${dimensions}, ${measures})
        select bucket, ${dimensions}, ${measures} from ${from}
        order by tenant_id, customer_id, bucket, event_type, endpoint, model
        on conflict (tenant_id, customer_id, bucket, event_type, endpoint, model) do update set
          ${USAGE_MEASURES.map((m) => m.merge).join(',\n          ')}`;
  return `
    ${table('usage_30s')}
    ${table('usage_1h')}
    ${table('usage_1d')}
    create table reference_1d (
      bucket timestamptz not null,
      tenant_id text not null, reference text not null, customer_id text not null, event_type text not null,
      events bigint not null,
      value_sum numeric not null,
      tokens bigint not null,
      first_ts timestamptz not null,
      last_ts timestamptz not null,
      primary key (tenant_id, reference, bucket, customer_id, event_type)
    ) with (fillfactor = 70);

    create function roll_up_events() returns trigger language plpgsql as $$
    begin
      with batch_30s as materialized (
        select date_bin('30 seconds', ts, 'epoch'::timestamptz) as bucket, ${dimensions},
          ${selectMeasures('fromEvents')}
        from new_event group by 1, ${dimensions}
      ), batch_1h as materialized (
        select date_bin('1 hour', bucket, 'epoch'::timestamptz) as bucket, ${dimensions},
          ${selectMeasures('fromRollup')}
        from batch_30s group by 1, ${dimensions}
      ), batch_1d as materialized (
        select date_bin('1 day', bucket, 'epoch'::timestamptz) as bucket, ${dimensions},
          ${selectMeasures('fromRollup')}
        from batch_1h group by 1, ${dimensions}
      ), into_30s as (${upsert('usage_30s', 'batch_30s')}
      ), into_1h as (${upsert('usage_1h', 'batch_1h')}
      ), into_1d as (${upsert('usage_1d', 'batch_1d')}
      )
      insert into reference_1d as r (bucket, tenant_id, reference, customer_id, event_type,
                                     events, value_sum, tokens, first_ts, last_ts)
      select date_bin('1 day', ts, 'epoch'::timestamptz), tenant_id, reference, customer_id, event_type,
        count(*), coalesce(sum(value), 0), coalesce(sum(tokens), 0)::bigint, min(ts), max(ts)
      from new_event where reference is not null
      group by 1, tenant_id, reference, customer_id, event_type
      order by tenant_id, reference, 1, customer_id, event_type
      on conflict (tenant_id, reference, bucket, customer_id, event_type) do update set
        events = r.events + excluded.events,
        value_sum = r.value_sum + excluded.value_sum,
        tokens = r.tokens + excluded.tokens,
        first_ts = least(r.first_ts, excluded.first_ts),
        last_ts = greatest(r.last_ts, excluded.last_ts);
      return null;
    end $$;
    create trigger event_rollup after insert on event
      referencing new table as new_event
      for each statement execute function roll_up_events();
  `;
}
