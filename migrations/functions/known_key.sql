-- revision 1, 48343757bd0e
/* Whether a key has been claimed, asked of the index of its slot. */
create or replace function known_key(wanted uuid) returns boolean language plpgsql stable as $$
begin
  case identity_slot(wanted)
    when 0 then return exists (select from event_key where key_0 = wanted);
    when 1 then return exists (select from event_key where key_1 = wanted);
    when 2 then return exists (select from event_key where key_2 = wanted);
    when 3 then return exists (select from event_key where key_3 = wanted);
    when 4 then return exists (select from event_key where key_4 = wanted);
    when 5 then return exists (select from event_key where key_5 = wanted);
    when 6 then return exists (select from event_key where key_6 = wanted);
  end case;
end $$;

revoke execute on function known_key(uuid) from public;
