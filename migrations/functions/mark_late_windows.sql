-- revision 2, 451ac7a56cbc
/* revise_windows for the version before, which gives the windows as JSON, and not what was added to them. */
create or replace function mark_late_windows(windows jsonb) returns void
language plpgsql security definer set search_path from current as $$
begin
  perform revise_windows(
    array_agg(w.tenant_id), array_agg(w.customer_id), array_agg((extract(epoch from w.bucket) / 30)::bigint),
    array_agg(w."references"), null, null, null, null, null)
  from jsonb_to_recordset(windows)
    as w (bucket timestamptz, tenant_id text, customer_id text, "references" boolean);
end $$;

revoke execute on function mark_late_windows(jsonb) from public;
grant execute on function mark_late_windows(jsonb) to tidemark_ingest;
