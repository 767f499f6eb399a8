import { parseArgs } from 'node:util';
import type { Letter } from '../load/measurement.ts';
import { atLeast, enginesOf, lengthsOf, listOf, orUsage, whole } from '../support/commandLine.ts';
import type { Engine } from '../support/servers.ts';

const LETTERS: readonly Letter[] = ['a', 'b', 'c', 'd', 'e'];

export interface Options {
  engines: Engine[];
  only: Set<Letter>;
  /** Length of one measurement, and of the load before it that is not counted, in ms. */
  durationMs: number;
  warmupMs: number;
  /** How often (a) to (d) are measured in turn. */
  rounds: number;
  /** Stored events that (e) is measured with, ascending. */
  events: number[];
  build: boolean;
}

/** Fewer events do not reach back over the hours that are asked for. */
const LEAST_EVENTS = 100_000;

const USAGE = `npm run bench -- [options]
  --engine postgres|timescale|both   default both
  --only a,b,c,d,e                   default all
  --seconds N                        length of one measurement, default 10
  --rounds N                         times that a to d are measured in turn, default 3
  --events N,N                       stored events for e, at least 100000; default 1000000,5000000
  --no-build                         measure the dist/ that is there`;

/** Reads the command line. Ends the process, with the usage, when it makes no sense. */
export function readOptions(args: string[]): Options {
  return orUsage(USAGE, () => {
    const { values } = parseArgs({
      args,
      options: {
        engine: { type: 'string', default: 'both' },
        only: { type: 'string', default: LETTERS.join(',') },
        seconds: { type: 'string', default: '10' },
        rounds: { type: 'string', default: '3' },
        events: { type: 'string', default: '1000000,5000000' },
        'no-build': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    return {
      engines: enginesOf(values.engine),
      only: new Set(listOf(values.only, LETTERS)),
      ...lengthsOf(atLeast(values.seconds, 0.1)),
      rounds: whole(values.rounds),
      events: values.events
        .split(',')
        .map((text) => atLeast(text, LEAST_EVENTS))
        .sort((a, b) => a - b),
      build: !values['no-build'],
    };
  });
}
