import { chooseEngine } from './support/engine.js';
import { asOwner } from './support/owner.js';

/**
 * What makes an answer of several statements, or one that is read from chunks, be of one moment (docs/adr/0025): it is
 * read in one snapshot, taken before anything is planned, and whoever reads asks at the end whether chunks have been
 * rearranged since. On the postgres engine nothing is rearranged, and a snapshot is enough.
 */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);
  const timescale = engine === 'timescale';
  asOwner(pgm);

  pgm.sql(`
    /*
     * Who has committed and has changed, deleted or locked a row, given by its xmin and xmax as the snapshot at hand shows
     * it, since that snapshot; null: nobody. An older transaction that has left its id there can only have locked it, and
     * one that locks a row and then changes it leaves its id in both.
     */
    create function tenant_data.replaced_by(row_xmin xid, row_xmax xid) returns xid8 language plpgsql stable as $$
    declare
      oldest bigint;
      ahead bigint;
      replacer xid8;
    begin
      if row_xmax = '0' or row_xmax = row_xmin then return null; end if;
      oldest := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
      ahead := (row_xmax::text::bigint - oldest % 4294967296 + 4294967296) % 4294967296;
      if ahead >= 2147483648 then return null; end if;
      replacer := (oldest + ahead)::text::xid8;
      return case when pg_xact_status(replacer) = 'committed' then replacer end;
    end $$;
    revoke execute on function tenant_data.replaced_by(xid, xid) from public;
    grant execute on function tenant_data.replaced_by(xid, xid) to tidemark_read;
    ${timescale ? TIMESCALE : POSTGRES}
    revoke execute on function tenant_data.chunks_moved() from public;
    grant execute on function tenant_data.chunks_moved() to tidemark_read;

    /*
     * Brings closed windows into the activity tables: those since covered_until, over at most 'step', and at most
     * 'most' of those that late events have changed. One instance at a time. Returns how many changed windows (of a
     * customer each) it has brought in, and whether there is more to do.
     *
     * In one snapshot, which is older than the lock: what another instance has done since then fails it with 40001,
     * at the latest where it says that it has done something. (1) Alone. (2) What to do. (3) One statement reads these
     * windows and adds to the tables by how much they have grown. A batch that it does not see found its window closed,
     * and raises a revision above the one seen here. (4) Just the changes that (3) saw are noted as brought in; of rows
     * that a batch holds or has changed just now, nothing is said until the next time.${
       timescale ? ' (5) TM006 where chunks moved.' : ''
     }
     */
    create or replace function cover_activity(step interval, most integer, out windows bigint, out more boolean)
    language plpgsql${timescale ? ' set plan_cache_mode = force_custom_plan' : ''} as $$
    declare
      oldest timestamptz;
      from_at timestamptz;
      to_at timestamptz;
      reach timestamptz;
      tenants text[];
      buckets timestamptz[];
      first_at timestamptz;
      last_at timestamptz;
      seen jsonb;
    begin
      windows := 0;
      more := false;
      if not pg_try_advisory_xact_lock(hashtext('tidemark.activity')) then return; end if;

      select c.covered_from, c.covered_until into oldest, from_at from window_coverage c;
      select ${timescale ? 'least(s.closed_until, s.refreshed_30s)' : 's.closed_until'} into reach from window_state s;
      to_at := greatest(from_at, least(reach, from_at + step));
      select array_agg(tenant_id), array_agg(bucket) into tenants, buckets
      from (select tenant_id, bucket from late_window
            where activity_revision < revision and bucket < from_at
            group by tenant_id, bucket order by tenant_id, bucket limit most) as changed;
      if to_at = from_at and tenants is null then return; end if;
      if tenants is not null then
        select greatest(min(b), oldest), max(b) + interval '30 seconds' into first_at, last_at from unnest(buckets) as b;
      end if;

      execute format($statement$
        with changed as materialized (
          select tenant_id, bucket from unnest($1, $2) as c (tenant_id, bucket)
        ), late as materialized (
          select l.tenant_id, l.bucket, l.customer_id, l.stale, l.revision, l.activity_revision < l.revision as lacking
          from changed c join late_window l using (tenant_id, bucket)
          union all
          select l.tenant_id, l.bucket, l.customer_id, l.stale, l.revision, true
          from tenant t join late_window l on l.tenant_id = t.id
          where l.bucket >= %1$L and l.bucket < %2$L
        ), usage as materialized (
          select tenant_id, bucket, customer_id, event_type, sum(calls)::bigint as calls
          from (
            ${
              timescale
                ? `select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls
            from usage_30s u where u.bucket >= %1$L and u.bucket < %2$L`
                : `select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls
            from tenant t join usage_30s u on u.tenant_id = t.id
            where u.bucket >= %1$L and u.bucket < %2$L`
            }
            union all
            select u.tenant_id, u.bucket, u.customer_id, u.event_type, u.calls
            from changed c join usage_30s u using (tenant_id, bucket)
            where u.bucket >= %3$L and u.bucket < %4$L
          ) as rolled_up
          where not exists (select from late l
                            where l.stale and (l.tenant_id, l.bucket, l.customer_id)
                                            = (rolled_up.tenant_id, rolled_up.bucket, rolled_up.customer_id))
          group by tenant_id, bucket, customer_id, event_type
          union all
          select l.tenant_id, l.bucket, l.customer_id, e.event_type, count(*)
          from late l
            join event e on e.tenant_id = l.tenant_id and e.customer_id = l.customer_id
              and e.ts >= l.bucket and e.ts < l.bucket + interval '30 seconds'
              and e.ts >= %5$L and e.ts < %6$L -- so that other chunks are not looked at
          where l.stale and l.bucket >= %5$L
          group by l.tenant_id, l.bucket, l.customer_id, e.event_type
        ), customers_1h as (
          insert into activity_customer (tenant_id, level, bucket, customer_id)
          select distinct u.tenant_id, '1h', date_bin('1 hour', u.bucket, 'epoch'::timestamptz), u.customer_id
          from usage u left join late l using (tenant_id, bucket, customer_id)
          where u.bucket >= %1$L or l.lacking
          on conflict do nothing
          returning tenant_id, bucket, customer_id
        ), customers_1d as (
          insert into activity_customer (tenant_id, level, bucket, customer_id)
          select distinct tenant_id, '1d', date_bin('1 day', bucket, 'epoch'::timestamptz), customer_id
          from customers_1h
          on conflict do nothing
          returning tenant_id, bucket
        ), users as (
          insert into activity_users as a (tenant_id, level, bucket, users)
          select tenant_id, '1h', bucket, count(*) from customers_1h group by tenant_id, bucket
          union all
          select tenant_id, '1d', bucket, count(*) from customers_1d group by tenant_id, bucket
          on conflict (tenant_id, level, bucket) do update set users = a.users + excluded.users
        ), grown as materialized (
          select u.tenant_id, u.bucket, u.event_type, u.calls - coalesce(a.calls, 0) as calls
          from (select tenant_id, bucket, event_type, sum(calls)::bigint as calls
                from usage group by tenant_id, bucket, event_type) as u
            left join activity_calls a
              on a.level = '30s' and (a.tenant_id, a.bucket, a.event_type) = (u.tenant_id, u.bucket, u.event_type)
        ), calls as (
          insert into activity_calls as a (tenant_id, level, bucket, event_type, calls)
          select tenant_id, '30s', bucket, event_type, calls from grown
          union all
          select tenant_id, '1h', date_bin('1 hour', bucket, 'epoch'::timestamptz), event_type, sum(calls)::bigint
          from grown group by 1, 3, 4
          union all
          select tenant_id, '1d', date_bin('1 day', bucket, 'epoch'::timestamptz), event_type, sum(calls)::bigint
          from grown group by 1, 3, 4
          on conflict (tenant_id, level, bucket, event_type) do update set calls = a.calls + excluded.calls
        )
        select jsonb_agg(jsonb_build_object('tenant_id', tenant_id, 'bucket', bucket, 'customer_id', customer_id,
                                            'revision', revision))
        from late where lacking
        $statement$, from_at, to_at, first_at, last_at, least(from_at, first_at), greatest(to_at, last_at))
      into seen using coalesce(tenants, '{}'), coalesce(buckets, '{}');

      update late_window l set activity_revision = l.revision
      from (
        select l.tenant_id, l.bucket, l.customer_id
        from jsonb_to_recordset(seen)
          as s (tenant_id text, bucket timestamptz, customer_id text, revision integer)
          join late_window l using (tenant_id, bucket, customer_id)
        where l.revision = s.revision and tenant_data.replaced_by(l.xmin, l.xmax) is null
        for update of l skip locked
      ) as free
      where (l.tenant_id, l.bucket, l.customer_id) = (free.tenant_id, free.bucket, free.customer_id);
      get diagnostics windows = row_count;

      update window_coverage set covered_until = greatest(covered_until, to_at), updated_at = now();
      ${timescale ? 'perform require_unmoved_chunks();' : ''}
      more := to_at < reach or cardinality(tenants) = most;
    end $$;
  `);
};

