-- revision 2, 60eee1b054c2
/*
 * Moves kept_from on, in whole days of UTC. Nothing is removed here: whoever read kept_from before has long ended
 * when that begins. One instance at a time. Returns the relations that have moved.
 *
 * (1) The summaries, none beyond what it is made of: so whatever a late event can still change can be made anew.
 * (2) The events: alone, so that no batch is under way that read the old value, and only once everything older is
 * in the summaries, and in those of meters. From then on no batch stores an older one (mark_late_windows), so none
 * becomes stale again.
 *
 * Raises 55P03 when a batch takes too long.
 */
create or replace function advance_retention() returns text[]
language plpgsql as $$
declare
  moved text[] := '{}';
  step record;
  reach timestamptz;
begin
  if not pg_try_advisory_xact_lock(hashtext('tidemark.retention')) then return moved; end if;
  for step in
    select * from (values ('usage_1d', 'usage_1h'), ('usage_1h', 'usage_30s'), ('usage_30s', 'event'),
                          ('reference_1d', 'event'), ('meter_1d', 'meter_1h'), ('meter_1h', 'meter_30s'),
                          ('meter_30s', 'event')) as steps (relation, made_of)
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

-- A plan that is kept goes on without the rows that a chunk of the columnstore gets beside its columns.
do $$ begin
  if (select engine from installation) = 'timescale' then
    alter function advance_retention() set plan_cache_mode = force_custom_plan;
  end if;
end $$;

revoke execute on function advance_retention() from public;
