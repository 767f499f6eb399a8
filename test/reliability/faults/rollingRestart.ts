import type { Fault } from '../trial.ts';

export const rollingRestart: Fault = {
  name: 'rollingRestart',
  description: 'two instances restarted in turn (SIGTERM)',
  engineFree: true,
  once: 2, // either instance
  short: { times: 2, holdMs: 0 },
  long: { times: 20, holdMs: 0 },
  instances: 2,
  allowed: ['refused'], // the balancer asks the other one
  unnoticed: true,
  async run(trial, { times }) {
    for (let i = 0; i < times; i++) await trial.restart(i % trial.services.length);
  },
};
