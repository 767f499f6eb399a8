import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/*
 * Processes of this benchmark: each ends with its parent, however that ends. Those that are ours see their channel
 * close; for the service, exitWithParent.mjs does. In order they end by SIGTERM.
 */

const EXIT_WITH_PARENT = new URL('exitWithParent.mjs', import.meta.url).href;
const STOP_MS = 20_000;

export interface Child {
  process: ChildProcess;
  pid: number;
  /** What it has printed lately, for a message. */
  said(): string;
  /** Ends it; resolves with its exit code when it is gone, null when it had to be killed. */
  stop(): Promise<number | null>;
}

/**
 * @param module a module of ours (the URL of a `.ts`) or the path of a compiled program (`.js`).
 * @param env the whole environment, but for PATH.
 */
export function startChild(
  module: URL | string,
  env: Record<string, string> = {},
  args: readonly string[] = [],
): Child {
  const ours = module instanceof URL;
  const child = fork(ours ? fileURLToPath(module) : module, args, {
    execArgv: ours ? ['--import', 'tsx'] : ['--enable-source-maps', '--import', EXIT_WITH_PARENT],
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const lines: string[] = [];
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      lines.push(text);
      if (lines.length > 50) lines.shift();
    });
  }
  const exited = once(child, 'exit');
  const onExit = () => child.kill('SIGKILL');
  process.once('exit', onExit);
  exited.then(() => process.off('exit', onExit)).catch(() => undefined);
  return {
    process: child,
    pid: child.pid!,
    said: () => lines.join('').slice(-2_000),
    async stop() {
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await exited;
      clearTimeout(late);
      return child.exitCode;
    },
  };
}

/** Resolves with the next message, and rejects when the child ends without one. */
export async function messageOf<Message>(child: Child): Promise<Message> {
  const listening = new AbortController();
  const { signal } = listening;
  try {
    return await Promise.race([
      once(child.process, 'message', { signal }).then(([message]) => message as Message),
      once(child.process, 'exit', { signal }).then(() => {
        throw new Error(`a process of the benchmark has ended: ${child.said()}`);
      }),
    ]);
  } finally {
    listening.abort();
  }
}
