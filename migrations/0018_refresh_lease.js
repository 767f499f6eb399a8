import { asOwner } from './support/owner.js';

/** Who brings the rollups up to late events: one process at a time, be it an instance or an import. */
export const up = (pgm) => {
  asOwner(pgm);
  pgm.sql(`
    -- A lease, since a lock of a transaction ends with each refresh, and behind a pooler there is none of a session. It
    -- spares work that would be done twice; nothing depends on its being held.
    create table refresh_lease (
      only_row   boolean primary key default true check (only_row),
      holder     uuid,
      until      timestamptz not null default '-infinity',
      updated_at timestamptz not null default now()
    );
    insert into refresh_lease default values;

    /*
     * Changed windows come into the activity tables once the rollups have them, within a second or two: from the events
     * themselves each had cost a search through all that lies between it and now. And what is stale nevertheless finds
     * its events by equality, not by comparing each with each.
     */
    do $$
    declare
      was text := pg_get_functiondef('cover_activity(interval, integer)'::regprocedure);
      picked text := 'where activity_revision < revision and bucket < from_at';
      joined text := 'and e.ts >= l.bucket and e.ts < l.bucket + interval ''30 seconds''';
    begin
      if position(picked in was) = 0 or position(joined in was) = 0 then
        raise exception 'cover_activity is not as this migration expects it';
      end if;
      execute replace(replace(was, picked, picked || ' and not stale'),
                      joined, joined || ' and date_bin(''30 seconds'', e.ts, ''epoch''::timestamptz) = l.bucket');
    end $$;
  `);
};

export const down = false;
