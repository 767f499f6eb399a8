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
     * Changed windows that the rollups have come into the activity tables first: one that is stale costs a search through
     * the events between it and now. Where there are only such, they find their events by equality, not by comparing each
     * with each.
     */
    do $$
    declare
      was text := pg_get_functiondef('cover_activity(interval, integer)'::regprocedure);
      picked text := 'where activity_revision < revision and bucket < from_at';
      refreshed text := ' and (not stale or not exists (select from late_window l where l.activity_revision < l.revision'
                     || ' and l.bucket < from_at and not l.stale))';
      joined text := 'and e.ts >= l.bucket and e.ts < l.bucket + interval ''30 seconds''';
    begin
      if position(picked in was) = 0 or position(joined in was) = 0 then
        raise exception 'cover_activity is not as this migration expects it';
      end if;
      execute replace(replace(was, picked, picked || refreshed),
                      joined, joined || ' and date_bin(''30 seconds'', e.ts, ''epoch''::timestamptz) = l.bucket');
    end $$;
  `);
};

export const down = false;
