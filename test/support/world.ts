import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { buildProgram } from './buildProgram.ts';
import { closedUntil } from './closing.ts';
import { createTestDatabase, type TestDatabase } from './database.ts';
import { type RedisServer, startRedis } from './redisServer.ts';
import { ADMIN_KEY, type Answer } from './service.ts';

const INSTANCE = fileURLToPath(new URL('instance.mjs', import.meta.url));
const REQUEST_MS = 20_000;

/** What an instance is told over IPC; it answers with the same id. */
type Order = { id: number } & (
  | { do: 'close'; untilMs: number }
  | { do: 'refresh' }
  /** Into the columnstore with the newest chunks that are not there, though nothing there is of any age. */
  | { do: 'pack'; chunks: number }
  /** So many parts of meters at most; and the members of an hour or a day that is over. */
  | { do: 'fold'; parts: number }
  /** Steps of a fill, each of so much time at most. */
  | { do: 'fill'; spanMs: number; steps: number }
);

interface Report {
  id: number;
  /** What the round failed with. */
  error?: string;
}

type OrderOf<Do> = Do extends unknown ? Omit<Extract<Order, { do: Do }>, 'id'> : never;

/** A process that serves the database until it is killed; another one takes its place. */
export class Instance {
  private readonly env: Record<string, string>;
  private child!: ChildProcess;
  private address = '';
  private orders = 0;
  private ready: Promise<void>;

  constructor(env: Record<string, string>) {
    this.env = env;
    this.ready = this.spawn();
    this.ready.catch(() => undefined); // whoever needs it is told
  }

  private async spawn(): Promise<void> {
    const child = fork(INSTANCE, {
      execArgv: ['--enable-source-maps'],
      env: { PATH: process.env.PATH, ...this.env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.child = child;
    const died = once(child, 'exit').then(() => {
      throw new Error('an instance does not start');
    });
    died.catch(() => undefined);
    const [{ address }] = (await Promise.race([once(child, 'message'), died])) as [{ address: string }];
    this.address = address;
  }

  /** Resolves when it serves. */
  async up(): Promise<void> {
    await this.ready;
  }

  /** Ends it as a crash would, and starts another. */
  async kill(): Promise<void> {
    await this.ready;
    this.child.kill('SIGKILL');
    this.ready = once(this.child, 'exit').then(() => this.spawn());
    this.ready.catch(() => undefined);
  }

  /** Stops its process (SIGSTOP). @returns what lets it go on. */
  async freeze(): Promise<() => void> {
    await this.ready;
    const { child } = this;
    child.kill('SIGSTOP');
    return () => child.kill('SIGCONT');
  }

  async end(): Promise<void> {
    await this.ready.catch(() => undefined);
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGKILL');
    await once(this.child, 'exit');
  }

  /** @returns null when it has not answered: the instance was killed, or the connection broke. */
  async call(method: string, path: string, key: string, body?: unknown): Promise<Answer | null> {
    await this.ready;
    try {
      const response = await fetch(this.address + path, {
        method,
        headers: {
          authorization: `Bearer ${key}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(REQUEST_MS),
      });
      return { status: response.status, body: JSON.parse(await response.text()), headers: response.headers };
    } catch (error) {
      if ((error as Error).name === 'TimeoutError') throw new Error(`${method} ${path} did not settle`);
      return null;
    }
  }

  /** Has its closer or refresher do a round. Resolves also when the round fails or the process ends. */
  async order(order: OrderOf<Order['do']>): Promise<void> {
    await this.ready;
    const id = ++this.orders;
    const { child } = this;
    await new Promise<void>((resolve) => {
      const done = () => {
        child.off('message', onMessage);
        child.off('exit', done);
        resolve();
      };
      const onMessage = (report: Report) => {
        if (report.id === id) done();
      };
      child.on('message', onMessage);
      child.once('exit', done);
      child.send({ ...order, id }, (error) => {
        if (error) done();
      });
    });
  }
}

/** A database, a Redis, and the instances that share them: processes, which can be killed and stopped. */
export class World {
  readonly database: TestDatabase;
  readonly sql: pg.Pool;
  readonly instances: Instance[];
  private redis: RedisServer;
  private losingRedis: Promise<void> | undefined;
  private ending: Promise<void> | undefined;

  private constructor(database: TestDatabase, redis: RedisServer, instances: number) {
    this.database = database;
    this.redis = redis;
    this.sql = new pg.Pool({ connectionString: database.url, max: 10, application_name: 'oracle' });
    this.sql.on('error', () => undefined);
    const env = {
      TIDEMARK_PROFILE: 'test',
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      ADMIN_KEY,
      LOG_LEVEL: 'silent',
      CLOSER_STEP_MINUTES: '60',
      INGEST_DEADLINE_MS: '10000',
      INGEST_COLUMNS_FROM_ROWS: '3', // so that most batches are written both ways
    };
    this.instances = Array.from({ length: instances }, () => new Instance(env));
  }

  static async make(instances: number): Promise<World> {
    await buildProgram();
    const [database, redis] = await Promise.all([createTestDatabase(), startRedis()]);
    const world = new World(database, redis, instances);
    try {
      await world.settled();
    } catch (error) {
      await world.end().catch(() => undefined);
      throw error;
    }
    return world;
  }

  /** Everything is up, and no batch of an instance that was killed is still on its way. */
  async settled(): Promise<void> {
    await Promise.all(this.instances.map((instance) => instance.up()));
    for (;;) {
      const { rows } = await this.sql.query(
        `select count(*)::int as busy from pg_stat_activity
         where datname = current_database() and application_name like 'tidemark%' and state <> 'idle'`,
      );
      if (rows[0].busy === 0) return;
      await sleep(5);
    }
  }

  /** Ends some of the sessions of the instances. */
  async killBackends(share: number): Promise<void> {
    await this.sql.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name like 'tidemark%' and random() < $1`,
      [share],
    );
  }

  /** Batches that have entered stand still for a while, before their events are stored. */
  async holdBatches(ms: number): Promise<void> {
    const client = await this.sql.connect();
    try {
      await client.query('begin; lock table event in share mode');
      await sleep(ms);
      await client.query('commit');
    } finally {
      client.release();
    }
  }

  /** Redis crashes, loses everything and comes back. */
  loseRedis(): Promise<void> {
    this.losingRedis ??= this.restartRedis().finally(() => {
      this.losingRedis = undefined;
    });
    return this.losingRedis;
  }

  private async restartRedis(): Promise<void> {
    await this.redis.kill();
    this.redis = await startRedis({ port: this.redis.port });
  }

  /** How far windows are closed, in ms. */
  closedUntil(): Promise<number> {
    return closedUntil(this.sql);
  }

  /** Once, however often it is asked for: where no other world could be made, nobody knows that this one has ended. */
  end(): Promise<void> {
    this.ending ??= this.release();
    return this.ending;
  }

  /** Whatever of it fails, the rest is ended. */
  private async release(): Promise<void> {
    const ended = [await Promise.allSettled(this.instances.map((instance) => instance.end()))];
    await this.losingRedis?.catch(() => undefined); // it would come back
    ended.push(await Promise.allSettled([this.sql.end()]));
    ended.push(await Promise.allSettled([this.database.drop(), this.redis.stop()]));
    const failed = ended.flat().find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
  }
}
