#!/usr/bin/env bash
# node-pg-migrate commits the transaction of the client that it is lent, but only when it has something to apply.
#
# With:  node-pg-migrate 9.0.0, pg 8.23.1; postgresql-15 15.20 (Debian 12's package), its pg_virtualenv; Node 20 or newer.
# Input: runner({ dbClient, noLock: true, singleTransaction: true }) on a client that has begun a transaction and holds
#        pg_advisory_xact_lock in it, so that instances which start together migrate one after the other; one migration, then none.
# Seen:  with a migration to apply the runner sends BEGIN (a warning, 25001) and COMMIT: the caller's transaction is over, its lock is
#        gone, and its ROLLBACK undoes nothing. With none to apply the transaction goes on and the lock is held, so it shows only at
#        the one start that matters.
# So:    what follows in the same transaction needs a client that keeps BEGIN, COMMIT and ROLLBACK from the server.
set -euo pipefail
[ -x /usr/lib/postgresql/15/bin/postgres ] && command -v pg_virtualenv >/dev/null ||
  { echo 'needs PostgreSQL 15: apt install postgresql-15 (seen with 15.20-0+deb12u1)'; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit node-pg-migrate@9.0.0 pg@8.23.1
mkdir migrations
cat >migrations/0001_a.cjs <<'JS'
exports.up = (pgm) => pgm.sql('create table a (n int)');
exports.down = false;
JS
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { runner } from 'node-pg-migrate';
import pg from 'pg';

const client = new pg.Client();
await client.connect();
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

async function migrateAndRollBack() {
  await client.query('begin');
  await client.query('select pg_advisory_xact_lock(1)');
  const applied = await runner({
    dbClient: client,
    dir: 'migrations',
    direction: 'up',
    migrationsTable: 'done',
    noLock: true,
    singleTransaction: true,
    logger: quiet,
  });
  const { rows } = await client.query(`select count(*)::int as held from pg_locks where locktype = 'advisory'`);
  await client.query('rollback');
  const { rows: tables } = await client.query(`select to_regclass('a') is not null as there`);
  return { applied: applied.length, lockHeld: rows[0].held === 1, tableThere: tables[0].there };
}

const seen = [await migrateAndRollBack(), await migrateAndRollBack()];
await client.end();
console.log(seen);
assert.deepEqual(seen, [
  { applied: 1, lockHeld: false, tableThere: true }, // rolled back, and there all the same
  { applied: 0, lockHeld: true, tableThere: true },
]);
JS
pg_virtualenv -t -v 15 node "$dir/run.mjs"
