-- revision 1, ab0309319352
/*
 * Goes a step through a table that has no index by time, and deletes what is older than it is kept: an index would
 * cost every event of every batch, a pass costs a reading of the table now and then. Whoever comes next goes on
 * where the last one ended, whichever instance it is. Returns the rows deleted, and whether there is more to do.
 */
create or replace function prune_pages(
  walked text, pages integer, pause interval, out removed bigint, out more boolean
)
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

-- A plan that is kept goes on without the rows that a chunk of the columnstore gets beside its columns.
do $$ begin
  if (select engine from installation) = 'timescale' then
    alter function prune_pages(text, integer, interval) set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function prune_pages(text, integer, interval) from public;
