import { chooseEngine } from './support/engine.js';
import { asOwner } from './support/owner.js';

/** How long what is kept, how far back it reaches, and what keeps everybody else from reaching further. */
export const up = async (pgm) => {
  const engine = await chooseEngine(pgm.db);
  const timescale = engine === 'timescale';
  const { rows } = await pgm.db.query('select quote_ident(current_schema()) as schema');
  const { schema } = rows[0];
  asOwner(pgm);

  pgm.sql(`
    -- What the service was last started with, and how far it has come.
    create table retention (
      relation       text primary key,
      keep           interval,       -- null: for ever
      compress_after interval,       -- into the columnstore; null: never
      kept_from      timestamptz not null default '-infinity', -- what is older is not read or written any more,
      moved_at       timestamptz not null default now(),       -- since then,
      removed_to     timestamptz not null default '-infinity', -- and gone up to here
      next_page      bigint,         -- of a pass through a table that has no index by time; null: between two
      passed_at      timestamptz,    -- when the last one ended
      updated_at     timestamptz not null default now()
    );
    insert into retention (relation)
      values ('event'), ('usage_30s'), ('usage_1h'), ('usage_1d'), ('reference_1d'), ('event_identity'),
             ('idempotent_increment');
    update retention set keep = interval '35 days' where relation in ('event_identity', 'idempotent_increment');

    /*
     * Notes how long what is to be kept: what is said last holds. One at a time, and not while advance_retention is at
     * it. wanted: [{relation, keep, compress_after}] in days. Returns what has changed.
     */
    create function settle_retention(wanted jsonb) returns setof retention language plpgsql as $$
    begin
      perform pg_advisory_xact_lock(hashtext('tidemark.retention'));
      return query
        update retention r
          set keep = make_interval(days => w.keep), compress_after = make_interval(days => w.compress_after),
              updated_at = now()
          from jsonb_to_recordset(wanted) as w (relation text, keep integer, compress_after integer)
          where r.relation = w.relation
            and (r.keep, r.compress_after)
              is distinct from (make_interval(days => w.keep), make_interval(days => w.compress_after))
        returning r.*;
    end $$;

    /* Whether nothing older than a moment is still to be brought in anywhere, or to be told of. */
    create function settled_before(at timestamptz) returns boolean language sql as $$
      select c.covered_until >= at and a.announced_until >= at
        ${timescale ? 'and s.refreshed_30s >= at and s.refreshed_1h >= at and s.refreshed_1d >= at' : ''}
        and not exists (select from late_window where stale and bucket < at)
        and not exists (select from late_window where stale_references and bucket < at)
        and not exists (select from late_window where activity_revision < revision and bucket < at)
      from window_state s, window_coverage c, window_announcement a
    $$;

    /*
     * Moves kept_from on, in whole days of UTC. Nothing is removed here: whoever read kept_from before has long ended
     * when that begins. One instance at a time. Returns the relations that have moved.
     *
     * (1) The summaries, none beyond what it is made of: so whatever a late event can still change can be made anew.
     * (2) The events: alone, so that no batch is under way that read the old value, and only once everything older is
     * in the summaries. From then on no batch stores an older one (mark_late_windows), so none becomes stale again.
     *
     * Raises 55P03 when a batch takes too long.
     */
    create function advance_retention() returns text[] language plpgsql as $$
    declare
      moved text[] := '{}';
      step record;
      reach timestamptz;
    begin
      if not pg_try_advisory_xact_lock(hashtext('tidemark.retention')) then return moved; end if;
      for step in
        select * from (values ('usage_1d', 'usage_1h'), ('usage_1h', 'usage_30s'), ('usage_30s', 'event'),
                              ('reference_1d', 'event')) as steps (relation, made_of)
      loop
        update retention r
          set kept_from = least(date_bin('1 day', now() - r.keep, 'epoch'::timestamptz), source.kept_from),
              moved_at = now(), updated_at = now()
          from retention source
          where r.relation = step.relation and source.relation = step.made_of
            and least(date_bin('1 day', now() - r.keep, 'epoch'::timestamptz), source.kept_from) > r.kept_from
            and r.keep is not null;
        if found then moved := moved || step.relation; end if;
      end loop;

      select date_bin('1 day', now() - keep, 'epoch'::timestamptz) into reach
        from retention where relation = 'event' and date_bin('1 day', now() - keep, 'epoch'::timestamptz) > kept_from;
      if not found or not settled_before(reach) then return moved; end if;
      perform wait_for_batches();
      update retention set kept_from = reach, moved_at = now(), updated_at = now()
        where relation = 'event' and settled_before(reach);
      if found then moved := moved || text 'event'; end if;
      return moved;
    end $$;

    /* As before, but what is no longer kept is not added to either. Its lock keeps kept_from where it is. */
    alter function mark_late_windows(jsonb) rename to record_late_windows;
    alter function record_late_windows(jsonb) security invoker;
    revoke execute on function record_late_windows(jsonb) from tidemark_ingest;
    create function mark_late_windows(windows jsonb) returns void language plpgsql
    security definer set search_path = ${schema}, pg_temp as $$
    declare
      oldest timestamptz;
    begin
      select kept_from into oldest from retention where relation = 'event';
      if oldest > '-infinity' and exists (
        select from jsonb_to_recordset(windows) as w (bucket timestamptz) where w.bucket < oldest
      ) then
        raise exception 'events before % are no longer kept', iso8601(oldest) using errcode = 'datetime_field_overflow';
      end if;
      perform record_late_windows(windows);
    end $$;
    revoke execute on function mark_late_windows(jsonb) from public;
    grant execute on function mark_late_windows(jsonb) to tidemark_ingest;

    /*
     * Returns nothing, or raises TM005 where a relation is to be read from a moment that it does not reach back to.
     * A set, to stand among the parts of what is read: a condition on a relation that has nothing left is not asked.
     */
    create function tenant_data.require_kept(wanted text, since timestamptz) returns setof boolean
    language plpgsql stable parallel safe rows 1 security definer set search_path = ${schema}, pg_temp as $$
    declare
      oldest timestamptz;
    begin
      select kept_from into oldest from retention where relation = wanted;
      if since < oldest then
        raise exception '% before % are no longer kept',
          case wanted when 'event' then 'single events, which parts of 30 seconds are counted from,'
                      when 'usage_30s' then '30-second summaries' when 'usage_1h' then 'hourly summaries'
                      else 'daily summaries' end,
          iso8601(oldest) using errcode = 'TM005';
      end if;
    end $$;
    revoke execute on function tenant_data.require_kept(text, timestamptz) from public;
    grant execute on function tenant_data.require_kept(text, timestamptz) to tidemark_read;
    create view tenant_data.retention with (security_barrier) as select relation, kept_from from retention;
    grant select on tenant_data.retention to tidemark_read;

    /*
     * Goes a step through a table that has no index by time, and deletes what is older than it is kept: an index would
     * cost every event of every batch, a pass costs a reading of the table now and then. Whoever comes next goes on
     * where the last one ended, whichever instance it is. Returns the rows deleted, and whether there is more to do.
     */
    create function prune_pages(walked text, pages integer, pause interval, out removed bigint, out more boolean)
    language plpgsql as $$
    declare
      state retention;
      at text := case walked when 'reference_1d' then 'bucket' else 'received_at' end;
      beyond bigint;
    begin
      removed := 0;
      more := false;
      if not pg_try_advisory_xact_lock(hashtext('tidemark.retention.' || walked)) then return; end if;
      select * into state from retention where relation = walked;
      if state.next_page is null then
        if state.keep is null or state.passed_at > now() - pause then return; end if;
        state.next_page := 0;
        if walked <> 'reference_1d' then state.kept_from := now() - state.keep; end if;
      end if;
      beyond := state.next_page + pages;
      execute format('delete from %I where ctid >= %L::tid and ctid < %L::tid and %I < %L',
                     walked, format('(%s,0)', state.next_page), format('(%s,0)', beyond), at, state.kept_from);
      get diagnostics removed = row_count;
      more := beyond * current_setting('block_size')::bigint < pg_relation_size(walked::regclass);
      update retention set next_page = case when more then beyond end, kept_from = state.kept_from,
          removed_to = case when more then removed_to else state.kept_from end,
          passed_at = case when more then passed_at else now() end, updated_at = now()
        where relation = walked;
    end $$;

    revoke execute on function settle_retention(jsonb), settled_before(timestamptz), advance_retention(),
      prune_pages(text, integer, interval, out bigint, out boolean) from public;
  `);
};

export const down = false;
