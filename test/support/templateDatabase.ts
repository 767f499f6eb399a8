import pg from 'pg';
import { migrate } from '../../src/ground/db/migrate.ts';
import { withDatabase } from './databaseUrl.ts';

/** The migrated database of a server that the tests' own are copies of, by the prefix of the run. */
export function templateName(prefix: string): string {
  return `${prefix}template`;
}

/**
 * Makes the template: migrating takes half a second, a copy a tenth of it or less. Nobody may connect to it, TimescaleDB's
 * scheduler neither, which begins in every database that has the extension: a database with sessions cannot be copied.
 *
 * @param server superuser URL.
 * @throws when the server does not get the expected engine.
 */
export async function makeTemplate(
  server: string,
  prefix: string,
  engine: 'postgres' | 'timescale',
): Promise<void> {
  const name = templateName(prefix);
  const admin = new pg.Client(server);
  await admin.connect();
  try {
    await admin.query(`create database ${name}`);
    const client = new pg.Client(withDatabase(server, name));
    await client.connect();
    try {
      await migrate(client);
      const { rows } = await client.query('select engine from installation');
      if (rows[0].engine !== engine) throw new Error(`expected the ${engine} engine, got ${rows[0].engine}`);
    } finally {
      await client.end();
    }
    await admin.query(`alter database ${name} with allow_connections false`);
    await admin.query('select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = $1', [
      name,
    ]);
  } finally {
    await admin.end();
  }
}

/** What is told by the moment of migrating, as if that were now. A test holds it against a database migrated just now. */
export const MIGRATED_NOW = `
  do $$
  declare
    w timestamptz := date_bin('30 seconds', now(), 'epoch'::timestamptz);
    h timestamptz := date_trunc('hour', w, 'UTC');
    d timestamptz := date_trunc('day', w, 'UTC');
    ms timestamptz := date_trunc('milliseconds', now());
  begin
    update window_state
      set closed_until = w, refreshed_30s = w, refreshing_1h = h, refreshed_1h = h, refreshing_1d = d, refreshed_1d = d,
          settled_at = ms, updated_at = now();
    update window_closing set closed_at = ms, closed_until = w;
    update window_announcement set announced_until = w, updated_at = now();
    update window_coverage set covered_until = w, updated_at = now();
    if to_regclass('usage_fold') is not null then
      update usage_fold set folded_until = w, updated_at = now();
    end if;
    if to_regclass('meter_fold') is not null then
      update meter_fold set members_1h_until = h, members_1d_until = d, updated_at = now();
    end if;
    if to_regclass('late_window_summed') is not null then
      update late_window_summed set updated_at = now();
    end if;
    update retention set moved_at = now(), updated_at = now();
    update refresh_lease set updated_at = now();
    update sql_function set applied_at = now();
    update installation set created_at = now(), import_ids_since = now(), identity_secret = gen_random_uuid();
    update identity_move set finished_at = now();
  end $$`;
