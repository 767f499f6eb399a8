import { historyStart, setBack } from '../load/history.ts';
import { postSeries, type Timing } from '../load/measurement.ts';
import type { Build } from '../services/build.ts';
import { holdClosing } from '../services/heldClosing.ts';
import { startTidemark } from '../services/tidemark.ts';
import { type Loaded, measureLoaded, settle, type WindowQueryReport } from '../services/windowQueries.ts';
import { costsOf } from '../support/costs.ts';
import { runProgram } from '../support/programs.ts';
import type { BenchServer } from '../support/servers.ts';
import type { BuildSample } from './sample.ts';

/**
 * p99 of the window query in ms, one at a time and eight, of each build on events that its own service has taken by HTTP,
 * with times up to now at the density of `npm run bench` (e), and has closed and refreshed.
 *
 * @returns a sample of each build and load, in the order of `builds`; medians of `rounds`.
 */
export async function measureWindows(
  server: BenchServer,
  builds: readonly Build[],
  events: number,
  timing: Timing,
  rounds: number,
  folder: string,
  log: (line: string) => void,
): Promise<BuildSample[]> {
  const loads = builds.map((build) => () => {
    log(`windows: the ${build.who} build takes ${events} events`);
    return load(server, build, events, folder);
  });
  const reports = await measureLoaded(loads, server.postmaster, timing, rounds, log);
  return reports.flatMap((report, i) => samplesOf(builds[i]!, report));
}

function samplesOf({ who }: Build, report: WindowQueryReport): BuildSample[] {
  const { usage, problems, requestsPerSecond } = report;
  const unmetered = { ...usage, serviceCores: null, postgresCores: null, otherCores: null };
  const common = { row: 'windows' as const, who, problems };
  return [
    {
      ...common,
      variant: 'one at a time',
      value: report.sequential.p99,
      ...costsOf({ ...unmetered, generatorCores: null }, requestsPerSecond.sequential),
    },
    {
      ...common,
      variant: '8 at a time',
      value: report.concurrent.p99,
      ...costsOf({ ...usage, generatorCores: null }, requestsPerSecond.concurrent),
    },
  ];
}

async function load(server: BenchServer, build: Build, events: number, folder: string): Promise<Loaded> {
  const database = await server.createDatabase('empty');
  try {
    const to = Date.now();
    const from = historyStart(events, to);
    await runProgram(build.cli, ['migrate'], { DATABASE_URL: database.url, LOG_LEVEL: 'warn' }, null);
    await setBack(database.url, from);
    const closing = await holdClosing(database.url);
    const service = await startTidemark({ url: database.url, folder, module: build.service }).catch(
      async (error) => {
        await closing.release();
        throw error;
      },
    );
    try {
      const started = performance.now();
      const report = await postSeries(service, server.postmaster, {
        key: service.key,
        series: { events, from, to },
      }).finally(() => closing.release());
      if (report.problems.length > 0) throw new Error(report.problems.join('; '));
      const loadSeconds = (performance.now() - started) / 1_000;
      await settle(database);
      const catchUpSeconds = (performance.now() - started) / 1_000 - loadSeconds;
      return {
        name: `the ${build.who} build`,
        events,
        database,
        service,
        from,
        to,
        loadSeconds,
        catchUpSeconds,
      };
    } catch (error) {
      await service.stop();
      throw error;
    }
  } catch (error) {
    await database.drop();
    throw error;
  }
}
