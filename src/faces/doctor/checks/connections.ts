import type { Config } from '../../../ground/config/loadConfig.ts';
import { fail, ok, type Verdict, warn } from '../finding.ts';
import type { Patient } from '../patient.ts';

/** Besides readers and writers: 2 for administration, 2 for deliveries, and one each for what there is one of. */
const FIXED = 2 + 2 + 8; // probe, closer, refresher, meters, retention, relay, housekeeper, live streams

/** What one instance opens at most. */
export function connectionsOf({ database, ingest }: Pick<Config, 'database' | 'ingest'>): number {
  return database.readPoolSize + ingest.writers + FIXED;
}

/** Whether one more instance, as in a rolling update, would still get its connections. */
export async function checkConnections({ db, config }: Patient): Promise<Verdict[]> {
  const need = connectionsOf(config);
  if (config.database.pooler === 'transaction') {
    return [ok(`behind a pooler: it has to offer ${need} client connections per instance`)];
  }
  const { rows } = await db.query<{ most: number; reserved: number; used: number; ours: number }>(
    `select current_setting('max_connections')::int as most,
            current_setting('superuser_reserved_connections')::int
              + coalesce(current_setting('reserved_connections', true), '0')::int as reserved,
            (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as used,
            (select count(*)::int from pg_stat_activity where application_name = 'tidemark closer'
              and datname = current_database()) as ours`,
  );
  const { most, reserved, used, ours } = rows[0]!;
  const open = most - reserved - used;
  const message = `${used} of ${most - reserved} connections are in use; an instance takes up to ${need}, ${ours} run`;
  if (most - reserved < need) {
    return [fail(message, `raise max_connections, or lower READ_POOL_SIZE and INGEST_WRITERS`)];
  }
  if (open < need) {
    return [
      warn(`${message}: there is no room for one more`, 'raise max_connections, or put PgBouncer in between'),
    ];
  }
  return [ok(message)];
}
