#!/usr/bin/env bash
# PostgreSQL's date_trunc with a zone can answer a moment that lies after the one it was given, and hours that overlap.
#
# With:  postgresql-15 15.20 (Debian 12's package), its pg_virtualenv (postgresql-common), and Debian's tzdata.
# Input: 2024-11-03 in Havana, where the clock went from 01:00 back to 00:00, so midnight came twice (04:00Z and 05:00Z); and
#        2025-04-05T15:00Z on Lord Howe Island, where the clock goes back by half an hour.
# Seen:  of two midnights date_trunc takes the second: the day of 04:30Z "begins" at 05:00Z. Whoever takes rows since then loses
#        an hour of that day. The hour of 14:59Z begins at 14:00Z, that of 15:00Z at 14:30Z; that plus an hour is wrong too.
# So:    we work out the edges ourselves: a day begins at the first instant that shows its date, and ends where the next begins.
set -euo pipefail
[ -x /usr/lib/postgresql/15/bin/postgres ] && command -v pg_virtualenv >/dev/null ||
  { echo 'needs PostgreSQL 15: apt install postgresql-15 (seen with 15.20-0+deb12u1)'; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >run.sql <<'SQL'
set timezone = 'UTC';
select to_char(ts, 'MM-DD HH24:MI'), unit, zone, to_char(date_trunc(unit, ts, zone), 'MM-DD HH24:MI'), date_trunc(unit, ts, zone) <= ts
from (values
  (timestamptz '2024-11-03T03:59Z', 'day', 'America/Havana'),
  ('2024-11-03T04:30Z', 'day', 'America/Havana'),
  ('2024-11-03T05:30Z', 'day', 'America/Havana'),
  ('2025-04-05T14:59Z', 'hour', 'Australia/Lord_Howe'),
  ('2025-04-05T15:00Z', 'hour', 'Australia/Lord_Howe')
) m (ts, unit, zone) order by ts;
SQL
cat >expected <<'OUT'
11-03 03:59|day|America/Havana|11-02 04:00|t
11-03 04:30|day|America/Havana|11-03 05:00|f
11-03 05:30|day|America/Havana|11-03 05:00|t
04-05 14:59|hour|Australia/Lord_Howe|04-05 14:00|t
04-05 15:00|hour|Australia/Lord_Howe|04-05 14:30|t
OUT
pg_virtualenv -t -v 15 psql -XAtq -v ON_ERROR_STOP=1 -f "$dir/run.sql" -o "$dir/seen"
cat seen
diff expected seen
