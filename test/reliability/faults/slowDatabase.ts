import type { Fault } from '../trial.ts';

const DELAY_MS = 2_000;

export const slowDatabase: Fault = {
  name: 'slowDatabase',
  description: 'every answer of the database 2 s late',
  engineFree: true,
  short: { times: 1, holdMs: 4_000 },
  long: { times: 3, holdMs: 30_000 },
  proxied: true,
  async run(trial, { times, holdMs }) {
    const proxy = trial.proxy!;
    const delay = async (ms: number) => {
      proxy.delayMs = ms;
    };
    for (let i = 0; i < times; i++) {
      await trial.outage({ begin: () => delay(DELAY_MS), holdMs, end: () => delay(0) });
    }
  },
};
