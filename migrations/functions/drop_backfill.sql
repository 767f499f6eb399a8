-- revision 1, d84af29c5298
/*
 * Drops a staged backfill, with its events: how many were posted to it, or null where it is not staged. Who stages some holds
 * its row, and they are looked for once it is free: they, too, go.
 */
create or replace function drop_backfill(whose text, which uuid) returns integer
language plpgsql as $$
declare
  posted integer;
begin
  update backfill b set state = 'dropped', dropped_at = now(), updated_at = now()
    where b.id = which and b.tenant_id = whose and b.state = 'staged'
    returning b.events into posted;
  delete from staged_event s where s.backfill_id = which and posted is not null;
  return posted;
end $$;

revoke execute on function drop_backfill(text, uuid) from public;
