import type { Fault } from '../trial.ts';

export const databaseBlackHoled: Fault = {
  name: 'databaseBlackHoled',
  description: 'nothing arrives at the database any more; old connections stay dead',
  engineFree: true,
  short: { times: 1, holdMs: 4_000 },
  long: { times: 3, holdMs: 30_000 },
  readiness: 'away',
  proxied: true,
  async run(trial, { times, holdMs }) {
    const proxy = trial.proxy!;
    for (let i = 0; i < times; i++) {
      await trial.outage({
        begin: () => proxy.become('silent'),
        holdMs,
        end: () => proxy.become('open'),
      });
    }
  },
};
