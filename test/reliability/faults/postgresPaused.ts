import type { Fault } from '../trial.ts';

export const postgresPaused: Fault = {
  name: 'postgresPaused',
  description: 'all processes of PostgreSQL paused (SIGSTOP)',
  engineFree: true,
  short: { times: 1, holdMs: 4_000 },
  long: { times: 3, holdMs: 30_000 },
  readiness: 'away',
  async run(trial, { times, holdMs }) {
    const { cluster } = trial.site;
    for (let i = 0; i < times; i++) {
      await trial.outage({ begin: () => cluster.pause(), holdMs, end: async () => cluster.resume() });
    }
  },
};
