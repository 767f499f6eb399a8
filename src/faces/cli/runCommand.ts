import { pino } from 'pino';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { StartupError, TidemarkError, UsageError } from '../../model/errors.ts';
import { FAILED, INTERRUPTED, WRONG_USAGE } from './exitCodes.ts';

/** The log of a command: warnings, on standard error, since standard output is for results. */
export function toolLogger(): Logger {
  return pino({ level: 'warn', base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
}

/** For a command that tells by itself what is wrong. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' });
}

/** A second signal sooner than this is the same one: npm may pass on what the terminal has sent already. In ms. */
const SAME_SIGNAL_MS = 1_000;

/**
 * Runs a command and sets the exit code it returns. A reason not to go on is one line; anything else is a fault of ours
 * and shows its stack.
 */
export async function runCommand(command: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await command();
  } catch (error) {
    process.exitCode = error instanceof UsageError ? WRONG_USAGE : FAILED;
    const expected = error instanceof StartupError || error instanceof TidemarkError;
    process.stderr.write(`tidemark: ${expected ? error.message : ((error as Error).stack ?? error)}\n`);
  }
}

/** Aborts with the first SIGINT or SIGTERM; another one later ends the process at once. */
export function interruption(): AbortSignal {
  const controller = new AbortController();
  let first = 0;
  const onSignal = () => {
    if (controller.signal.aborted && Date.now() - first > SAME_SIGNAL_MS) process.exit(INTERRUPTED);
    first ||= Date.now();
    controller.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return controller.signal;
}
