import { parseArgs } from 'node:util';
import { atLeast, enginesOf, lengthsOf, orUsage, whole } from '../support/commandLine.ts';
import type { Engine } from '../support/servers.ts';

export interface Options {
  engines: Engine[];
  /** Length of one measurement, and of the load before it that is not counted, in ms. */
  durationMs: number;
  warmupMs: number;
  rounds: number;
  /** That are stored. */
  events: number;
  /** Days that they lie in. */
  days: number;
  build: boolean;
}

/** A month of whole days has to lie in them, wherever today begins. */
const LEAST_DAYS = 33;

const USAGE = `npm run bench:costs -- [options]
  --engine postgres|timescale|both   default both
  --rounds N                         times that everything is asked in turn, default 3
  --seconds N                        length of one measurement, default 10
  --events N                         that are stored, default 5000000
  --days N                           that they lie in, default 40, ${LEAST_DAYS} at least
  --no-build                         measure the dist/ that is there`;

/** Reads the command line. Ends the process, with the usage, when it makes no sense. */
export function readOptions(args: string[]): Options {
  return orUsage(USAGE, () => {
    const { values } = parseArgs({
      args,
      options: {
        engine: { type: 'string', default: 'both' },
        rounds: { type: 'string', default: '3' },
        seconds: { type: 'string', default: '10' },
        events: { type: 'string', default: '5000000' },
        days: { type: 'string', default: '40' },
        'no-build': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    return {
      engines: enginesOf(values.engine),
      ...lengthsOf(atLeast(values.seconds, 0.1)),
      rounds: whole(values.rounds),
      events: whole(values.events),
      days: whole(values.days, LEAST_DAYS),
      build: !values['no-build'],
    };
  });
}
