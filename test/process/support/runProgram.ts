import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** A program of dist/ as a process of its own. */
export interface Program {
  child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** The exit code, or the signal that ended it. */
  exited: Promise<number | string>;
  /** Waits until standard output matches, and returns the groups of the match. */
  says(pattern: RegExp, timeoutMs?: number): Promise<string[]>;
}

/** Starts `node dist/faces/cli/tidemark.js …` with an environment of its own: nothing of ours but what is needed to run. */
export function runProgram(
  args: string[],
  env: Record<string, string>,
  options: { uid?: number; gid?: number; cwd?: string } = {},
): Program {
  const child = spawn(
    process.execPath,
    ['--enable-source-maps', `${ROOT}/dist/faces/cli/tidemark.js`, ...args],
    {
      cwd: ROOT,
      ...options,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let stdout = '';
  let stderr = '';
  child.stdout!.on('data', (data) => {
    stdout += data;
    child.emit('said');
  });
  child.stderr!.on('data', (data) => {
    stderr += data;
  });
  const exited = once(child, 'close').then(([code, signal]) => {
    child.emit('said');
    return code ?? signal;
  });
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    exited,
    async says(pattern, timeoutMs = 60_000) {
      const timeout = AbortSignal.timeout(timeoutMs);
      for (;;) {
        const match = pattern.exec(stdout);
        if (match) return match.slice(1);
        const gone = child.exitCode !== null || child.signalCode !== null;
        const why = gone ? `it ended (${child.exitCode ?? child.signalCode})` : `not within ${timeoutMs} ms`;
        if (gone || timeout.aborted) throw new Error(`${pattern}: ${why}\n${stdout}\n${stderr}`);
        await once(child, 'said', { signal: timeout }).catch(() => undefined);
      }
    },
  };
}
