import pg from 'pg';
import { freePort } from '../../../src/ground/local/freePort.ts';
import { type Program, runProgram } from '../../process/support/runProgram.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

const ADMIN_KEY = 'tm_admin_key_of_the_browser_tests';
/** Starting takes a second, and much longer beside other tests. */
const START_MS = 60_000;
const REQUEST_MS = 30_000;

/** A tenant with a key that may do everything in it. */
export interface Tenant {
  id: string;
  key: string;
}

/** The service as it is built, in a process of its own, on a database of its own. */
export class Site {
  readonly database: TestDatabase;
  /** Direct queries, past the service. */
  readonly sql: pg.Pool;
  readonly address: string;
  readonly adminKey = ADMIN_KEY;
  private readonly env: Record<string, string>;
  private program: Program | null = null;
  private tenants = 0;

  private constructor(database: TestDatabase, port: number, env: Record<string, string>) {
    this.database = database;
    this.sql = new pg.Pool({ connectionString: database.url, max: 2 });
    this.sql.on('error', () => undefined);
    this.address = `http://127.0.0.1:${port}`;
    const url = { DATABASE_URL: database.url, ADMIN_KEY, PORT: String(port) };
    this.env = { TIDEMARK_PROFILE: 'test', CONSOLE: 'true', CLOSER_INTERVAL_MS: '250', ...url, ...env };
  }

  /** @param env further settings of the service. */
  static async open(env: Record<string, string> = {}): Promise<Site> {
    const site = new Site(await createTestDatabase(), await freePort(), env);
    try {
      await site.start();
      return site;
    } catch (error) {
      await site.close();
      throw error;
    }
  }

  /** Starts the service, at its address. */
  async start(): Promise<void> {
    this.program = runProgram(['serve'], this.env);
    await this.program.says(/"address"|Tidemark is ready/, START_MS);
  }

  /** What the service has printed since it started. */
  said(): string {
    return this.program?.stdout() ?? '';
  }

  /** Stops the service as an operator does; its page loses it. */
  async stop(): Promise<void> {
    this.program?.child.kill('SIGTERM');
    await this.program?.exited;
    this.program = null;
  }

  async close(): Promise<void> {
    this.program?.child.kill('SIGKILL');
    await this.program?.exited;
    await this.sql.end();
    await this.database.drop();
  }

  /**
   * Calls the service.
   *
   * @param options.key default: the platform's.
   * @returns the body.
   * @throws unless it is a success.
   */
  async call(
    method: string,
    path: string,
    { key = ADMIN_KEY, body, headers = {} }: CallOptions = {},
    // biome-ignore lint/suspicious/noExplicitAny: whatever the service says; the tests look into it
  ): Promise<any> {
    const answer = await fetch(this.address + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(REQUEST_MS),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return answer.headers.get('content-type')?.includes('json') ? JSON.parse(text) : text;
  }

  /** A tenant of its own. */
  async tenant(scopes = ['ingest', 'read', 'correct', 'admin']): Promise<Tenant> {
    const id = `tenant-${++this.tenants}`;
    await this.call('POST', '/v1/tenants', { body: { id, name: `Tenant ${this.tenants}` } });
    return { id, key: await this.key(id, scopes) };
  }

  /** A key of a tenant with these scopes; null: of the platform. */
  async key(tenantId: string | null, scopes: string[]): Promise<string> {
    const { key } = await this.call('POST', '/v1/keys', { body: { tenantId, scopes } });
    return key;
  }

  /** Rows of a statement. */
  // biome-ignore lint/suspicious/noExplicitAny: whatever the statement selects
  async rows(text: string, values: unknown[] = []): Promise<any[]> {
    return (await this.sql.query(text, values)).rows;
  }
}

interface CallOptions {
  key?: string;
  body?: unknown;
  headers?: Record<string, string>;
}
