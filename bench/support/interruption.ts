/*
 * Ctrl-C and SIGTERM end the measurement at hand, and everything is taken down as after a failure. A second one ends
 * the process at once.
 */

const controller = new AbortController();

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (controller.signal.aborted) process.exit(1);
    controller.abort(new Error(`stopped by ${signal}`));
  });
}

/** Aborted when the benchmark is to stop. */
export const interruption = controller.signal;

/** Settles with the work, or rejects when the benchmark is to stop. */
export async function unlessInterrupted<Result>(work: Promise<Result>): Promise<Result> {
  interruption.throwIfAborted();
  const listening = new AbortController();
  const interrupted = new Promise<never>((_, reject) => {
    interruption.addEventListener('abort', () => reject(interruption.reason), { signal: listening.signal });
  });
  try {
    return await Promise.race([work, interrupted]);
  } finally {
    listening.abort();
  }
}
