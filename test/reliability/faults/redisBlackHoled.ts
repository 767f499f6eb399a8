import type { Fault } from '../trial.ts';

export const redisBlackHoled: Fault = {
  name: 'redisBlackHoled',
  description: 'Redis paused (SIGSTOP): it takes what is sent and never answers',
  engineFree: true,
  short: { times: 1, holdMs: 2_500 },
  long: { times: 3, holdMs: 30_000 },
  unnoticed: true,
  readiness: 'ready',
  async run(trial, { times, holdMs }) {
    const { pid } = trial.site.redis;
    const resume = () => void process.kill(pid, 'SIGCONT');
    process.once('exit', resume);
    for (let i = 0; i < times; i++) {
      await trial.outage({
        begin: async () => process.kill(pid, 'SIGSTOP'),
        holdMs,
        end: async () => resume(),
      });
    }
    process.off('exit', resume);
  },
};
