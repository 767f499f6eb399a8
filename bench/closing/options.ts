import { parseArgs } from 'node:util';
import { atLeast, enginesOf, lengthsOf, listOf, orUsage, whole } from '../support/commandLine.ts';
import type { Engine } from '../support/servers.ts';
import type { LockName } from './measureClosing.ts';

export const PARTS = ['fast', 'real', 'stragglers', 'stall'] as const;
export type Part = (typeof PARTS)[number];

export interface ClosingOptions {
  engines: Engine[];
  parts: Set<Part>;
  durationMs: number;
  /** Of a measurement at real speed: a minute at least, since only every 30 s a window closes. */
  realDurationMs: number;
  warmupMs: number;
  rounds: number;
  instances: number[];
  locks: LockName[];
  factor: number;
  intervalMs: number;
  graceMs: number;
  stragglerGraceMs: number;
  build: boolean;
}

/** Time may run ahead by a day at most (ACCEPT_AHEAD_SECONDS); a few minutes are left for the rest of a run. */
const MOST_AHEAD_MS = 80_000_000;

const USAGE = `npm run bench:closing -- [options]
  --engine postgres|timescale|both   default both
  --only ${PARTS.join(',')}  default all
  --seconds N                        length of one measurement, default 10; at real speed at least 60
  --rounds N                         times that everything is measured in turn, default 3
  --instances 1,2,4,8                how many close at once
  --lock database,redis              what decides who closes
  --factor N                         how many times as fast as the clock time runs, default 30
  --interval N                       pause of the closing loops in ms while time runs fast, default 100
  --grace N                          in real ms, default 2000
  --straggler-grace N                the same for stragglers, default 50
  --no-build                         measure the dist/ that is there`;

/** Reads the command line. Ends the process, with the usage, when it makes no sense. */
export function readClosingOptions(args: string[]): ClosingOptions {
  return orUsage(USAGE, () => {
    const { values } = parseArgs({
      args,
      options: {
        engine: { type: 'string', default: 'both' },
        only: { type: 'string', default: PARTS.join(',') },
        seconds: { type: 'string', default: '10' },
        rounds: { type: 'string', default: '3' },
        instances: { type: 'string', default: '1,2,4,8' },
        lock: { type: 'string', default: 'database,redis' },
        factor: { type: 'string', default: '30' },
        interval: { type: 'string', default: '100' },
        grace: { type: 'string', default: '2000' },
        'straggler-grace': { type: 'string', default: '50' },
        'no-build': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    const seconds = atLeast(values.seconds, 1);
    const factor = atLeast(values.factor, 1);
    if (factor * (seconds + 60) * 1_000 > MOST_AHEAD_MS) {
      throw new Error('--factor times --seconds: time would run ahead of the clock by more than a day');
    }
    return {
      engines: enginesOf(values.engine),
      parts: new Set(listOf(values.only, PARTS)),
      ...lengthsOf(seconds),
      realDurationMs: Math.max(60, seconds) * 1_000,
      rounds: whole(values.rounds),
      instances: values.instances.split(',').map((text) => atLeast(text, 1)),
      locks: listOf(values.lock, ['database', 'redis']),
      factor,
      intervalMs: atLeast(values.interval, 1),
      graceMs: atLeast(values.grace, 0),
      stragglerGraceMs: atLeast(values['straggler-grace'], 0),
      build: !values['no-build'],
    };
  });
}
