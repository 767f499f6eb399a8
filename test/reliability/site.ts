import { chmod, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { withDatabase } from '../support/databaseUrl.ts';
import { OwnCluster } from '../support/ownCluster.ts';
import { type RedisServer, startRedis } from '../support/redisServer.ts';
import { runFolder } from '../support/runFolder.ts';
import { stablePort } from '../support/stablePort.ts';
import { SmallDisk } from './smallDisk.ts';

export type Engine = 'postgres' | 'timescale';

/** Connections that a test may take: all of them, in one fault. */
export const MAX_CONNECTIONS = 60;

/** The servers that a service depends on, ours alone, so that they may be stopped, killed and paused. */
export class Site {
  readonly engine: Engine;
  readonly folder: string;
  readonly cluster: OwnCluster;
  /** Superuser URL of the service's database. */
  readonly url: string;
  /** Queries past the service. */
  readonly sql: pg.Pool;
  redis: RedisServer;
  disk: SmallDisk | undefined;

  private constructor(engine: Engine, folder: string, cluster: OwnCluster, redis: RedisServer) {
    this.engine = engine;
    this.folder = folder;
    this.cluster = cluster;
    this.redis = redis;
    this.url = withDatabase(cluster.url, 'tidemark');
    this.sql = new pg.Pool({ connectionString: this.url, max: 1, application_name: 'reliability' });
    this.sql.on('error', () => undefined);
  }

  /**
   * @param smallDisk the part of the data directory that lies on a small disk.
   * @returns null where this machine has no server for the engine that we may stop.
   * @throws {NotPossible} where it may not have such a disk.
   */
  static async make(engine: Engine, smallDisk?: 'base' | 'pg_wal'): Promise<Site | null> {
    const folder = await mkdtemp(join(await runFolder(), 'reliability-'));
    await chmod(folder, 0o755);
    const cluster = await OwnCluster.make(engine, folder, { max_connections: String(MAX_CONNECTIONS) });
    if (!cluster) return null;
    const client = new pg.Client(cluster.url);
    await client.connect();
    await client.query('create database tidemark');
    await client.end();
    const site = new Site(engine, folder, cluster, await startRedis({ port: await stablePort() }));
    try {
      if (smallDisk) site.disk = await SmallDisk.under(cluster, smallDisk);
      return site;
    } catch (error) {
      await site.end();
      throw error;
    }
  }

  async killRedis(): Promise<void> {
    await this.redis.kill();
  }

  async startRedis(): Promise<void> {
    this.redis = await startRedis({ port: this.redis.port });
  }

  /** Resolves when the database takes a statement. */
  async databaseAnswers(timeoutMs = 60_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const client = new pg.Client({ connectionString: this.url, connectionTimeoutMillis: 2_000 });
      client.on('error', () => undefined);
      try {
        await client.connect();
        await client.query('select 1');
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await sleep(20);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }

  async end(): Promise<void> {
    await this.sql.end();
    await this.redis.stop();
    if (this.cluster.alive) await this.cluster.stop('immediate');
    await this.disk?.unmount();
  }
}
