-- revision 1, 2fce07fb335c
/*
 * Who has committed and has changed, deleted or locked a row, given by its xmin and xmax as the snapshot at hand shows
 * it, since that snapshot; null: nobody. An older transaction that has left its id there can only have locked it, and
 * one that locks a row and then changes it leaves its id in both.
 */
create or replace function tenant_data.replaced_by(row_xmin xid, row_xmax xid) returns xid8
language plpgsql stable as $$
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
