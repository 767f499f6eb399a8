import { interruption } from './interruption.ts';

/** Runs a benchmark as the program: what goes wrong is told, a stop in one line, and the exit code is 1. */
export function runToEnd(benchmark: () => Promise<void>): void {
  benchmark().catch((error) => {
    console.error(interruption.aborted ? interruption.reason.message : error);
    process.exitCode = 1;
  });
}
