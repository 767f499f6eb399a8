import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Memory } from './instance.ts';

const INSTANCE = fileURLToPath(new URL('instance.ts', import.meta.url));

/** The instance under attack. */
export interface Target {
  address: string;
  /** Null while it lives. */
  exit(): string | null;
  memory(): Promise<Memory>;
  /** What it has said: its log from `warn` up, and whatever a library prints. */
  said(): string;
  end(): Promise<void>;
}

export async function startTarget(env: Record<string, string>): Promise<Target> {
  const child: ChildProcess = fork(INSTANCE, {
    execArgv: ['--import', 'tsx', '--expose-gc'],
    env: { PATH: process.env.PATH, LOG_LEVEL: 'warn', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let said = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (data) => {
      if (said.length < 100_000) said += data;
    });
  }
  const died = once(child, 'exit').then(() => {
    throw new Error(`the instance does not start: ${said}`);
  });
  died.catch(() => undefined);
  const [{ address }] = (await Promise.race([once(child, 'message'), died])) as [{ address: string }];
  return {
    address,
    exit: () =>
      child.exitCode === null && child.signalCode === null ? null : `${child.exitCode ?? child.signalCode}`,
    async memory() {
      const answer = once(child, 'message');
      child.send('memory');
      const [memory] = (await Promise.race([answer, died])) as [Memory];
      return memory;
    },
    said: () => said,
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
