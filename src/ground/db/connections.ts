import pg from 'pg';
import type { DatabaseConfig } from '../config/database.ts';
import type { Logger } from '../telemetry/logger.ts';
import { inStatementSpan } from '../telemetry/spans.ts';
import { AccompaniedQuery } from './accompaniedQuery.ts';
import type { CircuitBreaker } from './circuitBreaker.ts';
import type { DatabaseMetrics } from './databaseMetrics.ts';
import type { Engine } from './engine.ts';
import type { Queryable, QueryPool } from './queryable.ts';
import { remedyFor } from './sqlstate.ts';
import { TenantReads } from './tenantReads.ts';

/*
 * The only place that opens connections to PostgreSQL. One driver for everything: `pg` survives a killed backend
 * and never leaves a COPY hanging (docs/adr/0002).
 */

/**
 * No statement of ours is worth compiling: those that cost much name many chunks, each of which is compiled for itself, for
 * minutes, by a library that hears no `pg_terminate_backend` (docs/adr/0026). Said to every session that is opened here; where a
 * pooler leaves none, in each transaction.
 */
const WITHOUT_JIT = 'set jit = off';
/**
 * What waits for a lock reads, once it has it, what others have done until then. In a transaction of one snapshot, where
 * that is the server's default, it would read what was there when it began to wait.
 */
const READING_WHAT_IS_THERE = `set default_transaction_isolation = 'read committed'`;
const OUR_SESSION = `${WITHOUT_JIT}; ${READING_WHAT_IS_THERE}`;
const LOCALLY_WITHOUT_JIT = 'set local jit = off';
/** The same, for a transaction that is sent as one message. */
export const JIT_OFF = `set_config('jit', 'off', true)`;

/**
 * Prepared statements are planned once, not for each set of values. But a
 * plan that is made while a chunk of the columnstore gets its first row beside the columns would be kept without it
 * (docs/adr/0022), so on TimescaleDB each is planned anew.
 */
const PLANNING = `
  select set_config('plan_cache_mode',
    case when exists (select from pg_extension where extname = 'timescaledb') then 'force_custom_plan'
         else 'force_generic_plan' end, false)`;

export type DatabaseUse =
  | 'ingest'
  | 'corrections'
  | 'read'
  | 'admin'
  | 'closer'
  | 'refresher'
  | 'meters'
  | 'relay'
  | 'live'
  | 'retention'
  | 'migrate'
  | 'import'
  | 'export'
  | 'doctor'
  | 'probe';

export interface ConnectionSettings {
  url: string;
  /** `transaction`: nothing may outlive a transaction, neither settings nor prepared statements. */
  pooler: DatabaseConfig['pooler'];
  connectTimeoutMs: number;
  /** Bound of one statement, on the server, in ms. */
  statementTimeoutMs: number;
  applicationName: string;
  /** What it is for. */
  use: DatabaseUse;
  /** Watches what is opened, and while it is open nothing is. Left out by tools, and by its own probe. */
  breaker?: CircuitBreaker | undefined;
  /** Counts what its pools do. Left out by tools. */
  metrics?: DatabaseMetrics | undefined;
}

