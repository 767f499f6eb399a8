import { parseArgs } from 'node:util';
import { atLeast, enginesOf, lengthsOf, listOf, orUsage, whole } from '../support/commandLine.ts';
import type { Engine } from '../support/servers.ts';
import { ROWS, type Row } from './sample.ts';

export interface Options {
  /** A folder with a build, or a commit. */
  against: string;
  engines: Engine[];
  only: Set<Row>;
  /** Length of one measurement of a rate or of queries, and of the load before it that is not counted, in ms. */
  durationMs: number;
  warmupMs: number;
  rounds: number;
  /** Stored events of `queries`, a database each. */
  events: number[];
  /** Days that the first of them lie in; larger ones reach back further. */
  days: number;
  /** Distinct members of an hour of `unique`, and its events. */
  members: number;
  hourEvents: number;
  fillEvents: number;
  /** Days that those of `fill` lie in, a database each. */
  fillDays: number[];
  build: boolean;
}

/** The last one without meters; much of what writes has become faster since, besides. */
const BASELINE = '4e7d85d';
/** A month of whole days has to lie in them, wherever today begins. */
const LEAST_DAYS = 33;

const USAGE = `npm run bench:meters -- [options]
  --against COMMIT|FOLDER            the build without meters, default ${BASELINE}
  --engine postgres|timescale|both   default both
  --only ${ROWS.join(',')}   default all; disk is measured with queries
  --rounds N                         times that everything is measured in turn, default 5
  --seconds N                        length of one measurement, default 10
  --events N,N                       stored events of queries, default 5000000; 50000000 besides takes an hour
  --days N                           that the first number of events lies in, default 40, ${LEAST_DAYS} at least
  --members N                        distinct ones of an hour of unique, default 100000
  --hour-events N                    events of such an hour, default 300000
  --fill-events N                    default 10000000
  --fill-days N,N                    that they lie in, a measurement each, default 1,10
  --no-build                         measure the dist/ that is there`;

/** Reads the command line. Ends the process, with the usage, when it makes no sense. */
export function readOptions(args: string[]): Options {
  return orUsage(USAGE, () => {
    const { values } = parseArgs({
      args,
      options: {
        against: { type: 'string', default: BASELINE },
        engine: { type: 'string', default: 'both' },
        only: { type: 'string', default: ROWS.join(',') },
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '10' },
        events: { type: 'string', default: '5000000' },
        days: { type: 'string', default: '40' },
        members: { type: 'string', default: '100000' },
        'hour-events': { type: 'string', default: '300000' },
        'fill-events': { type: 'string', default: '10000000' },
        'fill-days': { type: 'string', default: '1,10' },
        'no-build': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    const members = whole(values.members);
    return {
      against: values.against,
      engines: enginesOf(values.engine),
      only: new Set(listOf(values.only, ROWS)),
      ...lengthsOf(atLeast(values.seconds, 0.1)),
      rounds: whole(values.rounds),
      events: values.events.split(',').map((n) => whole(n)),
      days: whole(values.days, LEAST_DAYS),
      members,
      hourEvents: whole(values['hour-events'], members),
      fillEvents: whole(values['fill-events']),
      fillDays: values['fill-days'].split(',').map((n) => whole(n)),
      build: !values['no-build'],
    };
  });
}
