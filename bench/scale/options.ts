import { parseArgs } from 'node:util';
import { orUsage, whole } from '../support/commandLine.ts';

export interface Options {
  events: number;
  tenants: number;
  /** Of each tenant. */
  customers: number;
  days: number;
  /** How far, in hours of the events' time, events may be ahead of what is refreshed. */
  lagHours: number;
  /** After how many days of the events' time a chunk that has ended is packed. */
  packAfterDays: number;
  /** How long each kind of query is asked, in ms. */
  queryMs: number;
  build: boolean;
}

/** In so many equal parts the run is measured; a part is a whole number of requests of 500 events. */
export const PARTS = 10;
const STEP = 50_000;

const USAGE = `npm run bench:scale -- [options]
  --events N       a multiple of ${STEP}, default 100000000
  --tenants N      default 20
  --customers N    of each tenant, 1000 at most, default 1000
  --days N         that the events' times are spread over up to now, 1 to 29, default 10
  --lag-hours N    of the events' time that they may be ahead of what is refreshed, default 2
  --pack-days N    after which a day that has ended is packed, default 1
  --seconds N      that each kind of query is asked, default 20
  --no-build       measure the dist/ that is there`;

/** Reads the command line. Ends the process, with the usage, when it makes no sense. */
export function readOptions(args: string[]): Options {
  return orUsage(USAGE, () => {
    const { values } = parseArgs({
      args,
      options: {
        events: { type: 'string', default: '100000000' },
        tenants: { type: 'string', default: '20' },
        customers: { type: 'string', default: '1000' },
        days: { type: 'string', default: '10' },
        'lag-hours': { type: 'string', default: '2' },
        'pack-days': { type: 'string', default: '1' },
        seconds: { type: 'string', default: '20' },
        'no-build': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    const [lagHours, seconds] = [values['lag-hours'], values.seconds].map(Number) as [number, number];
    if (!(lagHours > 0 && seconds > 0)) throw new Error('--lag-hours and --seconds must be positive');
    return {
      events: whole(values.events, STEP, { multipleOf: STEP }),
      tenants: whole(values.tenants, 1, { most: 1_000 }),
      customers: whole(values.customers, 1, { most: 1_000 }),
      days: whole(values.days, 1, { most: 29 }),
      lagHours,
      packAfterDays: whole(values['pack-days'], 0, { most: 29 }),
      queryMs: seconds * 1_000,
      build: !values['no-build'],
    };
  });
}
