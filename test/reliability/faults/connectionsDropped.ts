import type { Fault } from '../trial.ts';
import type { Step } from '../writeCutter.ts';

/** In the order of a connection's life: its start, the way of a batch there, the way of its answer back. */
const STEPS: Step[] = [
  ...[0, 20, 120, 250].map((opening) => ({ opening })),
  ...[0, 1, 5, 60, 150, 300, 600, 1_200, 2_500, 5_000, 10_000, 20_000].map((sent) => ({ sent })),
  ...Array.from({ length: 13 }, (_, answered) => ({ answered })),
  'unheard',
  'done',
];
/** Longest answers and largest batches do not come at once, and some not at all. */
const WAIT_MS = 2_000;

export const connectionsDropped: Fault = {
  name: 'connectionsDropped',
  description: "a writer's connection dropped at each step of a write",
  once: 4, // connections that open, batches there, answers back
  short: { times: 12, holdMs: 0 },
  long: { times: 4 * STEPS.length, holdMs: 0 },
  proxied: true,
  unnoticed: true,
  async run(trial, { times }) {
    const { cutter } = trial;
    let missed = 0;
    for (let i = 0; i < times; i++) {
      const step = STEPS[Math.floor((i * STEPS.length) / Math.min(times, STEPS.length)) % STEPS.length]!;
      const reset = i % 2 === 0;
      await trial.outage({
        begin: async () => {
          // Writers open connections only when they have lost one.
          const opening = typeof step === 'object' && 'opening' in step;
          if (opening) await cutter.cutAt({ sent: 0 }, reset, WAIT_MS);
          if (!(await cutter.cutAt(step, reset, WAIT_MS))) missed++;
        },
        holdMs: 0,
        end: async () => undefined,
      });
    }
    if (missed > times / 2) trial.problem(`${missed} of ${times} cuts found nobody to cut`);
  },
};
