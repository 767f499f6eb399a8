import type { Fault } from '../trial.ts';

export const redisKilled: Fault = {
  name: 'redisKilled',
  description: 'Redis killed (SIGKILL), started again empty',
  engineFree: true,
  short: { times: 2, holdMs: 600 },
  long: { times: 20, holdMs: 2_000 },
  unnoticed: true,
  readiness: 'ready',
  async run(trial, { times, holdMs }) {
    const { site } = trial;
    for (let i = 0; i < times; i++) {
      await trial.outage({ begin: () => site.killRedis(), holdMs, end: () => site.startRedis() });
    }
  },
};
