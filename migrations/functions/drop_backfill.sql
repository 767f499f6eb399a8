-- revision 1, f108d0d8a755
/*
 * Drops a staged backfill, with its events; none where it is not staged. Who stages some holds its row, and they are looked for once
 * it is free: they, too, go.
 */
create or replace function drop_backfill(whose text, which uuid) returns setof backfill
language plpgsql as $$
declare
  dropped backfill;
begin
  update backfill b set state = 'dropped', dropped_at = now(), updated_at = now()
    where b.id = which and b.tenant_id = whose and b.state = 'staged'
    returning b.* into dropped;
  if not found then return; end if;
  delete from staged_event s where s.backfill_id = which;
  return next dropped;
end $$;

revoke execute on function drop_backfill(text, uuid) from public;
