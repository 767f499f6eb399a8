import type { Fault } from '../trial.ts';

export const serviceKilled: Fault = {
  name: 'serviceKilled',
  description: 'service killed (SIGKILL), started again at once',
  short: { times: 3, holdMs: 0 },
  long: { times: 200, holdMs: 0 },
  allowed: ['refused', 'broken'],
  async run(trial, { times, holdMs }) {
    const service = trial.services[0]!;
    for (let i = 0; i < times; i++) {
      await trial.outage({
        begin: () => service.kill(),
        holdMs,
        end: async () => service.spawn(),
      });
    }
  },
};
