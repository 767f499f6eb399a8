-- revision 1, 38c246659e69
/* Nothing is stored of a later time than this, nor has such a time begun. */
create or replace function latest_time() returns timestamptz
language sql as $$
  select greatest(clock_timestamp(), (select max(ts) from event where ts > now()))
$$;

revoke execute on function latest_time() from public;
