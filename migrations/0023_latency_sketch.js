import { chooseEngine } from './support/engine.js';
import { asOwner } from './support/owner.js';
import { USAGE_DIMENSIONS, USAGE_MEASURES } from './support/rollups.js';

/** The first TimescaleDB that adds a column to a continuous aggregate that has rows. */
const LEAST_TIMESCALE = [2, 28];

const USAGE = ['usage_30s', 'usage_1h', 'usage_1d'];
const dimensions = USAGE_DIMENSIONS.join(', ');

/** The two new measures: type, how they come from events, how they add up, and how an upsert merges them. */
const ADDED = [
  {
    column: 'latency_min',
    type: 'double precision',
    fromEvents: 'min(latency_ms)',
    fromRollup: 'min(latency_min)',
    merge: 'latency_min = least(r.latency_min, excluded.latency_min)',
  },
  {
    column: 'latency_sketch',
    type: 'numeric',
    fromEvents: 'sum(tenant_data.latency_slot(latency_ms))',
    fromRollup: 'sum(latency_sketch)',
    merge:
      'latency_sketch = coalesce(r.latency_sketch + excluded.latency_sketch, r.latency_sketch, excluded.latency_sketch)',
  },
];

/**
 * Latencies are also counted in classes that are 3.5 % wide: latency_sketch. What was rolled up before has none and
 * keeps its histogram; a row to which both have gone has a sketch that counts fewer than latency_count.
 *
 * And those who read find values with the sign of their type.
 */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);
  const { rows } = await pgm.db.query('select quote_ident(current_schema()) as schema');
  const { schema } = rows[0];
  if (engine === 'timescale') await requireTimescale(pgm.db);
  asOwner(pgm);

  pgm.sql(`
    /*
     * A latency as a summand of latency_sketch: 10^(12 n), where n is the number of its class. So twelve decimal digits
     * of a sum are how many latencies were in a class, and sums of sums are sketches too. Twenty classes to an octave,
     * from 2^-60 ms on: the middle of one is at most 1.8 % off. Class 0 is that of 256 ms, for the digits of a numeric
     * are kept from its point outwards; -161 that of 0 ms, between those of a millisecond and above and those below.
     */
    create function tenant_data.latency_slot(ms double precision) returns numeric
    language sql immutable parallel safe as $$
      select ('1e' || (12 * case when ms >= 1 then floor(ln(ms) * 28.853900817779268)::integer - 160
                                 when ms > 0 then floor(greatest(ln(ms) * 28.853900817779268, -1200))::integer - 161
                                 when ms = 0 then -161 end)::text)::numeric
    $$;

    /*
     * The latency in ms that at least so many percent of those in a sketch are at or below, to within 1.8 %; null for
     * none. For people and their queries: the service reads sketches itself.
     */
    create function tenant_data.latency_percentile(sketch numeric, percent double precision) returns double precision
    language sql immutable parallel safe as $$
      with fraction as (
        select ceil(scale(trim_scale(sketch)) / 12.0)::integer as classes
      ), whole as (
        select classes, trunc(sketch * ('1e' || (12 * classes)::text)::numeric)::text as digits from fraction
      ), padded as (
        select classes, lpad(digits, (12 * ceil(length(digits) / 12.0))::integer, '0') as digits from whole
      ), class as (
        select length(digits) / 12 - i - classes as number, substr(digits, 12 * i - 11, 12)::bigint as count
        from padded, generate_series(1, length(digits) / 12) as i
      ), counted as (
        select ms, sum(count) over (order by ms) as up_to, sum(count) over () as total
        from class, lateral (
          select case when number = -161 then 0
                      else 2 ^ ((number + case when number > -161 then 161 else 162 end) / 20.0::double precision)
                           * 2 / (1 + 2 ^ 0.05::double precision) end as ms
        ) as middle
        where count > 0
      )
      select min(ms) from counted where up_to >= ceil(percent * total / 100)
    $$;
  `);
  pgm.sql(engine === 'timescale' ? timescale() : postgres(schema));
  asOwner(pgm);
  pgm.sql(views(schema));
};

export const down = false;

