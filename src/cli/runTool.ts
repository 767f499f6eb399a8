import { pino } from 'pino';
import { StartupError, TidemarkError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';

/** The log of a command line tool: warnings, on standard error, since standard output is for results. */
export function toolLogger(): Logger {
  return pino({ level: 'warn', base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
}

/**
 * Runs a tool and sets the exit code it returns. A reason not to go on is one line and code 1; anything else is a
 * fault of ours and shows its stack.
 */
export function runTool(tool: () => Promise<number>): void {
  tool().then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      process.exitCode = 1;
      const expected = error instanceof StartupError || error instanceof TidemarkError;
      process.stderr.write(`tidemark: ${expected ? error.message : ((error as Error).stack ?? error)}\n`);
    },
  );
}
