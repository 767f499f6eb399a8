import { parseArgs } from 'node:util';
import pg from 'pg';
import { beginHistory, chunksLocked, repeatedWork, storeHistory } from '../../test/support/longHistory.ts';
import { onEachEngine } from '../support/engines.ts';
import { interruption } from '../support/interruption.ts';
import { keepResults } from '../support/results.ts';
import { runToEnd } from '../support/runToEnd.ts';
import type { BenchServer } from '../support/servers.ts';
import { figure, table } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';

/* What is done again and again, with a short history and with a long one. README.md says how to run and read it. */

const USAGE = `npm run bench:chunks -- [options]
  --days N,N    of history, hence chunks of events: shorter first, default 10,1000
  --rounds N    times that everything is measured at each length, default 15`;

/** What it may cost more with the longer history. */
const AIM = 1.3;
/** Refreshes are not of a transaction: the last window, and one of long ago. */
const REFRESHES = (days: number): [string, number][] => [
  ['refreshing a window', 1],
  ['refreshing a window of long ago', days - 1],
];

interface Cost {
  /** Of one transaction, in ms. */
  ms: number[];
  /** Chunks and their indexes that it has locked; null: it is not one transaction. */
  locked: number | null;
}

interface Result {
  name: string;
  before: Cost;
  after: Cost;
}

function readOptions(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        days: { type: 'string', default: '10,1000' },
        rounds: { type: 'string', default: '15' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    const days = values.days.split(',').map(Number);
    const rounds = Number(values.rounds);
    if (days.length !== 2 || !(days[0]! > 3 && days[1]! > days[0]! && rounds > 0)) {
      throw new Error('two lengths are needed, of four days or more, the shorter first');
    }
    return { days: days as [number, number], rounds };
  } catch (error) {
    const { message } = error as Error;
    console.error(message ? `${message}\n\n${USAGE}` : USAGE);
    process.exit(message ? 2 : 0);
  }
}

type Costs = Map<string, Cost>;

/** One round at one length. */
async function measure(client: pg.Client, days: number, costs: Costs): Promise<void> {
  for (const [name, statements] of repeatedWork(days)) {
    interruption.throwIfAborted();
    const cost = costs.get(name) ?? { ms: [], locked: (await chunksLocked(client, statements)).length };
    costs.set(name, cost);
    await client.query('begin');
    const started = performance.now();
    for (const statement of statements) await client.query(statement);
    cost.ms.push(performance.now() - started);
    await client.query('rollback');
  }
  for (const [name, daysAgo] of REFRESHES(days)) {
    const cost = costs.get(name) ?? { ms: [], locked: null };
    costs.set(name, cost);
    const started = performance.now();
    await client.query(
      `call refresh_continuous_aggregate('usage_30s', date_bin('30 seconds', now(), 'epoch') - interval '${daysAgo} days',
         date_bin('30 seconds', now(), 'epoch') - interval '${daysAgo} days' + interval '30 seconds', force => true,
         options => '{"buckets_per_batch": 0}')`,
    );
    cost.ms.push(performance.now() - started);
  }
}

/** A database with a history of so many days. */
async function withHistory(
  server: BenchServer,
  days: number,
  work: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const database = await server.createDatabase('migrated');
  const client = new pg.Client(database.url);
  try {
    await client.connect();
    await client.query('set jit = off'); // as in every session of the service
    await beginHistory(client);
    await storeHistory(client, 0, days);
    await work(client);
  } finally {
    await client.end();
    await database.drop();
  }
}

async function main(): Promise<void> {
  const { days, rounds } = readOptions(process.argv.slice(2));
  const [few, many] = days;
  const started = new Date();
  const results: Result[] = [];
  await inWorkplace((folder) =>
    onEachEngine(['timescale'], folder, (server) =>
      withHistory(server, few, (short) =>
        withHistory(server, many, async (long) => {
          const [before, after]: [Costs, Costs] = [new Map(), new Map()];
          for (let round = 0; round < rounds; round++) {
            await measure(short, few, before);
            await measure(long, many, after);
          }
          for (const [name, cost] of before) {
            results.push({ name, before: cost, after: after.get(name)! });
          }
          console.log(report(days, results));
        }),
      ),
    ),
  );
  await keepResults('chunks', started, { days, rounds, results });
}

function report([few, many]: [number, number], results: Result[]): string {
  const rows = results.map(({ name, before, after }) => {
    const [ms, then] = [Math.min(...before.ms), Math.min(...after.ms)];
    const locks = before.locked === null ? '–' : `${before.locked}, ${after.locked}`;
    return [name, figure(ms), figure(then), `${figure(then / ms)}${then / ms > AIM ? ' !' : ''}`, locks];
  });
  return table(['', `${few} days, ms`, `${many} days, ms`, 'ratio', 'relations locked'], rows);
}

runToEnd(main);
