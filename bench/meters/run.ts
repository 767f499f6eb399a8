import { earlierBuild, presentBuild } from '../services/build.ts';
import { buildService } from '../support/buildService.ts';
import { onEachEngine } from '../support/engines.ts';
import { interruption } from '../support/interruption.ts';
import { machine } from '../support/machine.ts';
import { keepResults } from '../support/results.ts';
import { runToEnd } from '../support/runToEnd.ts';
import type { BenchServer } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';
import { measureFill } from './fill.ts';
import { type IngestCase, ingestCases, measureIngest } from './ingest.ts';
import { type Options, readOptions } from './options.ts';
import { measureQueries } from './queries.ts';
import { type EngineReport, formatEngine, problemsOf, verdictsOf } from './report.ts';
import type { Sample } from './sample.ts';
import { measureUnique } from './unique.ts';

/*
 * What meters cost who has none, and who has some; how fast they answer, and how soon. README.md says how to run and read it.
 */

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const started = new Date();
  if (options.build) buildService();
  const reports: EngineReport[] = [];
  await inWorkplace(async (folder) => {
    const cases = options.only.has('ingest')
      ? ingestCases(earlierBuild(options.against, folder), presentBuild())
      : [];
    await onEachEngine(options.engines, folder, async (server) => {
      const samples = await measureEngine(server, options, cases, folder);
      const report = { engine: server.engine, server: server.description, samples };
      reports.push(report);
      console.log(`\n${formatEngine(report)}\n`);
    });
  });
  const minutes = (Date.now() - started.getTime()) / 60_000;
  const kept = await keepResults('meters', started, {
    minutes,
    options: { ...options, only: [...options.only] },
    engines: reports.map((report) => ({ ...report, verdicts: verdictsOf(report) })),
  });
  console.log(Object.entries(machine()).flat().join(' '));
  console.log(`against ${options.against}, ${figure(minutes)} minutes, in ${kept}`);
  if (reports.some((report) => problemsOf(report).length > 0)) process.exitCode = 1;
}

async function measureEngine(
  server: BenchServer,
  options: Options,
  cases: readonly IngestCase[],
  folder: string,
): Promise<Sample[]> {
  const log = (line: string) => console.error(`${server.engine}: ${line}`);
  const samples: Sample[] = [];
  for (let round = 1; cases.length > 0 && round <= options.rounds; round++) {
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
  }
  const { only, fillDays } = options;
  if (only.has('queries') || only.has('disk')) {
    samples.push(...(await measureQueries(server, options, folder, log)));
  }
  if (only.has('unique')) samples.push(...(await measureUnique(server, options, folder, log)));
  if (only.has('fill')) {
    for (const days of fillDays) samples.push(...(await measureFill(server, options, days, folder, log)));
  }
  return samples;
}

runToEnd(main);
