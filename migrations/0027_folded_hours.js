import { chooseEngine } from './support/engine.js';
import { asOwner } from './support/owner.js';
import { LATENCY_BOUNDS_MS, USAGE_DIMENSIONS } from './support/rollups.js';

const dimensions = USAGE_DIMENSIONS.join(', ');
const COUNTS = ['calls', 'tokens', 'input_tokens', 'output_tokens'];

/** The measures of a rollup in the order of its columns, and how each adds up. */
const MEASURES = [
  ...COUNTS.map((column) => [column, `sum(${column})::bigint`]),
  ['value_sum', 'sum(value_sum)'],
  ['latency_sum', 'sum(latency_sum)'],
  ['latency_count', 'sum(latency_count)::bigint'],
  ['latency_max', 'max(latency_max)'],
  ...LATENCY_BOUNDS_MS.map((bound) => [`latency_le_${bound}`, `sum(latency_le_${bound})::bigint`]),
  ['latency_min', 'min(latency_min)'],
  ['latency_sketch', 'sum(latency_sketch)'],
];
const measures = MEASURES.map(([column]) => column).join(', ');

/**
 * On the postgres engine hours and days are no longer written by each batch: what usage_1h and usage_1d were becomes
 * usage_1h_folded and usage_1d_folded, to which closed windows are added later, and they themselves views of those and of
 * the windows that are not folded yet (docs/adr/0038). The tables stay as they are, however large.
 */
export const up = async (pgm) => {
  if ((await chooseEngine(pgm.db)) !== 'postgres') return;
  const { rows } = await pgm.db.query('select quote_ident(current_schema()) as schema');
  const { schema } = rows[0];
  asOwner(pgm);
  pgm.sql(`
    -- Alone: batches under way write hours and days themselves, and those that come find the trigger of today.
    select pg_advisory_xact_lock(hashtext('tidemark.windows'));

    -- Up to where windows are folded: those that begin before folded_until, and of that which begins there the customers
    -- the first byte of whose SHA-256 is below folded_part. All there is by now is in the hours and days already.
    create table usage_fold (
      only_row     boolean primary key default true check (only_row),
      folded_until timestamptz not null,
      folded_part  integer not null default 0 check (folded_part between 0 and 255),
      updated_at   timestamptz not null default now()
    );
    insert into usage_fold (folded_until)
      select greatest(s.closed_until, date_bin('30 seconds', greatest(now(), e.last), 'epoch'::timestamptz)
                                      + case when e.last is null then interval '0' else interval '30 seconds' end)
      from window_state s, (select max(ts) as last from event) as e;

    ${folded(schema, 'usage_1h', '1 hour')}
    ${folded(schema, 'usage_1d', '1 day')}
  `);
};

export const down = false;

/** Each hour (or day) and key is one row, as it was: what is folded is added up with what is not, where there may be both. */
function folded(schema, name, length) {
  const since = `(select date_bin('${length}', folded_until, 'epoch'::timestamptz) from usage_fold)`;
  return `
    alter table ${name} rename to ${name}_folded;
    create view ${name} as
      select bucket, ${dimensions}, ${measures}
      -- "is true": paired with the other bound of a query, one that is not known when it is planned is taken for a
      -- two-hundredth of all there is, and any index for good enough
      from ${name}_folded where (bucket < ${since}) is true
      union all
      select bucket, ${dimensions}, ${MEASURES.map(([column, sum]) => `${sum} as ${column}`).join(', ')}
      from (
        select bucket, ${dimensions}, ${measures}
        from ${name}_folded where bucket >= ${since}
        union all
        select date_bin('${length}', bucket, 'epoch'::timestamptz), ${dimensions}, ${measures}
        from usage_30s
        where bucket >= (select folded_until from usage_fold)
          and (bucket > (select folded_until from usage_fold) or (select folded_part from usage_fold) = 0
               or get_byte(sha256(convert_to(customer_id, 'UTF8')), 0) >= (select folded_part from usage_fold))
      ) as parts
      group by bucket, ${dimensions};
    create or replace view tenant_data.${name} with (security_barrier) as
      select bucket, ${dimensions}, ${measures},
        case event_type when 'negative' then -value_sum else value_sum end as signed_value
      from ${schema}.${name} where tenant_id = tenant_data.current_tenant();
  `;
}
