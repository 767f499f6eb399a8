#!/usr/bin/env bash
# A transaction that watches pg_stat_activity sees nothing change, not even with stats_fetch_consistency = none.
#
# With:  postgresql-15 15.20 (Debian 12's package), its pg_virtualenv (postgresql-common).
# Input: a transaction that holds a lock and has looked at pg_stat_activity, and a session that then comes and waits for that lock.
# Seen:  the holder sees no one waiting, however often it asks. stats_fetch_consistency = none, which has all other
#        statistics fetched anew, does not reach this view; pg_stat_clear_snapshot() does. pg_locks is always fresh.
# So:    a test that waits until somebody blocks asks on another connection, or asks pg_locks.
set -euo pipefail
[ -x /usr/lib/postgresql/15/bin/postgres ] && command -v pg_virtualenv >/dev/null ||
  { echo 'needs PostgreSQL 15: apt install postgresql-15 (seen with 15.20-0+deb12u1)'; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >run.sql <<'SQL'
create table t (n int);
\set activity 'select ''waiting in pg_stat_activity: '' || count(*) from pg_stat_activity where wait_event_type = ''Lock'';'
\set locks 'select ''waiting in pg_locks: '' || count(*) from pg_locks where not granted;'
begin;
lock table t;
set local stats_fetch_consistency = 'none';
:activity
\! psql -XAtqc 'select from t' >/dev/null &
do $$ begin
  for i in 1..300 loop
    exit when exists (select from pg_locks where not granted);
    perform pg_sleep(0.1);
  end loop;
end $$;
select pg_sleep(0.5) \g /dev/null
:locks
:activity
select pg_stat_clear_snapshot() \g /dev/null
:activity
commit;
SQL
cat >expected <<'OUT'
waiting in pg_stat_activity: 0
waiting in pg_locks: 1
waiting in pg_stat_activity: 0
waiting in pg_stat_activity: 1
OUT
pg_virtualenv -t -v 15 psql -XAtq -v ON_ERROR_STOP=1 -f "$dir/run.sql" -o "$dir/seen"
cat seen
diff expected seen
