-- revision 2, d36ed88597cb
/*
 * Retires the series of a tenant that no meter reads any more, as this transaction leaves them. Batches under way may
 * still feed them, which is no harm: what they add is thrown away or kept, and read by nobody. Returns how many.
 */
create or replace function retire_unused_series(tenant text) returns integer
language plpgsql set lock_timeout = '500ms' as $$
declare
  retired integer;
begin
  perform pg_advisory_xact_lock(hashtext('tidemark.meters.' || tenant));
  update meter_series s set retired_at = now()
    where s.tenant_id = tenant and s.retired_at is null and s.event_type <> '' -- that of all AI usage is read by costs
      and not exists (select from meter m where m.series_id = s.id and m.archived_at is null);
  get diagnostics retired = row_count;
  if retired > 0 then update window_state set interest_version = interest_version + 1; end if;
  return retired;
end $$;

revoke execute on function retire_unused_series(text) from public;