/** bigint and numeric arrive as text: a double would round them. `numberOf` and the rollups decide what they become. */
function clientConfig(settings: ConnectionSettings): pg.ClientConfig {
  return {
    connectionString: settings.url,
    application_name: settings.applicationName,
    connectionTimeoutMillis: settings.connectTimeoutMs,
    ...(settings.pooler === 'none' && { statement_timeout: settings.statementTimeoutMs }),
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}

/**
 * A connection for one owner. Its loss while idle is logged here and met by the owner at its next query.
 *
 * @throws {TidemarkError} `database_unavailable` when the circuit has not closed within the timeout for connecting.
 */
export async function connect(settings: ConnectionSettings, log: Logger): Promise<pg.Client> {
  const { breaker } = settings;
  if (breaker?.open) {
    await breaker.closedWithin(settings.connectTimeoutMs);
    breaker.assertClosed();
  }
  const client = new pg.Client(clientConfig(settings));
  client.on('error', (error) =>
    log.warn({ err: error, connection: settings.applicationName }, 'connection lost'),
  );
  try {
    await client.connect();
    if (settings.pooler === 'none') await client.query(OUR_SESSION);
  } catch (error) {
    client.end().catch(() => undefined);
    breaker?.suspect();
    throw error;
  }
  breaker?.watch(client.connection.stream);
  return settings.pooler === 'none' ? client : toldEachTime(client);
}

/**
 * A client without a session of its own, whose statements are planned without JIT, each in the transaction that it would
 * have been in anyway. But for CALL, which cannot be in one with anything else (`refreshed_from` sees to that). What is no plain
 * statement brings `JIT_OFF` itself.
 */
function toldEachTime(client: pg.Client): pg.Client {
  const send = client.query.bind(client) as (...args: unknown[]) => Promise<pg.QueryResult>;
  const query = async (...args: unknown[]) => {
    const [statement, values] = args as [string | pg.QueryConfig, unknown[] | undefined];
    const { text, values: own } = typeof statement === 'string' ? { text: statement } : statement;
    if (client.getTransactionStatus() !== 'I' || /^\s*(call|commit|rollback|listen|set)\b/i.test(text))
      return send(...args);
    if (/^\s*(begin|start)\b/i.test(text)) {
      const begun = await send(...args);
      await send(LOCALLY_WITHOUT_JIT);
      return begun;
    }
    const configured = new AccompaniedQuery({
      text,
      values: values ?? own ?? [],
      before: [{ text: `select ${JIT_OFF}` }],
      after: [],
    });
    client.query(configured);
    return configured.result;
  };
  const submittable = (statement: unknown) => typeof (statement as pg.Submittable)?.submit === 'function';
  client.query = ((...args: unknown[]) =>
    submittable(args[0]) ? send(...args) : query(...args)) as typeof client.query;
  return client;
}

/**
 * A connection for refreshing rollups. The planner takes the events of a window for a dozen rows, and would sort
 * millions of them on disk instead of hashing them: five times the work (docs/performance.md).
 */
export async function connectRefresher(settings: ConnectionSettings, log: Logger): Promise<pg.Client> {
  const client = await connect(settings, log);
  if (settings.pooler === 'transaction') return client; // there is no session to set this for
  try {
    await client.query(`set enable_sort = off; set work_mem = '64MB'`);
    return client;
  } catch (error) {
    client.end().catch(() => undefined);
    throw error;
  }
}

/** A pool for the service's own tables. Tenants' data are read through `createTenantReads`. */
export function createPool(settings: ConnectionSettings, size: number, log: Logger): QueryPool {
  const pool = openPool(settings, size, log);
  const { pooler, statementTimeoutMs, breaker, metrics } = settings;
  const plain = pooler === 'transaction' ? inTransactions(pool, statementTimeoutMs) : pool;
  const queries = metrics ? measured(plain, settings.use, metrics) : plain;
  return breaker ? behindBreaker(queries, breaker) : queries;
}

export function createTenantReads(
  settings: ConnectionSettings,
  engine: Engine,
  size: number,
  log: Logger,
): TenantReads {
  const { pooler, statementTimeoutMs, breaker, metrics } = settings;
  return new TenantReads({
    pool: openPool(settings, size, log),
    engine,
    pooled: pooler === 'transaction',
    statementTimeoutMs,
    breaker,
    metrics,
  });
}

function openPool(settings: ConnectionSettings, size: number, log: Logger): pg.Pool {
  const pool = new pg.Pool({
    ...clientConfig(settings),
    max: size,
    idleTimeoutMillis: 60_000,
    query_timeout: settings.statementTimeoutMs + 1_000, // for a server that does not answer at all
    onConnect: async (client) => {
      if (settings.pooler === 'none') await client.query(`${OUR_SESSION}; ${PLANNING}`);
    },
  });
  pool.on('error', (error) => {
    // Its end is told before the server has closed the last connections, which it may do by going away itself.
    if (!pool.ending) log.warn({ err: error, connection: settings.applicationName }, 'connection lost');
  });
  pool.on('connect', (client) => settings.breaker?.watch(client.connection.stream));
  settings.metrics?.watchPool(settings.use, pool);
  return pool;
}

/** Refuses at once while the circuit is open, and has the database probed when a statement fails to reach it. */
function behindBreaker(queries: QueryPool, breaker: CircuitBreaker): QueryPool {
  const query = async (...args: Parameters<QueryPool['query']>) => {
    breaker.assertClosed();
    try {
      return await queries.query(...args);
    } catch (error) {
      if (remedyFor(error) === 'reconnect') breaker.suspect();
      throw error;
    }
  };
  return { query: query as Queryable['query'], end: () => queries.end() };
}

/** Measures each statement, and traces those that belong to something that is traced. */
function measured(queries: QueryPool, pool: DatabaseUse, metrics: DatabaseMetrics): QueryPool {
  const query = async (...args: Parameters<QueryPool['query']>) => {
    const statement = args[0] as string | pg.QueryConfig;
    const { text, name } = typeof statement === 'string' ? { text: statement } : statement;
    const end = metrics.statements.startTimer({ pool });
    try {
      return await inStatementSpan(text, name, async () => queries.query(...args));
    } finally {
      end();
    }
  };
  return { query: query as Queryable['query'], end: () => queries.end() };
}

/** Each statement in a transaction of its own that carries its settings; prepared ones are sent as plain ones. */
function inTransactions(pool: pg.Pool, statementTimeoutMs: number): QueryPool {
  const begin = `begin; set local statement_timeout = ${statementTimeoutMs}; ${LOCALLY_WITHOUT_JIT}`;
  const query = async (statement: string | pg.QueryConfig, values?: unknown[]) => {
    const { text, values: own } = typeof statement === 'string' ? { text: statement } : statement;
    const client = await pool.connect();
    let lost: Error | undefined;
    const onError = (error: Error) => {
      lost = error; // a client that is lent out is not watched by its pool
    };
    client.on('error', onError);
    try {
      await client.query(begin);
      const result = await client.query({ text, values: values ?? own ?? [] });
      await client.query('commit');
      return result;
    } catch (error) {
      if (remedyFor(error) === 'reconnect') lost ??= error as Error;
      else await client.query('rollback').catch(onError);
      throw error;
    } finally {
      client.off('error', onError);
      client.release(lost);
    }
  };
  return { query: query as Queryable['query'], end: () => pool.end() };
}

/** Settings for one use of the configured database. */
export function connectionSettings(
  url: string,
  database: DatabaseConfig,
  use: DatabaseUse,
  { breaker, metrics }: Pick<ConnectionSettings, 'breaker' | 'metrics'> = {},
): ConnectionSettings {
  return {
    url,
    use,
    breaker,
    metrics,
    pooler: database.pooler,
    connectTimeoutMs: use === 'probe' ? database.probeTimeoutMs : database.connectTimeoutMs,
    statementTimeoutMs: statementTimeoutOf(use, database.readTimeoutMs),
    applicationName: `tidemark ${use}`,
  };
}

/** What is shown as it moves is soon shown again: better late than waited for. */
const LIVE_TIMEOUT_MS = 2_000;

/** 0: none. */
function statementTimeoutOf(use: DatabaseUse, readTimeoutMs: number): number {
  if (use === 'live') return Math.min(LIVE_TIMEOUT_MS, readTimeoutMs);
  return use === 'read' || use === 'admin' || use === 'relay' || use === 'doctor' ? readTimeoutMs : 0;
}
