import { loadConfig } from '../../src/ground/config/loadConfig.ts';
import { startRedis } from '../../test/support/redisServer.ts';
import { buildService } from '../support/buildService.ts';
import { conclude } from '../support/conclude.ts';
import { onEachEngine } from '../support/engines.ts';
import { interruption } from '../support/interruption.ts';
import { runToEnd } from '../support/runToEnd.ts';
import type { BenchServer } from '../support/servers.ts';
import { figure } from '../support/table.ts';
import { inWorkplace } from '../support/workplace.ts';
import { type ClosingMeasurement, type Conditions, measureClosing, type Variant } from './measureClosing.ts';
import { type ClosingOptions, readClosingOptions } from './options.ts';
import {
  type ClosingEngineReport,
  type ClosingSeries,
  closingProblems,
  formatClosing,
  nameOf,
  summariesOf,
} from './report.ts';
import { measureStall } from './stalledHolder.ts';

const OFF: Variant = { instances: 0, lock: 'database' };
/** As a lock in Redis is usually given: far longer than anything takes that is done under it. */
const TTL_MS = 5_000;

interface Context {
  server: BenchServer;
  options: ClosingOptions;
  folder: string;
  redisUrl: string;
}

/** What closing costs, and what it would be with the lock elsewhere. README.md says how to read it. */
async function main(): Promise<void> {
  const options = readClosingOptions(process.argv.slice(2));
  const started = new Date();
  if (options.build) buildService();
  const reports: ClosingEngineReport[] = [];
  await inWorkplace(async (folder) => {
    const redis = await startRedis();
    try {
      await onEachEngine(options.engines, folder, async (server) => {
        const report = await measureEngine({ server, options, folder, redisUrl: redis.url });
        reports.push(report);
        console.log(`\n${formatClosing(report)}\n`);
      });
    } finally {
      await redis.stop();
    }
  });
  const engines = reports.map(({ series, ...report }) => ({
    ...report,
    series: series.map((one) => ({ ...one, summaries: summariesOf(one.rounds) })),
  }));
  const isValid = reports.every((report) => closingProblems(report).length === 0);
  await conclude('closing', started, options, engines, isValid);
}

async function measureEngine(context: Context): Promise<ClosingEngineReport> {
  const { server, options, redisUrl } = context;
  const { factor, intervalMs, graceMs, stragglerGraceMs, warmupMs, durationMs, locks, parts } = options;
  const fast: Conditions = { factor, intervalMs, graceMs, warmupMs, durationMs, redisUrl, ttlMs: TTL_MS };
  const series: ClosingSeries[] = [];
  if (parts.has('fast')) {
    const variants = options.instances.flatMap((instances) => locks.map((lock) => ({ instances, lock })));
    const title = `time × ${factor}: a window every ${figure(30 / factor)} s, loops every ${intervalMs} ms, grace ${graceMs} ms`;
    series.push(await measureSeries(context, title, between(variants), fast));
  }
  if (parts.has('real')) {
    const { windows } = loadConfig({});
    const few = Math.min(...options.instances);
    const many = Math.max(...options.instances);
    const variants = [...new Set([few, many])].map((instances) => ({ instances, lock: locks[0]! }));
    const real = { ...fast, factor: 1, intervalMs: windows.intervalMs, durationMs: options.realDurationMs };
    const title = `real time: a window every 30 s, loops every ${real.intervalMs} ms, grace ${graceMs} ms`;
    series.push(await measureSeries(context, title, between(variants, 1), real));
  }
  if (parts.has('stragglers')) {
    const instances = Math.max(...options.instances);
    const variants = locks.map((lock) => ({ instances, lock }));
    const title = `stragglers: time × ${factor}, loops every ${intervalMs} ms, grace ${stragglerGraceMs} ms`;
    series.push(await measureSeries(context, title, variants, { ...fast, graceMs: stragglerGraceMs }));
  }
  const stalls = parts.has('stall') && locks.includes('redis');
  const stall = stalls ? await measureStall(server, { redisUrl, factor, intervalMs }) : null;
  return { engine: server.engine, server: server.description, series, stall };
}

/** Nobody closing first, last, and after every so many variants: what drifts does so for both. */
function between(variants: Variant[], every = 2): Variant[] {
  const order = variants.flatMap((variant, i) => (i % every === 0 ? [OFF, variant] : [variant]));
  return [...order, OFF];
}

/** Measures in this order, and in the opposite one every other round. */
async function measureSeries(
  { server, options, folder }: Context,
  title: string,
  order: Variant[],
  conditions: Conditions,
): Promise<ClosingSeries> {
  const rounds: ClosingMeasurement[][] = [];
  for (let round = 1; round <= options.rounds; round++) {
    const measured: ClosingMeasurement[] = [];
    for (const variant of round % 2 === 1 ? order : order.toReversed()) {
      interruption.throwIfAborted();
      const result = await measureClosing(server, variant, conditions, folder);
      console.error(
        `${server.engine}: ${title.split(':')[0]}, round ${round}: ${nameOf(variant)}: ` +
          `${figure(result.eventsPerSecond)} events/s ${result.problems.join('; ')}`,
      );
      measured.push(result);
    }
    rounds.push(measured);
  }
  return { title, rounds };
}

runToEnd(main);
