-- revision 4, d86b5adc6134
/* What mark_late_windows comes to: revise_windows, which says how, with windows as JSON. */
create or replace function record_late_windows(windows jsonb) returns void
language plpgsql as $$
begin
  perform revise_windows(
    array_agg(w.tenant_id), array_agg(w.customer_id), array_agg((extract(epoch from w.bucket) / 30)::bigint),
    array_agg(w."references"))
  from jsonb_to_recordset(windows)
    as w (bucket timestamptz, tenant_id text, customer_id text, "references" boolean);
end $$;

revoke execute on function record_late_windows(jsonb) from public;
