import { Redis } from 'ioredis';
import type { Fault } from '../trial.ts';

/** What makes Redis refuse commands, and what makes it take them again. */
const REFUSALS: { error: string; on: string[]; off: string[] }[] = [
  { error: 'OOM', on: ['config', 'set', 'maxmemory', '1'], off: ['config', 'set', 'maxmemory', '0'] },
  { error: 'READONLY', on: ['replicaof', '127.0.0.1', '1'], off: ['replicaof', 'no', 'one'] },
  {
    error: 'NOREPLICAS',
    on: ['config', 'set', 'min-replicas-to-write', '1'],
    off: ['config', 'set', 'min-replicas-to-write', '0'],
  },
  {
    error: 'NOPERM',
    on: ['acl', 'setuser', 'default', '-eval'],
    off: ['acl', 'setuser', 'default', '+eval'],
  },
];

export const redisErrors: Fault = {
  name: 'redisErrors',
  description: `Redis answers errors (${REFUSALS.map(({ error }) => error).join(', ')})`,
  engineFree: true,
  short: { times: 1, holdMs: 700 },
  long: { times: 5, holdMs: 5_000 },
  unnoticed: true,
  readiness: 'ready',
  async run(trial, { times, holdMs }) {
    const redis = new Redis(trial.site.redis.url);
    redis.on('error', () => undefined);
    const send = ([command, ...args]: string[]) => redis.call(command!, args);
    try {
      for (let i = 0; i < times; i++) {
        for (const { on, off } of REFUSALS) {
          await trial.outage({ begin: () => send(on), holdMs, end: () => send(off) });
        }
      }
    } finally {
      redis.disconnect();
    }
  },
};
