import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../dist/faces/cli/tidemark.js', import.meta.url));

export interface Ended {
  code: number | string;
  out: string;
  err: string;
}

/** Starts `tidemark` as `buildProgram` has built it, with nothing of our environment but what is needed to run. */
export function startTidemark(
  args: string[],
  env: Record<string, string>,
): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, ['--enable-source-maps', PROGRAM, ...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout!.on('data', (chunk) => out.push(chunk));
  child.stderr!.on('data', (chunk) => err.push(chunk));
  const ended = once(child, 'close').then(([code, signal]) => ({
    code: code ?? signal,
    out: Buffer.concat(out).toString(),
    err: Buffer.concat(err).toString(),
  }));
  return { child, ended };
}

export function runTidemark(args: string[], env: Record<string, string>): Promise<Ended> {
  return startTidemark(args, env).ended;
}
