import type { Fault } from '../trial.ts';

export const postgresStopped: Fault = {
  name: 'postgresStopped',
  description: 'PostgreSQL stopped in immediate mode, started again',
  short: { times: 2, holdMs: 600 },
  long: { times: 50, holdMs: 1_000 },
  readiness: 'away',
  async run(trial, { times, holdMs }) {
    const { cluster } = trial.site;
    for (let i = 0; i < times; i++) {
      await trial.outage({
        begin: () => cluster.stop('immediate'),
        holdMs,
        end: () => cluster.start(),
      });
    }
  },
};
