import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { z } from 'zod';
import { StartupError } from '../../model/errors.ts';
import type { Config } from '../config/loadConfig.ts';
import { askServer } from './askServer.ts';
import { folderFault } from './folderFault.ts';
import { freePort } from './freePort.ts';
import { adoptCluster, type PostgresCluster, startCluster } from './postgresCluster.ts';
import { readPrivate, writePrivate } from './privateFile.ts';
import { readLockFile } from './runningServer.ts';
import { lockService } from './serviceLock.ts';

const NAME = 'tidemark';

const SETTINGS = {
  shared_buffers: '128MB',
  max_connections: '50',
  max_wal_size: '512MB',
  fsync: 'on',
  synchronous_commit: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
};

/** `database.json`: how to reach the database of a data folder. */
const ACCESS = z.object({
  port: z.number().int().min(1).max(65_535),
  /** EMBEDDED_PG_PORT when `port` was chosen; `port` is another one where that was taken. */
  wantedPort: z.number().int(),
  password: z.string().min(16),
});
type Access = z.infer<typeof ACCESS>;

export interface LocalDatabase {
  /** Connection string, the password in it. */
  url: string;
  /** Settles when the server is gone, whoever ended it. Never rejects. */
  exited: Promise<unknown>;
  /** Stops the server, which ends its sessions, and lets go of the folder. */
  stop(): Promise<void>;
}

/**
 * The PostgreSQL that a machine without a database gets, in `config.dataDir`, kept between runs. A server that a
 * killed run left behind is taken over.
 *
 * @param log told, in a line, what is unusual.
 * @throws {StartupError} when the folder is in use by another service or cannot be used, or PostgreSQL does not
 *   start.
 */
export async function startLocalDatabase(
  config: Pick<Config, 'dataDir'> & { database: Pick<Config['database'], 'embeddedPort'> },
  log: (line: string) => void = () => undefined,
): Promise<LocalDatabase> {
  const { dataDir } = config;
  try {
    await mkdir(dataDir, { recursive: true });
    const lock = await lockService(dataDir);
    try {
      const { cluster, url } = await startIn(dataDir, config.database.embeddedPort, log);
      const stop = async () => {
        await cluster.stop();
        await lock.release();
      };
      return { url, exited: cluster.exited, stop };
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    throw folderFault(dataDir, error);
  }
}

/**
 * The connection string of the database of `dataDir` while it runs, for command line tools beside the service;
 * undefined when it does not run.
 *
 * @throws {StartupError} when the folder cannot be read.
 */
export async function findLocalDatabase(dataDir: string): Promise<string | undefined> {
  try {
    const access = await readPrivate(accessFile(dataDir), ACCESS);
    if (!access || !(await readLockFile(serverDir(dataDir)))) return undefined;
    return (await askServer(addressOf(access))) === 'ready' ? urlOf(access) : undefined;
  } catch (error) {
    throw folderFault(dataDir, error);
  }
}

async function startIn(
  dataDir: string,
  wantedPort: number,
  log: (line: string) => void,
): Promise<{ cluster: PostgresCluster; url: string }> {
  const kept = await readPrivate(accessFile(dataDir), ACCESS);
  const server = {
    dataDir: serverDir(dataDir),
    logFile: join(dataDir, 'postgres.log'),
    user: NAME,
    password: kept?.password ?? randomBytes(24).toString('base64url'),
    settings: SETTINGS,
    log,
  };
  const left = kept && (await adoptCluster(server));
  const keptPorts = kept?.wantedPort === wantedPort ? [kept.port] : [];
  const port = left?.port ?? (await freePort(...keptPorts, wantedPort));
  const access: Access = { port, wantedPort, password: server.password };
  // Before the cluster is made: a password that only the cluster knows would lock us out of it.
  if (port !== kept?.port || wantedPort !== kept.wantedPort) await writePrivate(accessFile(dataDir), access);

  const cluster = left ?? (await startCluster({ ...server, port }));
  try {
    await ensureDatabase(access);
    return { cluster, url: urlOf(access) };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function ensureDatabase(access: Access): Promise<void> {
  const answer = await askServer(addressOf(access));
  if (answer === 'ready') return;
  if (answer !== 'no-database') throw new StartupError(`the local PostgreSQL does not let us in (${answer})`);
  const client = new pg.Client(urlOf(access, 'postgres'));
  try {
    await client.connect();
    await client.query(`create database ${NAME}`);
  } finally {
    await client.end();
  }
}

function addressOf(access: Access) {
  return { port: access.port, user: NAME, password: access.password, database: NAME };
}

function urlOf(access: Access, database = NAME): string {
  return `postgres://${NAME}:${access.password}@127.0.0.1:${access.port}/${database}`;
}

function accessFile(dataDir: string): string {
  return join(dataDir, 'database.json');
}

function serverDir(dataDir: string): string {
  return join(dataDir, 'postgres');
}
