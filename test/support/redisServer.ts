import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../../src/ground/local/freePort.ts';
import { installedProgram } from './program.ts';
import { runFolder } from './runFolder.ts';

const START_TIMEOUT_MS = 10_000;

export interface RedisServer {
  url: string;
  port: number;
  pid: number;
  /** What was spawned. */
  program: string;
  /** Ends it in order. Resolves when it is gone. */
  stop(): Promise<void>;
  /** Ends it as a crash would (SIGKILL). Resolves when it is gone. */
  kill(): Promise<void>;
}

/**
 * Starts an empty Redis on 127.0.0.1 that keeps nothing. With the `port` of one that has ended, it comes back
 * where its clients look for it; with a `dataDir`, which its caller removes, it keeps everything it has acknowledged there.
 */
export async function startRedis(options: { port?: number; dataDir?: string } = {}): Promise<RedisServer> {
  const program = await installedProgram('redis-server');
  const port = options.port ?? (await freePort());
  const keeps = options.dataDir !== undefined;
  const dir = options.dataDir ?? (await mkdtemp(join(await runFolder(), 'redis-')));
  const log = join(dir, 'redis.log');
  const child = spawn(
    program,
    [
      ...['--port', String(port), '--bind', '127.0.0.1', '--save', ''],
      ...['--appendonly', keeps ? 'yes' : 'no', '--appendfsync', 'always'],
      ...['--dir', dir, '--pidfile', join(dir, 'redis.pid'), '--logfile', log],
    ],
    { stdio: 'ignore' },
  );
  const onExit = () => child.kill('SIGKILL');
  process.once('exit', onExit);
  const exited = once(child, 'exit').then(() => process.off('exit', onExit));

  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await exited;
    if (!keeps) await rm(dir, { recursive: true, force: true });
  };
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!(await answersPing(port, child))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      const said = await readFile(log, 'utf8').catch(() => '');
      if (child.exitCode === null) await end('SIGKILL');
      throw new Error(`redis-server does not start on port ${port}: ${said.slice(-500)}`);
    }
    await delay(10);
  }
  const url = `redis://127.0.0.1:${port}`;
  return { url, port, pid: child.pid!, program, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') };
}

async function answersPing(port: number, child: ChildProcess): Promise<boolean> {
  if (child.exitCode !== null) return false;
  const socket = connect(port, '127.0.0.1');
  try {
    socket.write('PING\r\n');
    const [answer] = await once(socket, 'data', { signal: AbortSignal.timeout(1_000) });
    return String(answer).startsWith('+PONG');
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