/** @throws when its version cannot add a column to a continuous aggregate. */
async function requireTimescale(db) {
  const { rows } = await db.query(`select extversion from pg_extension where extname = 'timescaledb'`);
  const [major, minor] = rows[0].extversion.split('.').map(Number);
  if (major > LEAST_TIMESCALE[0] || (major === LEAST_TIMESCALE[0] && minor >= LEAST_TIMESCALE[1])) return;
  throw new Error(
    `TimescaleDB ${rows[0].extversion} cannot add a column to a continuous aggregate; nothing has been changed. ` +
      `Install TimescaleDB ${LEAST_TIMESCALE.join('.')} or newer and run: alter extension timescaledb update`,
  );
}

/** As the login, who owns the aggregates where it is no superuser. What is in them stays as it is. */
function timescale() {
  const add = (name, source) => `
    alter materialized view ${name}
      ${ADDED.map((m) => `add column ${m.column} ${m.type} generated always as (${m[source]}) stored`).join(',\n      ')};`;
  return `
    set local role none;
    ${add('usage_30s', 'fromEvents')}
    ${add('usage_1h', 'fromRollup')}
    ${add('usage_1d', 'fromRollup')}
  `;
}

function postgres(schema) {
  const measures = [...USAGE_MEASURES, ...ADDED];
  const columns = measures.map((m) => m.column).join(', ');
  const select = (source) => measures.map((m) => `${m[source]} as ${m.column}`).join(',\n          ');
  const upsert = (name, from) => `
        insert into ${name} as r (bucket, ${dimensions}, ${columns})
        select bucket, ${dimensions}, ${columns} from ${from}
        order by tenant_id, customer_id, bucket, event_type, endpoint, model
        on conflict (tenant_id, customer_id, bucket, key_digest(event_type, endpoint, model)) do update set
          ${measures.map((m) => m.merge).join(',\n          ')}`;
  return `
    ${USAGE.map((name) => `alter table ${name} ${ADDED.map((m) => `add column ${m.column} ${m.type}`).join(', ')};`).join('\n    ')}

    /* As before, with the new measures. */
    create or replace function roll_up_events() returns trigger language plpgsql
    security definer set search_path = ${schema}, pg_temp as $$
    begin
      with batch_30s as materialized (
        select date_bin('30 seconds', ts, 'epoch'::timestamptz) as bucket, ${dimensions},
          ${select('fromEvents')}
        from new_event group by 1, ${dimensions}
      ), batch_1h as materialized (
        select date_bin('1 hour', bucket, 'epoch'::timestamptz) as bucket, ${dimensions},
          ${select('fromRollup')}
        from batch_30s group by 1, ${dimensions}
      ), batch_1d as materialized (
        select date_bin('1 day', bucket, 'epoch'::timestamptz) as bucket, ${dimensions},
          ${select('fromRollup')}
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
      on conflict (tenant_id, reference, bucket, key_digest(customer_id, event_type)) do update set
        events = r.events + excluded.events,
        value_sum = r.value_sum + excluded.value_sum,
        tokens = r.tokens + excluded.tokens,
        first_ts = least(r.first_ts, excluded.first_ts),
        last_ts = greatest(r.last_ts, excluded.last_ts);
      return null;
    end $$;
  `;
}

/**
 * What those who read find besides: the new measures, and signed_value, in which events of type negative count below
 * zero. value_sum stays the sum of values as they were sent, since the version before reads it.
 */
function views(schema) {
  const signed = `case event_type when 'negative' then -value_sum else value_sum end as signed_value`;
  const view = (name, columns) => `
    create or replace view tenant_data.${name} with (security_barrier) as
      select ${[...columns, signed].join(', ')}
      from ${schema}.${name} where tenant_id = tenant_data.current_tenant();`;
  const usage = ['bucket', ...USAGE_DIMENSIONS, ...[...USAGE_MEASURES, ...ADDED].map((m) => m.column)];
  const reference = ['bucket', 'tenant_id', 'reference', 'customer_id', 'event_type'];
  const sums = ['events', 'value_sum', 'tokens', 'first_ts', 'last_ts'];
  return [...USAGE.map((name) => view(name, usage)), view('reference_1d', [...reference, ...sums])].join('');
}
