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
  /** Events of the window of `one`. */
  windowEvents: number;
  /** Events that are void at once in `many`, and those that they are among. */
  voided: number;
  manyEvents: number;
  /** Stored events of `asOf`. */
  events: number;
  build: boolean;
}

/** The last one without corrections. */
const BASELINE = '53a2cdc';

const USAGE = `npm run bench:corrections -- [options]
  --against COMMIT|FOLDER            the build without corrections, default ${BASELINE}
  --engine postgres|timescale|both   default both
  --only ${ROWS.join(',')}         default all
  --rounds N                         times that everything is measured in turn, default 3
  --seconds N                        length of one measurement of ingest and asOf, default 10
  --window-events N                  of the window that loses one, default 1000000
  --voided N                         events that become void at once, default 10000, the most
  --many-events N                    that they are among, in 33 days, default 1000000
  --events N                         that are stored for asOf, in 10 days, default 5000000
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
        rounds: { type: 'string', default: '3' },
        seconds: { type: 'string', default: '10' },
        'window-events': { type: 'string', default: '1000000' },
        voided: { type: 'string', default: '10000' },
        'many-events': { type: 'string', default: '1000000' },
        events: { type: 'string', default: '5000000' },
        'no-build': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    const rounds = whole(values.rounds);
    const voided = whole(values.voided, 1, { most: 10_000 });
    return {
      against: values.against,
      engines: enginesOf(values.engine),
      only: new Set(listOf(values.only, ROWS)),
      ...lengthsOf(atLeast(values.seconds, 0.1)),
      rounds,
      windowEvents: whole(values['window-events'], 1_000),
      voided,
      manyEvents: whole(values['many-events'], voided * 2),
      events: whole(values.events, 10_000),
      build: !values['no-build'],
    };
  });
}
