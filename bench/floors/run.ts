import { measureFloorCopy } from '../load/floorCopy.ts';
import type { Measurement, Shape } from '../load/measurement.ts';
import { measureFloorHono, measureNaive, measureTidemark } from '../services/httpServices.ts';
import { buildService } from '../support/buildService.ts';
import { conclude } from '../support/conclude.ts';
import { onEachEngine } from '../support/engines.ts';
import { interruption } from '../support/interruption.ts';
import { runToEnd } from '../support/runToEnd.ts';
import type { BenchServer } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';
import { type Options, readOptions } from './options.ts';
import { type EngineReport, formatEngine, problemsOf, verdictsOf } from './report.ts';
import { measureWindowQueries } from './windowQuery.ts';

/** Measures what the options ask for, prints tables and keeps it in bench/results. ../README.md says how to read them. */
async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  const started = new Date();
  if (options.build && (options.only.has('d') || options.only.has('e'))) {
    buildService();
  }
  const reports: EngineReport[] = [];
  await inWorkplace((folder) =>
    onEachEngine(options.engines, folder, async (server) => {
      const report = await measureEngine(server, options, folder);
      reports.push(report);
      console.log(`\n${formatEngine(report)}\n`);
    }),
  );
  const engines = reports.map((report) => ({ ...report, verdicts: verdictsOf(report) }));
  const isValid = reports.every((report) => problemsOf(report).length === 0);
  await conclude('floors', started, options, engines, isValid);
}

async function measureEngine(server: BenchServer, options: Options, folder: string): Promise<EngineReport> {
  const log = (line: string) => console.error(`${server.engine}: ${line}`);
  const plan = ingestPlan(server, options, folder);
  const rounds: Measurement[][] = [];
  for (let round = 1; plan.length > 0 && round <= options.rounds; round++) {
    const measured: Measurement[] = [];
    for (const measure of plan) {
      interruption.throwIfAborted();
      const result = await measure();
      log(
        `round ${round}: (${result.letter}) ${result.name}: ${figure(result.eventsPerSecond)} events/s ${result.problems.join('; ')}`,
      );
      measured.push(result);
    }
    rounds.push(measured);
  }
  const windowQueries = options.only.has('e')
    ? await measureWindowQueries(server, options.events, options, folder, log)
    : [];
  return { engine: server.engine, server: server.description, rounds, windowQueries };
}

/** One round of (a) to (d). */
function ingestPlan(server: BenchServer, options: Options, folder: string): (() => Promise<Measurement>)[] {
  const { only } = options;
  const plan: (() => Promise<Measurement>)[] = [];
  if (only.has('a')) {
    plan.push(() => measureFloorCopy(server, options));
    if (server.engine === 'postgres') plan.push(() => measureFloorCopy(server, options, false));
  }
  for (const shape of ['batches', 'single'] satisfies Shape[]) {
    if (only.has('b')) plan.push(() => measureFloorHono(server, shape, options));
    if (only.has('c')) plan.push(() => measureNaive(server, shape, options));
    if (only.has('d')) plan.push(() => measureTidemark(server, shape, options, folder));
  }
  return plan;
}

runToEnd(main);
