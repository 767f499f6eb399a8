import { chooseEngine } from './support/engine.js';
import { asOwner } from './support/owner.js';

/**
 * Chunks that batches have written columns into say so: their segments overlap in time, and may be small, until they are
 * packed (docs/adr/0036). Nothing on the postgres engine.
 */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);
  if (engine !== 'timescale') return;
  const { rows } = await pgm.db.query('select quote_literal(current_schema()) as schema');
  const { schema } = rows[0];
  asOwner(pgm);
  pgm.sql(`
    /*
     * The chunks of the relations that retention speaks of. state: 0 rows, 1 columns, 2 columns and rows beside them, 3
     * columns out of order, as batches write them, with or without rows beside them.
     */
    create or replace view retention_chunk as
      select r.relation, format('%I.%I', c.chunk_schema, c.chunk_name) as chunk, c.range_start, c.range_end,
        case when not c.is_compressed then 0 when status = 1 then 1 when status & 2 <> 0 then 3 else 2 end as state
      from retention r
      left join timescaledb_information.continuous_aggregates a
        on a.view_schema = ${schema} and a.view_name = r.relation
      join timescaledb_information.chunks c
        on c.hypertable_schema = coalesce(a.materialization_hypertable_schema, ${schema})
        and c.hypertable_name = coalesce(a.materialization_hypertable_name, r.relation)
      left join lateral
        _timescaledb_functions.chunk_status(format('%I.%I', c.chunk_schema, c.chunk_name)::regclass) as status
        on c.is_compressed;
  `);
};

export const down = false;
