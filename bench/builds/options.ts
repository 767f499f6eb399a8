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
  /** How many tenants the events are of that `disk` stores, a measurement each. */
  tenants: number[];
  /** Events of `import`, `disk` and `windows`. */
  importRows: number;
  diskEvents: number;
  windowEvents: number;
  build: boolean;
}

/** What the aims are set against: the last one before they were. */
const BASELINE = '6ab3aa7';

const USAGE = `npm run bench:builds -- [options]
  --against COMMIT|FOLDER            the earlier build, default ${BASELINE}
  --engine postgres|timescale|both   default both; import and disk are of timescale only
  --only ${ROWS.join(',')}   default all
  --rounds N                         times that everything is measured in turn, default 5; disk once
  --seconds N                        length of one measurement, default 10
  --tenants N,N                      of the events on disk, default 1,20
  --import-rows N                    default 1000000
  --disk-events N                    a multiple of 500, default 1000000
  --window-events N                  at least 100000, a multiple of 500, default 5000000
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
        tenants: { type: 'string', default: '1,20' },
        'import-rows': { type: 'string', default: '1000000' },
        'disk-events': { type: 'string', default: '1000000' },
        'window-events': { type: 'string', default: '5000000' },
        'no-build': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    return {
      against: values.against,
      engines: enginesOf(values.engine),
      only: new Set(listOf(values.only, ROWS)),
      ...lengthsOf(atLeast(values.seconds, 0.1)),
      rounds: whole(values.rounds),
      tenants: values.tenants.split(',').map((n) => whole(n)),
      importRows: whole(values['import-rows']),
      diskEvents: whole(values['disk-events'], 500, { multipleOf: 500 }),
      windowEvents: whole(values['window-events'], 100_000, { multipleOf: 500 }),
      build: !values['no-build'],
    };
  });
}
