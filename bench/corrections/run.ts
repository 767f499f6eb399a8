import { type Build, earlierBuild, presentBuild } from '../services/build.ts';
import { measureTidemark } from '../services/httpServices.ts';
import { buildService } from '../support/buildService.ts';
import { costsOf } from '../support/costs.ts';
import { interruption } from '../support/interruption.ts';
import { measureSamples } from '../support/measureSamples.ts';
import { runToEnd } from '../support/runToEnd.ts';
import type { BenchServer } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { measureAsOf } from './asOf.ts';
import { measureMany } from './many.ts';
import { measureOne } from './one.ts';
import { type Options, readOptions } from './options.ts';
import { CORRECTIONS } from './report.ts';
import type { CorrectionSample } from './sample.ts';

/*
 * What corrections cost: whoever makes them, whoever reads as of a moment, and whoever makes none. README.md says how to run and
 * read it.
 */

type Keep = (samples: readonly CorrectionSample[]) => void;

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options.build) buildService();
  await measureSamples(CORRECTIONS, options, async (folder) => {
    const builds = options.only.has('ingest') ? [earlierBuild(options.against, folder), presentBuild()] : [];
    return async (server, keep) => {
      const told: Keep = (samples) => {
        for (const sample of samples) {
          console.error(
            `${server.engine}: ${CORRECTIONS.nameOf(sample)}: ${figure(sample.value)} ${sample.unit} ${sample.problems.join('; ')}`,
          );
        }
        keep(samples);
      };
      if (options.only.has('one')) await measureOne(server, options, folder, told);
      if (options.only.has('many')) await measureMany(server, options, folder, told);
      if (options.only.has('asOf')) await measureAsOf(server, options, folder, told);
      await measureIngest(server, options, builds, folder, told);
    };
  });
}

/** Batches into each build by turns, in the opposite order every other round. */
async function measureIngest(
  server: BenchServer,
  { rounds, durationMs, warmupMs }: Options,
  builds: readonly Build[],
  folder: string,
  keep: Keep,
): Promise<void> {
  for (let round = 1; round <= rounds; round++) {
    for (const build of round % 2 === 0 ? builds.toReversed() : builds) {
      interruption.throwIfAborted();
      const variant = { module: build.service, ownSchema: true };
      const measured = await measureTidemark(server, 'batches', { durationMs, warmupMs }, folder, variant);
      const { eventsPerSecond, usage, generatorCores, problems } = measured;
      keep([
        {
          ...{ row: 'ingest', variant: '', who: build.who, value: eventsPerSecond, unit: 'events/s' },
          ...costsOf({ ...usage, generatorCores }, eventsPerSecond),
          problems,
        },
      ]);
    }
  }
}

runToEnd(main);
