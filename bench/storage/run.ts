import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { v7 } from 'uuid';
import { onEachEngine } from '../support/engines.ts';
import { keepResults } from '../support/results.ts';
import { runToEnd } from '../support/runToEnd.ts';
import { figure, table } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';
import { measureStorage, type StorageReport } from './sizes.ts';
import { type Feed, generatedTraffic, traceTraffic } from './traffic.ts';

/* How many bytes an event takes, as rows and as columns. README.md says how to run and read it. */

const USAGE = `npm run bench:storage -- [options]
  --engine postgres|timescale|both   default both
  --events N                         of generated traffic, default 1000000
  --rates N,N                        events/s of it, default 20,200,1000
  --ids v4|v7                        its event ids, default v4
  --trace FILE                       a CSV of TIMESTAMP,ContextTokens,GeneratedTokens besides
  --alternatives                     other orders of the columnstore besides`;

function readStorageOptions(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        engine: { type: 'string', default: 'both' },
        events: { type: 'string', default: '1000000' },
        rates: { type: 'string', default: '20,200,1000' },
        ids: { type: 'string', default: 'v4' },
        trace: { type: 'string' },
        alternatives: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    const events = Number(values.events);
    const rates = values.rates === '' ? [] : values.rates.split(',').map(Number);
    if (![events, ...rates].every((number) => number > 0)) throw new Error('numbers must be positive');
    if (!['v4', 'v7'].includes(values.ids)) throw new Error(`no such ids: ${values.ids}`);
    const engines = (['postgres', 'timescale'] as const).filter((e) => ['both', e].includes(values.engine));
    const { trace, alternatives, ids } = values;
    return { engines, events, rates, ids, trace, alternatives };
  } catch (error) {
    const { message } = error as Error;
    console.error(message ? `${message}\n\n${USAGE}` : USAGE);
    process.exit(message ? 2 : 0);
  }
}

async function main(): Promise<void> {
  const options = readStorageOptions(process.argv.slice(2));
  const newId = options.ids === 'v7' ? (ms: number) => v7({ msecs: ms }) : () => randomUUID();
  const feeds: Feed[] = options.rates.map((rate) => generatedTraffic(options.events, rate, newId));
  if (options.trace !== undefined) feeds.push(await traceTraffic(options.trace, newId));
  const started = new Date();
  const results: StorageReport[] = [];
  await inWorkplace((folder) =>
    onEachEngine(options.engines, folder, async (server) => {
      console.log(`\n## ${server.engine}\n`);
      for (const feed of feeds) {
        const report = await measureStorage(server, feed, options.alternatives);
        results.push(report);
        console.log(`${format(report)}\n`);
      }
    }),
  );
  await keepResults('storage', started, { options, results });
  if (results.some(({ problems }) => problems.length > 0)) process.exitCode = 1;
}

function format({ name, events, rows, before, after, alternatives, problems }: StorageReport): string {
  const per = (bytes: number | undefined) => figure(bytes === undefined ? null : bytes / events);
  const parts = Object.keys(before).map((part) => [
    part,
    figure(rows[part] ?? null),
    per(before[part]),
    per(after?.[part]),
  ]);
  const total = (sizes: Record<string, number> | null) =>
    per(
      sizes
        ? Object.entries(sizes).reduce((sum, [part, size]) => sum + (part === 'event_key' ? 0 : size), 0)
        : undefined,
    );
  parts.push(['all but event_key', '', total(before), total(after)]);
  const head = [`${name}: bytes per event`, 'rows', 'rows on disk', 'columnstore'];
  const others = alternatives.map(({ relation, order, bytes }) => [relation, order, per(bytes)]);
  return [
    table(head, parts),
    ...(others.length > 0 ? [table(['order', 'segmentby; orderby', 'bytes per event'], others)] : []),
    `${figure(events)} events; ${problems.length === 0 ? 'sums exact in both' : `INVALID: ${problems.join('; ')}`}`,
  ].join('\n\n');
}

runToEnd(main);
