import type pg from 'pg';

/**
 * Bytes of a hypertable or a continuous aggregate with all of its chunks, rows and columns, indexes and TOAST; of a plain
 * table likewise.
 */
export async function relationBytes(client: pg.Client, relation: string, hyper: boolean): Promise<number> {
  const { rows } = await client.query<{ bytes: string }>(
    hyper
      ? `select coalesce(sum(d.total_bytes), 0) as bytes
         from (select coalesce(
                 (select format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)
                  from timescaledb_information.continuous_aggregates where view_name = $1), $1) as name) as h,
           chunks_detailed_size(h.name::regclass) as d`
      : // Where hours and days are views, the tables beneath them
        `select pg_total_relation_size(coalesce(to_regclass($1 || '_folded'), $1::regclass)) as bytes`,
    [relation],
  );
  return Number(rows[0]!.bytes);
}
