#!/usr/bin/env bash
# knex and drizzle say that a transaction succeeded which PostgreSQL rolled back.
#
# With:  knex 3.3.0, drizzle-orm 0.45.4, kysely 0.29.9, pg 8.23.1, postgres 3.4.9; postgresql-15 15.20 (Debian 12's package), its
#        pg_virtualenv (postgresql-common); Node 20 or newer.
# Input: a transaction that inserts 1, inserts 2 where 2 is already, and catches the error of that (23505), as in "it is there already".
# Seen:  PostgreSQL answers the COMMIT of a transaction that failed with ROLLBACK, and no error. pg resolves, with command
#        'ROLLBACK'; knex and drizzle do not look at it: their promises resolve, and 1 is not stored. kysely and postgres.js reject.
# So:    whoever acknowledges after a COMMIT looks at its command first; and where 2 may be there already, on conflict do nothing.
set -euo pipefail
[ -x /usr/lib/postgresql/15/bin/postgres ] && command -v pg_virtualenv >/dev/null ||
  { echo 'needs PostgreSQL 15: apt install postgresql-15 (seen with 15.20-0+deb12u1)'; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --no-fund --no-audit knex@3.3.0 drizzle-orm@0.45.4 kysely@0.29.9 pg@8.23.1 postgres@3.4.9
cat >run.mjs <<'JS'
import assert from 'node:assert/strict';
import { sql as drizzleSql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import knex from 'knex';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import postgres from 'postgres';

const { PGHOST: host, PGPORT: port, PGUSER: user, PGPASSWORD: password, PGDATABASE: database } = process.env;
const options = { host, port: Number(port), user, password, database };
const pool = new pg.Pool(options);
const there = (error) => assert.equal(error.code, '23505');

const ways = {
  async pg() {
    const client = await pool.connect();
    await client.query('begin');
    await client.query('insert into t values (1)');
    await client.query('insert into t values (2)').catch(there);
    const { command } = await client.query('commit');
    client.release();
    return command;
  },
  async knex() {
    const db = knex({ client: 'pg', connection: options });
    try {
      return await db.transaction(async (trx) => {
        await trx.raw('insert into t values (1)');
        await trx.raw('insert into t values (2)').catch(there);
        return 'done';
      });
    } finally {
      await db.destroy();
    }
  },
  async drizzle() {
    return await drizzle({ client: pool }).transaction(async (trx) => {
      await trx.execute(drizzleSql`insert into t values (1)`);
      await trx.execute(drizzleSql`insert into t values (2)`).catch((error) => there(error.cause ?? error));
      return 'done';
    });
  },
  async kysely() {
    return await new Kysely({ dialect: new PostgresDialect({ pool }) }).transaction().execute(async (trx) => {
      await sql`insert into t values (1)`.execute(trx);
      await sql`insert into t values (2)`.execute(trx).catch(there);
      return 'done';
    });
  },
  async 'postgres.js'() {
    const db = postgres({ ...options, onnotice() {} });
    try {
      return await db.begin(async (trx) => {
        await trx`insert into t values (1)`;
        await trx`insert into t values (2)`.catch(there);
        return 'done';
      });
    } finally {
      await db.end();
    }
  },
};

await pool.query('create table t (n int primary key); insert into t values (2)');
const seen = {};
for (const [name, way] of Object.entries(ways)) {
  const outcome = await way().catch((error) => `rejects: ${error.code ?? error.message}`);
  const { rows } = await pool.query('select count(*)::int as stored from t where n = 1');
  seen[name] = { outcome, stored: rows[0].stored };
}
await pool.end();
console.log(seen);
assert.deepEqual(seen, {
  pg: { outcome: 'ROLLBACK', stored: 0 },
  knex: { outcome: 'done', stored: 0 },
  drizzle: { outcome: 'done', stored: 0 },
  kysely: { outcome: 'rejects: Transaction was rolled back instead of committed', stored: 0 },
  'postgres.js': { outcome: 'rejects: 23505', stored: 0 },
});
JS
pg_virtualenv -t -v 15 node "$dir/run.mjs"
