#!/usr/bin/env bash
# One name of a zone is two clocks in PostgreSQL: CET has summer time in SET timezone and none in AT TIME ZONE.
#
# With:  postgresql-15 15.20 (Debian 12's package), its pg_virtualenv (postgresql-common), and Debian's tzdata.
# Input: a moment in July by the zones CET, EET, MET and WET, all four in pg_timezone_names, and by Europe/Paris; as the session's
#        zone, by AT TIME ZONE, and by date_trunc to the day.
# Seen:  AT TIME ZONE and date_trunc look among the abbreviations first, which are fixed offsets, and the setting among the zones: a
#        session in CET prints 02:00, AT TIME ZONE 'CET' 01:00, and date_trunc's days begin an hour late. No warning.
# So:    a zone is the name of a place, and we do not take an abbreviation for one.
set -euo pipefail
[ -x /usr/lib/postgresql/15/bin/postgres ] && command -v pg_virtualenv >/dev/null ||
  { echo 'needs PostgreSQL 15: apt install postgresql-15 (seen with 15.20-0+deb12u1)'; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
{
  for zone in CET EET MET WET Europe/Paris; do
    echo "set timezone = '$zone';"
    echo "select '$zone', count(*), to_char(timestamptz '2025-07-01T00:00Z', 'HH24:MI'),
      to_char(timestamptz '2025-07-01T00:00Z' at time zone '$zone', 'HH24:MI'),
      to_char(date_trunc('day', timestamptz '2025-07-01T12:00Z', '$zone') at time zone 'UTC', 'HH24:MI')
      from pg_timezone_names where name = '$zone';"
  done
} >run.sql
cat >expected <<'OUT'
CET|1|02:00|01:00|23:00
EET|1|03:00|02:00|22:00
MET|1|02:00|01:00|23:00
WET|1|01:00|00:00|00:00
Europe/Paris|1|02:00|02:00|22:00
OUT
pg_virtualenv -t -v 15 psql -XAtq -v ON_ERROR_STOP=1 -f "$dir/run.sql" -o "$dir/seen"
cat seen
diff expected seen
