import { once } from 'node:events';
import { startChild } from './children.ts';
import { interruption } from './interruption.ts';
import { Meter, type Usage } from './processStats.ts';

/** How often the usage of a program is read, in ms: what it does after the last time is not counted. */
const READ_MS = 50;

export interface Metered {
  seconds: number;
  usage: Usage;
}

/**
 * Runs a compiled program until it ends, and meters it and PostgreSQL meanwhile.
 *
 * @param mark what it says on standard error when its first part is done.
 * @returns how long it took from its start, in s, and its usage, of the first part and of all, and what it has said in the
 * end. Without a mark, or one that was not said, the first part is all.
 * @throws when it ends with anything but 0, with what it has said.
 */
export async function runProgram(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
  postmaster: number | null,
  mark?: RegExp,
): Promise<{ first: Metered; all: Metered; said: string }> {
  const started = performance.now();
  const child = startChild(program, env, args);
  const meter = new Meter({ service: child.pid, postmaster });
  meter.begin();
  const read = (): Metered => ({ seconds: (performance.now() - started) / 1_000, usage: meter.end() });
  let last = read();
  let first: Metered | undefined;
  const reading = setInterval(() => {
    const now = read();
    if (now.usage.serviceCores !== null) last = now;
  }, READ_MS);
  child.process.stderr!.on('data', (text: string) => {
    if (mark?.test(text)) first ??= read();
  });
  const stop = () => void child.stop();
  interruption.addEventListener('abort', stop);
  try {
    if (child.process.exitCode === null) await once(child.process, 'exit');
    interruption.throwIfAborted();
    const seconds = (performance.now() - started) / 1_000;
    if (child.process.exitCode !== 0) {
      throw new Error(`${args[0]} ended with ${child.process.exitCode}: ${child.said()}`);
    }
    const all = { seconds, usage: last.usage };
    return { first: first ?? all, all, said: child.said() };
  } finally {
    clearInterval(reading);
    interruption.removeEventListener('abort', stop);
  }
}
