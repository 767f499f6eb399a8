import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createKey } from '../../src/access/tenancy/keys.ts';
import { createService, type Service } from '../../src/faces/service/service.ts';
import { type Config, loadConfig } from '../../src/ground/config/loadConfig.ts';
import { createLogger, type Logger } from '../../src/ground/telemetry/logger.ts';
import type { Tracing } from '../../src/ground/telemetry/tracing.ts';
import type { EndpointCheck } from '../../src/outbound/delivery/endpointCheck.ts';
import type { Resolve } from '../../src/outbound/delivery/webhook/guardedLookup.ts';
import type { LiveCounters } from '../../src/sums/live/liveCounters.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';

export const ADMIN_KEY = 'tm_test_admin_key_of_the_platform';

export interface TestService {
  service: Service;
  config: Config;
  database: TestDatabase;
  /** Direct queries, past the service. */
  sql: pg.Pool;
  /** Calls the service without a socket. `body` is sent as JSON unless it is a string or bytes. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** A tenant of its own, with a key of every scope. */
  tenant(): Promise<{ id: string; key: string }>;
  stop(): Promise<void>;
}

export interface CallOptions {
  key?: string | null;
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the service says; the tests look into it
  body: any;
  headers: Headers;
}

interface Parts {
  live?: LiveCounters;
  /** Default: nobody is asked, and nothing refused. Undefined: as in life. */
  endpointCheck?: EndpointCheck | undefined;
  resolve?: Resolve;
  tracing?: Tracing;
  /** Default: says nothing, or what LOG_LEVEL asks for on standard output. */
  log?: Logger;
  /** Sets what no variable sets. */
  configure?: (config: Config) => void;
}

let tenants = 0;

/** A whole service on a database of its own. `env` as the environment would set it. */
export async function startTestService(
  env: Record<string, string> = {},
  parts: Parts = {},
): Promise<TestService> {
  const database = await createTestDatabase();
  return startServiceOn(database, env, parts);
}

/** Another instance on the same database, by way of `parts.url` where that is given. */
export async function startServiceOn(
  database: TestDatabase,
  env: Record<string, string> = {},
  parts: Parts & { url?: string } = {},
): Promise<TestService> {
  const url = parts.url ?? database.url;
  const config = loadConfig({
    TIDEMARK_PROFILE: 'test',
    DATABASE_URL: url,
    ADMIN_KEY,
    LOG_LEVEL: 'silent',
    CLOSER_INTERVAL_MS: '250',
    AUTH_FAILURES_PER_MINUTE: '1000000',
    INGEST_DEADLINE_MS: '30000', // a machine may be slow
    INGEST_COLUMNS_FROM_ROWS: '5', // batches are small here, and are to go either way
    ...env,
  });
  config.ingest.columnsSpanMs = Number.POSITIVE_INFINITY; // and far apart
  parts.configure?.(config);
  const service = await createService(config, url, parts.log ?? createLogger(config), {
    endpointCheck: async () => undefined,
    ...parts,
  });
  const sql = new pg.Pool({ connectionString: database.url, max: 2 });
  sql.on('error', () => undefined);

  const call = async (method: string, path: string, options: CallOptions = {}): Promise<Answer> => {
    const { key = ADMIN_KEY, body, headers = {} } = options;
    const raw = body === undefined || typeof body === 'string' || body instanceof Uint8Array;
    const response = await service.app.request(path, {
      method,
      headers: {
        ...(key !== null && { authorization: `Bearer ${key}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: (raw ? body : JSON.stringify(body)) as string }),
    });
    const text = await (isEventStream(response) ? firstChunk(response) : response.text());
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers };
  };

  return {
    service,
    config,
    database,
    sql,
    call,
    async tenant() {
      const id = `tenant-${process.pid}-${++tenants}`;
      await call('POST', '/v1/tenants', { body: { id, name: id } });
      const { key } = await createKey(sql, { tenantId: id, scopes: ['ingest', 'read', 'correct', 'admin'] });
      return { id, key };
    },
    async stop() {
      await service.close();
      await sql.end();
      await database.drop();
    },
  };
}

function isEventStream({ headers }: Response): boolean {
  return headers.get('content-type') === 'text/event-stream';
}

/** What a stream without an end begins with. */
async function firstChunk({ body }: Response): Promise<string> {
  const reader = body!.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return new TextDecoder().decode(value);
}

/** Runs `work` while the rows that `lock` selects for update are held, until `waiters` statements wait for them. */
export async function whileLocked<Result>(
  sql: pg.Pool,
  lock: pg.QueryConfig,
  waiters: number,
  work: () => Promise<Result>,
): Promise<Result> {
  const holder = await sql.connect();
  try {
    await holder.query('begin');
    await holder.query(lock);
    const done = work();
    await until(async () => {
      const { rows } = await sql.query<{ n: number }>(
        `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return rows[0]!.n >= waiters;
    });
    await holder.query('commit');
    return await done;
  } finally {
    holder.release(true);
  }
}

/** Waits until `check` holds, for at most `timeoutMs`: far longer than it takes, on a machine that does much else at once. */
export async function until(check: () => Promise<boolean> | boolean, timeoutMs = 30_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`not so within ${timeoutMs} ms: ${check}`);
    await sleep(20);
  }
}
