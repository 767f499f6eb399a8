import pg from 'pg';
import type { Fault } from '../trial.ts';

export const lockHeld: Fault = {
  name: 'lockHeld',
  description: 'the event table locked (ACCESS EXCLUSIVE)',
  short: { times: 1, holdMs: 3_500 },
  long: { times: 3, holdMs: 15_000 },
  readiness: 'ready',
  async run(trial, { times, holdMs }) {
    const client = new pg.Client(trial.site.url);
    await client.connect();
    try {
      for (let i = 0; i < times; i++) {
        await trial.outage({
          begin: () => client.query('begin; lock table event in access exclusive mode'),
          holdMs,
          end: () => client.query('commit'),
        });
      }
    } finally {
      await client.end();
    }
  },
};
