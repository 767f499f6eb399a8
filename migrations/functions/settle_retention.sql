-- revision 1, 7fc86f3e6dbd
/*
 * Notes how long what is to be kept: what is said last holds. One at a time, and not while advance_retention is at
 * it. wanted: [{relation, keep, compress_after}] in days. Returns what has changed.
 */
create or replace function settle_retention(wanted jsonb) returns setof retention
language plpgsql as $$
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

revoke execute on function settle_retention(jsonb) from public;
