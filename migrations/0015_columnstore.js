import { chooseEngine } from './support/engine.js';
import { asOwner } from './support/owner.js';

/** The columnstore for what is old, and what keeps refreshes away from what is gone. Nothing on the postgres engine. */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);
  if (engine !== 'timescale') return;
  const { rows } = await pgm.db.query('select quote_literal(current_schema()) as schema');
  const { schema } = rows[0];

  // As the login, who owns the aggregates where it is no superuser.
  pgm.sql(`
    set local role none;
    alter materialized view usage_30s set
      (timescaledb.enable_columnstore, timescaledb.segmentby = 'tenant_id', timescaledb.orderby = 'bucket, customer_id');
    alter materialized view usage_1h set
      (timescaledb.enable_columnstore, timescaledb.segmentby = 'tenant_id', timescaledb.orderby = 'bucket, customer_id');
  `);
  asOwner(pgm);
  pgm.sql(`
    alter table event set
      (timescaledb.enable_columnstore, timescaledb.segmentby = 'tenant_id', timescaledb.orderby = 'ts');

    /* The chunks of the relations that retention speaks of. state: 0 rows, 1 columns, 2 columns and rows beside them. */
    create view retention_chunk as
      select r.relation, format('%I.%I', c.chunk_schema, c.chunk_name) as chunk, c.range_start, c.range_end,
        case when not c.is_compressed then 0
             when _timescaledb_functions.chunk_status(format('%I.%I', c.chunk_schema, c.chunk_name)::regclass) = 1 then 1
             else 2 end as state
      from retention r
      left join timescaledb_information.continuous_aggregates a
        on a.view_schema = ${schema} and a.view_name = r.relation
      join timescaledb_information.chunks c
        on c.hypertable_schema = coalesce(a.materialization_hypertable_schema, ${schema})
        and c.hypertable_name = coalesce(a.materialization_hypertable_name, r.relation);

    /*
     * Drops the oldest chunks of a relation that lie wholly before its kept_from, at most 'most' of them. Waits no longer
     * than two seconds for those who read them, since others queue behind it; autovacuum gives way after one. Returns how many it has dropped.
     */
    create function drop_old_chunks(pruned text, most integer) returns integer
    language plpgsql set lock_timeout = '2s' as $$
    declare
      until timestamptz;
    begin
      select max(range_end) into until from (
        select c.range_end from retention_chunk c join retention r using (relation)
        where c.relation = pruned and c.range_end <= r.kept_from order by c.range_end limit most) as old;
      if until is null then return 0; end if;
      return (select count(*) from drop_chunks(format('%I.%I', ${schema}, pruned)::regclass, older_than => until));
    end $$;

    /*
     * The moment itself, or an error where events from then on are no longer kept: a refresh from there would take what
     * is in the aggregate for gone. An argument of the refresh, so that nothing comes between the question and the
     * refresh. One of a bucket in the columnstore has to be able to unpack it, however many rows it has.
     */
    create function refreshed_from(since timestamptz) returns timestamptz language plpgsql as $$
    declare
      oldest timestamptz;
    begin
      select kept_from into oldest from retention where relation = 'event';
      if since < oldest then
        raise exception 'events before % are no longer kept, and what was made of them stays as it is', iso8601(oldest)
          using errcode = 'TM005';
      end if;
      perform set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', false);
      return since;
    end $$;
    revoke execute on function drop_old_chunks(text, integer), refreshed_from(timestamptz)
      from public;

    -- A plan that is kept goes on without the rows that a chunk of the columnstore gets beside its columns.
    do $$
    declare
      reader regprocedure;
    begin
      for reader in
        select p.oid from pg_proc p join pg_language l on l.oid = p.prolang
        where p.pronamespace = current_schema()::regnamespace and l.lanname = 'plpgsql'
          and p.prosrc ~ '\\m(event|usage_30s|usage_1h|usage_1d|reference_1d)\\M'
      loop
        execute format('alter function %s set plan_cache_mode = force_custom_plan', reader);
      end loop;
    end $$;
  `);
};

export const down = false;
