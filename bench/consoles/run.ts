import { parseArgs } from 'node:util';
import { buildService } from '../support/buildService.ts';
import { atLeast, enginesOf, listOf, orUsage, whole } from '../support/commandLine.ts';
import { onEachEngine } from '../support/engines.ts';
import { machine } from '../support/machine.ts';
import { keepResults } from '../support/results.ts';
import { runToEnd } from '../support/runToEnd.ts';
import { inWorkplace } from '../support/workplace.ts';
import { measurePages, pagesTable } from './pages.ts';
import { measureStreams, streamsTable } from './streams.ts';

/*
 * What open consoles cost those who send, and how soon a page is of use. README.md says how to run and read it.
 */

const ROWS = ['streams', 'pages'] as const;

const USAGE = `npm run bench:consoles -- [options]
  --engine postgres|timescale|both   default both
  --only ${ROWS.join(',')}               default both
  --rounds N                         times that everything is measured in turn, default 5
  --seconds N                        length of one measurement of streams, default 10
  --streams N                        open at once, default 50
  --no-build                         measure the dist/ that is there`;

const options = orUsage(USAGE, () => {
  const { values } = parseArgs({
    options: {
      engine: { type: 'string', default: 'both' },
      only: { type: 'string', default: ROWS.join(',') },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '10' },
      streams: { type: 'string', default: '50' },
      'no-build': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) throw new Error();
  return {
    engines: enginesOf(values.engine),
    only: new Set(listOf(values.only, ROWS)),
    rounds: whole(values.rounds),
    seconds: atLeast(values.seconds, 0.1),
    streams: whole(values.streams),
    build: !values['no-build'],
  };
});

async function main(): Promise<void> {
  const started = new Date();
  if (options.build) buildService();
  const results: object[] = [];
  await inWorkplace((folder) =>
    onEachEngine(options.engines, folder, async (server) => {
      console.log(`\n## ${server.engine}\n`);
      if (options.only.has('streams')) {
        const streams = await measureStreams(server, folder, options);
        results.push({ engine: server.engine, streams });
        console.log(`${streamsTable(options.streams, streams)}\n`);
      }
      if (options.only.has('pages')) {
        const pages = await measurePages(server, folder, options.rounds);
        if (pages) {
          results.push({ engine: server.engine, pages });
          console.log(`${pagesTable(pages)}\n`);
        }
      }
    }),
  );
  console.log(Object.entries(machine()).flat().join(' '));
  console.log(await keepResults('consoles', started, { ...options, only: [...options.only], results }));
}

runToEnd(main);
