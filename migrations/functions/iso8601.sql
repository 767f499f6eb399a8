-- revision 1, e14442fdc3ef
/* A moment as ISO 8601 in UTC, to the millisecond, as the API writes it. */
create or replace function iso8601(at timestamptz) returns text
language sql stable as $$
  select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

grant execute on function iso8601(timestamptz) to public;
