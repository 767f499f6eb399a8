-- revision 1, 9c743471f24e
/* Like iso8601, and to the microsecond where there is one. */
create or replace function iso8601_micros(at timestamptz) returns text
language sql stable as $$
  select case when extract(microseconds from at)::bigint % 1000 = 0 then iso8601(at)
              else to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') end
$$;

grant execute on function iso8601_micros(timestamptz) to public;
