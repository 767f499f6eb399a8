import { parseCommandLine } from '../../../src/faces/cli/parseCommandLine.ts';
import { tidemarkProgram } from '../../../src/faces/cli/program.ts';
import type { Ended, runTidemark } from '../../support/runTidemark.ts';

/** How a command is run: as a process of its own, or here. */
export type RunCommand = typeof runTidemark;

/**
 * Runs a command in this process, with that environment, and catches what it prints: a process takes half a second to
 * load the program. Not for commands that are interrupted, read standard input or serve; one at a time.
 */
export async function runCommandHere(args: string[], env: Record<string, string>): Promise<Ended> {
  const before = { env: process.env, exitCode: process.exitCode };
  const listeners = SIGNALS.map((signal) => process.listeners(signal));
  const out = caught(process.stdout);
  const err = caught(process.stderr);
  process.env = { PATH: before.env.PATH, HOME: before.env.HOME, ...env };
  process.exitCode = undefined;
  try {
    await parseCommandLine(await tidemarkProgram(args[0]), [process.execPath, 'tidemark', ...args]);
    return { code: Number(process.exitCode ?? 0), out: out.text(), err: err.text() };
  } finally {
    process.env = before.env;
    process.exitCode = before.exitCode;
    out.restore();
    err.restore();
    for (const [i, signal] of SIGNALS.entries()) {
      for (const listener of process.listeners(signal))
        if (!listeners[i]!.includes(listener)) process.off(signal, listener);
    }
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

function caught(stream: NodeJS.WriteStream): { text(): string; restore(): void } {
  let text = '';
  const { write } = stream;
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    const done = rest.at(-1);
    if (typeof done === 'function') process.nextTick(done);
    return true;
  }) as typeof write;
  return {
    text: () => text,
    restore() {
      stream.write = write;
    },
  };
}
