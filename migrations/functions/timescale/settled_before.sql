-- revision 2, 79ab995140a8
/* Whether nothing older than a moment is still to be brought in anywhere, or to be told of. */
create or replace function settled_before(at timestamptz) returns boolean
language sql as $$
  select c.covered_until >= at and a.announced_until >= at
    and s.refreshed_30s >= at and s.refreshed_1h >= at and s.refreshed_1d >= at
    and not exists (select from late_window where stale and bucket < at)
    and not exists (select from late_window where stale_references and bucket < at)
    and not exists (select from late_window where activity_revision < revision and bucket < at)
    and not exists (select from meter_series where retired_at is null and filled_from > fill_floor and fill_floor < at)
  from window_state s, window_coverage c, window_announcement a
$$;

revoke execute on function settled_before(timestamptz) from public;