export const down = false;

const POSTGRES = `
    /* There are no chunks. */
    create function tenant_data.chunks_moved() returns boolean language sql immutable as 'select false';`;

const TIMESCALE = `
    /*
     * A chunk's state now, whatever the snapshot at hand shows; null: it is gone. Its row as jsonb, since updates of
     * TimescaleDB change that table: from 2.29 on it has relid in place of the name.
     */
    create function tenant_data.chunk_state_now(chunk jsonb) returns integer language plpgsql as $$
    declare
      name text := coalesce(chunk ->> 'relid', format('%I.%I', chunk ->> 'schema_name', chunk ->> 'table_name'));
      relation regclass := to_regclass(name);
    begin
      if pg_relation_filenode(relation) is null then return null; end if;
      return _timescaledb_functions.chunk_status(relation);
    end $$;

    /*
     * Whether chunks have been packed, unpacked, rewritten or dropped since the snapshot at hand: what has been planned
     * since then may have left out rows that the snapshot shows. Each of these changes the row of the chunk or of its
     * settings. New chunks are no harm: the snapshot shows nothing of them.
     *
     * A snapshot does not list subtransactions. Whether one that is not among those at work had ended, nobody can say:
     * then the state decides.
     */
    create function tenant_data.chunks_moved() returns boolean language plpgsql stable as $$
    begin
      if not exists (select from _timescaledb_catalog.chunk where xmax <> '0' and xmax <> xmin)
         and not exists (select from _timescaledb_catalog.compression_settings where xmax <> '0' and xmax <> xmin)
      then return false; end if;
      return exists (
        select from _timescaledb_catalog.compression_settings where tenant_data.replaced_by(xmin, xmax) is not null
        union all
        select from (
          select to_jsonb(c) as chunk, c.status, tenant_data.replaced_by(c.xmin, c.xmax) as replacer from _timescaledb_catalog.chunk c
        ) as replaced
        where replacer is not null and (not pg_visible_in_snapshot(replacer, pg_current_snapshot())
                                  or tenant_data.chunk_state_now(chunk) is distinct from status));
    end $$;
    revoke execute on function tenant_data.chunk_state_now(jsonb) from public;
    grant execute on function tenant_data.chunk_state_now(jsonb) to tidemark_read;

    /* Raises TM006 where chunks have moved. */
    create function require_unmoved_chunks() returns void language plpgsql as $$
    begin
      if tenant_data.chunks_moved() then
        raise exception 'chunks have been rearranged since the snapshot' using errcode = 'TM006';
      end if;
    end $$;

    /* As before, of one moment where it is called in one snapshot: else TM006. */
    alter function announce_closed_windows(integer) rename to write_closed_windows;
    create function announce_closed_windows(most integer) returns boolean language plpgsql as $$
    declare
      more boolean := write_closed_windows(most);
    begin
      perform require_unmoved_chunks();
      return more;
    end $$;
    revoke execute on function require_unmoved_chunks(), announce_closed_windows(integer) from public;`;
