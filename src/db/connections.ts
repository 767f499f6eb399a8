import pg from 'pg';
import type { Config } from '../config.ts';
import type { Logger } from '../telemetry/logger.ts';

/*
 * The only place that opens connections to PostgreSQL. One driver for everything: `pg` survives a killed backend
 * and never leaves a COPY hanging (docs/adr/0002).
 */

/** What the reading queries run on: a pool, or in tests a single client. */
export type Queryable = Pick<pg.Pool, 'query'>;

export interface ConnectionSettings {
  url: string;
  connectTimeoutMs: number;
  /** Bound of one statement, on the server, in ms. */
  statementTimeoutMs: number;
  applicationName: string;
}

/** bigint and numeric arrive as text: a double would round them. `numberOf` and the rollups decide what they become. */
function clientConfig(settings: ConnectionSettings): pg.ClientConfig {
  return {
    connectionString: settings.url,
    application_name: settings.applicationName,
    connectionTimeoutMillis: settings.connectTimeoutMs,
    statement_timeout: settings.statementTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}

/** A connection for one owner. Its loss while idle is logged here and met by the owner at its next query. */
export async function connect(settings: ConnectionSettings, log: Logger): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(settings));
  client.on('error', (error) =>
    log.warn({ err: error, connection: settings.applicationName }, 'connection lost'),
  );
  await client.connect();
  return client;
}

/** A connection for a writer. An acknowledged event is on disk, whatever the server's default says. */
export async function connectWriter(settings: ConnectionSettings, log: Logger): Promise<pg.Client> {
  const client = await connect(settings, log);
  try {
    await client.query(`
      select set_config('synchronous_commit', 'on', false)
      where current_setting('synchronous_commit') in ('off', 'local')`);
    // A backend whose writer has gone must not hold its locks for long.
    await client.query(
      `set idle_in_transaction_session_timeout = '30s'; set client_connection_check_interval = '1s'`,
    );
  } catch (error) {
    client.end().catch(() => undefined);
    throw error;
  }
  return client;
}

export function createPool(settings: ConnectionSettings, size: number, log: Logger): pg.Pool {
  const pool = new pg.Pool({
    ...clientConfig(settings),
    max: size,
    idleTimeoutMillis: 60_000,
    query_timeout: settings.statementTimeoutMs + 1_000, // for a server that does not answer at all
    // Prepared statements are planned once, not for each set of values; the reads are too short for JIT to pay.
    onConnect: async (client) => {
      await client.query('set plan_cache_mode = force_generic_plan; set jit = off');
    },
  });
  pool.on('error', (error) =>
    log.warn({ err: error, connection: settings.applicationName }, 'connection lost'),
  );
  return pool;
}

/** Settings for one use of the configured database. */
export function connectionSettings(
  url: string,
  database: Config['database'],
  use: 'ingest' | 'read' | 'closer' | 'migrate' | 'import',
): ConnectionSettings {
  return {
    url,
    connectTimeoutMs: database.connectTimeoutMs,
    statementTimeoutMs: use === 'read' ? database.readTimeoutMs : 0,
    applicationName: `tidemark ${use}`,
  };
}
