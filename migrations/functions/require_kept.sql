-- revision 2, 9f9c682bd0f7
/*
 * Returns nothing, or raises TM005 where a relation is to be read from a moment that it does not reach back to.
 * A set, to stand among the parts of what is read: a condition on a relation that has nothing left is not asked.
 */
create or replace function tenant_data.require_kept(wanted text, since timestamptz) returns setof boolean
language plpgsql stable parallel safe security definer rows 1 set search_path from current as $$
declare
  oldest timestamptz;
begin
  select kept_from into oldest from retention where relation = wanted;
  if since < oldest then
    raise exception '% before % are no longer kept',
      case wanted when 'event' then 'single events, which parts of 30 seconds are counted from,'
                  when 'usage_30s' then '30-second summaries' when 'meter_30s' then '30-second summaries'
                  when 'usage_1h' then 'hourly summaries' when 'meter_1h' then 'hourly summaries'
                  else 'daily summaries' end,
      iso8601(oldest) using errcode = 'TM005';
  end if;
end $$;

revoke execute on function tenant_data.require_kept(text, timestamptz) from public;
grant execute on function tenant_data.require_kept(text, timestamptz) to tidemark_read;
