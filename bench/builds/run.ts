import { join } from 'node:path';
import { measureFloorCopy } from '../load/floorCopy.ts';
import { type Build, earlierBuild, presentBuild } from '../services/build.ts';
import { measureFloorHono, measureNaive, measureTidemark } from '../services/httpServices.ts';
import { buildService } from '../support/buildService.ts';
import { interruption } from '../support/interruption.ts';
import { measureSamples } from '../support/measureSamples.ts';
import { runToEnd } from '../support/runToEnd.ts';
import type { BenchServer } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { measureDisk } from './disk.ts';
import { measureImport, writeImport } from './importing.ts';
import { type Options, readOptions } from './options.ts';
import { BUILDS } from './report.ts';
import { type BuildSample, ratedSample } from './sample.ts';
import { measureWindows } from './windows.ts';

/*
 * An earlier build and the present one, by turns, in one run. README.md says how to run and read it.
 */

/** Once for an engine and a round. The builds come in the opposite order every other round. */
type Measure = (builds: readonly Build[]) => Promise<BuildSample[]>;

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (options.build) buildService();
  await measureSamples(BUILDS, options, async (folder) => {
    const builds = [earlierBuild(options.against, folder), presentBuild()];
    const file = join(folder, 'import.csv');
    if (options.only.has('import') && options.engines.includes('timescale')) {
      await writeImport(file, options.importRows);
    }
    return (server, keep) => measureEngine(server, options, builds, file, folder, keep);
  });
}

async function measureEngine(
  server: BenchServer,
  options: Options,
  builds: readonly Build[],
  file: string,
  folder: string,
  keep: (samples: readonly BuildSample[]) => void,
): Promise<void> {
  const log = (line: string) => console.error(`${server.engine}: ${line}`);
  const take = async (round: string, measure: Measure, inOrder: readonly Build[]) => {
    interruption.throwIfAborted();
    for (const sample of await measure(inOrder)) {
      const { row, variant, who, value, micros, problems } = sample;
      log(
        `${round}: ${[row, variant].filter(Boolean).join(', ')} (${who}): ${figure(value)}, µs of service, PostgreSQL and generator ` +
          `${[micros.service, micros.postgres, micros.generator].map((n) => figure(n)).join(' + ')} ${problems.join('; ')}`,
      );
      keep([sample]);
    }
  };
  const rated = ratedMeasures(server, options, file, folder);
  for (let round = 1; rated.length > 0 && round <= options.rounds; round++) {
    const inOrder = round % 2 === 0 ? builds.toReversed() : builds;
    for (const measure of rated) await take(`round ${round}`, measure, inOrder);
  }
  if (server.engine === 'timescale' && options.only.has('disk')) {
    for (const tenants of options.tenants) {
      const measure = eachBuild((build) => measureDisk(server, build, options.diskEvents, tenants, folder));
      await take('once', measure, builds);
    }
  }
  if (options.only.has('windows')) {
    const { windowEvents, rounds } = options;
    await take(
      `${rounds} rounds`,
      (inOrder) => measureWindows(server, inOrder, windowEvents, options, rounds, folder, log),
      builds,
    );
  }
}

/** Those that every round has. */
function ratedMeasures(server: BenchServer, options: Options, file: string, folder: string): Measure[] {
  const { only, importRows } = options;
  const service = (shape: 'batches' | 'single') =>
    eachBuild(async (build) => {
      const variant = { module: build.service, ownSchema: true };
      const measured = await measureTidemark(server, shape, options, folder, variant);
      return ratedSample(shape, build.who, measured);
    });
  const measures: Measure[] = [];
  if (only.has('batches')) {
    measures.push(
      async () => [ratedSample('batches', 'a', await measureFloorCopy(server, options))],
      async () => [ratedSample('batches', 'c', await measureNaive(server, 'batches', options))],
      service('batches'),
    );
  }
  if (only.has('single')) {
    measures.push(
      async () => [ratedSample('single', 'b', await measureFloorHono(server, 'single', options))],
      async () => [ratedSample('single', 'c', await measureNaive(server, 'single', options))],
      service('single'),
    );
  }
  if (only.has('import') && server.engine === 'timescale') {
    measures.push(eachBuild((build) => measureImport(server, build, file, importRows)));
  }
  return measures;
}

function eachBuild(measure: (build: Build) => Promise<BuildSample | BuildSample[]>): Measure {
  return async (builds) => {
    const samples: BuildSample[] = [];
    for (const build of builds) {
      interruption.throwIfAborted();
      samples.push(...[await measure(build)].flat());
    }
    return samples;
  };
}

runToEnd(main);
