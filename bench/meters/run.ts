import { earlierBuild, presentBuild } from '../services/build.ts';
import { buildService } from '../support/buildService.ts';
import { interruption } from '../support/interruption.ts';
import { measureSamples } from '../support/measureSamples.ts';
import { runToEnd } from '../support/runToEnd.ts';
import type { BenchServer } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { measureFill } from './fill.ts';
import { type IngestCase, ingestCases, measureIngest } from './ingest.ts';
import { type Options, readOptions } from './options.ts';
import { measureQueries } from './queries.ts';
import { METERS } from './report.ts';
import type { MeterSample } from './sample.ts';
import { measureUnique } from './unique.ts';

/*
 * What meters cost who has none, and who has some; how fast they answer, and how soon. README.md says how to run and read it.
 */

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options.build) buildService();
  await measureSamples(METERS, options, async (folder) => {
    const cases = options.only.has('ingest')
      ? ingestCases(earlierBuild(options.against, folder), presentBuild())
      : [];
    return (server, keep) => measureEngine(server, options, cases, folder, keep);
  });
}

async function measureEngine(
  server: BenchServer,
  options: Options,
  cases: readonly IngestCase[],
  folder: string,
  keep: (samples: readonly MeterSample[]) => void,
): Promise<void> {
  const log = (line: string) => console.error(`${server.engine}: ${line}`);
  const take = async (what: string, measure: () => Promise<MeterSample[]>) => {
    const began = performance.now();
    keep(await measure());
    log(`${what} took ${figure((performance.now() - began) / 60_000)} minutes`);
  };
  for (let round = 1; cases.length > 0 && round <= options.rounds; round++) {
    await take(`round ${round} of ingest`, async () => {
      const samples: MeterSample[] = [];
      for (const one of round % 2 === 0 ? cases.toReversed() : cases) {
        interruption.throwIfAborted();
        const sample = await measureIngest(server, one, options, folder);
        const { variant, who, value, micros, problems } = sample;
        log(
          `round ${round}: ${variant} (${who}): ${figure(value)} events/s, µs of service, PostgreSQL and generator ` +
            `${[micros.service, micros.postgres, micros.generator].map((n) => figure(n)).join(' + ')} ${problems.join('; ')}`,
        );
        samples.push(sample);
      }
      return samples;
    });
  }
  const { only, fillDays } = options;
  if (only.has('queries') || only.has('disk')) {
    await take('queries', () => measureQueries(server, options, folder, log));
  }
  if (only.has('unique')) await take('unique', () => measureUnique(server, options, folder, log));
  if (only.has('fill')) {
    for (const days of fillDays) await take('fill', () => measureFill(server, options, days, folder, log));
  }
}

runToEnd(main);
