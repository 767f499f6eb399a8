import { parseArgs } from 'node:util';
import type { Letter } from '../load/measurement.ts';

const LETTERS: readonly Letter[] = ['a', 'b', 'c', 'd', 'e'];

export interface Options {
  engines: ('postgres' | 'timescale')[];
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

const USAGE = `npm run bench -- [options]
  --engine postgres|timescale|both   default both
  --only a,b,c,d,e                   default all
  --seconds N                        length of one measurement, default 10
  --rounds N                         times that a to d are measured in turn, default 3
  --events N,N                       stored events for e, at least 100000; default 1000000,5000000
  --no-build                         measure the dist/ that is there`;

/** Reads the command line. Ends the process, with the usage, when it makes no sense. */
export function readOptions(args: string[]): Options {
  try {
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
    const engines = { postgres: ['postgres'], timescale: ['timescale'], both: ['postgres', 'timescale'] };
    const chosen = engines[values.engine as 'both'];
    if (!chosen) throw new Error(`no such engine: ${values.engine}`);
    const only = values.only.split(',');
    const unknown = only.find((letter) => !LETTERS.includes(letter as Letter));
    if (unknown !== undefined) throw new Error(`no such measurement: ${unknown}`);
    const seconds = positive(values.seconds);
    return {
      engines: chosen as Options['engines'],
      only: new Set(only as Letter[]),
      durationMs: seconds * 1_000,
      warmupMs: Math.min(3_000, seconds * 500),
      rounds: positive(values.rounds),
      events: values.events
        .split(',')
        .map(sizeOf)
        .sort((a, b) => a - b),
      build: !values['no-build'],
    };
  } catch (error) {
    const { message } = error as Error;
    console.error(message ? `${message}\n\n${USAGE}` : USAGE);
    process.exit(message ? 2 : 0);
  }
}

/** Fewer events than these do not reach back over the hours that are asked for. */
function sizeOf(text: string): number {
  const events = positive(text);
  if (events < 100_000) throw new Error('--events: at least 100000');
  return events;
}

function positive(text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new Error(`not a positive number: ${text}`);
  return number;
}
