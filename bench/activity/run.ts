import { parseArgs } from 'node:util';
import { buildService } from '../support/buildService.ts';
import { onEachEngine } from '../support/engines.ts';
import { machine } from '../support/machine.ts';
import { keepResults } from '../support/results.ts';
import { runToEnd } from '../support/runToEnd.ts';
import { figure, table } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';
import { type ActivityReport, measureActivity } from './latency.ts';

/* What GET /v1/summaries costs where an hour has many users. README.md says how to run and read it. */

const USAGE = `npm run bench:activity -- [options]
  --engine postgres|timescale|both   default both
  --events N                         default 10000000
  --users N                          default 100000
  --hours N                          that the events are spread over, default 10
  --seconds N                        length of one measurement, default 10
  --connections N                    that ask at once, default 1`;

function readActivityOptions(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: {
        engine: { type: 'string', default: 'both' },
        events: { type: 'string', default: '10000000' },
        users: { type: 'string', default: '100000' },
        hours: { type: 'string', default: '10' },
        seconds: { type: 'string', default: '10' },
        connections: { type: 'string', default: '1' },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) throw new Error();
    const [events, users, hours, seconds, connections] = [
      values.events,
      values.users,
      values.hours,
      values.seconds,
      values.connections,
    ].map(Number) as [number, number, number, number, number];
    if (![events, users, hours, seconds, connections].every((number) => number > 0))
      throw new Error('numbers must be positive');
    const engines = (['postgres', 'timescale'] as const).filter((e) => ['both', e].includes(values.engine));
    return { engines, events, users, hours, durationMs: seconds * 1_000, connections };
  } catch (error) {
    const { message } = error as Error;
    console.error(message ? `${message}\n\n${USAGE}` : USAGE);
    process.exit(message ? 2 : 0);
  }
}

async function main(): Promise<void> {
  const options = readActivityOptions(process.argv.slice(2));
  buildService();
  const started = new Date();
  const results: ({ server: Record<string, string> } & ActivityReport)[] = [];
  await inWorkplace((folder) =>
    onEachEngine(options.engines, folder, async (server) => {
      const log = (line: string) => console.error(`${server.engine}: ${line}`);
      const report = await measureActivity(server, options, folder, log);
      results.push({ server: server.description, ...report });
      console.log(`\n## ${server.engine}\n\n${format(report)}\n`);
    }),
  );
  await keepResults('activity', started, { options, results });
  console.log(Object.entries(machine()).flat().join(' '));
  if (results.some(({ problems }) => problems.length > 0)) process.exitCode = 1;
}

function format({ cases, loadSeconds, catchUpSeconds, problems }: ActivityReport): string {
  const rows = cases.map(({ name, latency, requestsPerSecond, usage }) => [
    name,
    `${figure(latency.p50)} / ${figure(latency.p99)}`,
    figure(requestsPerSecond),
    figure(usage.postgresCores),
    figure(usage.otherCores),
  ]);
  const head = ['answer', 'p50 / p99 ms', 'requests/s', 'PostgreSQL cores', 'other cores'];
  const counts = problems.length === 0 ? 'exact' : problems.join('; ');
  return `${table(head, rows)}\n\nloaded in ${figure(loadSeconds)} s, closed and covered in ${figure(catchUpSeconds)} s; counts: ${counts}`;
}

runToEnd(main);
