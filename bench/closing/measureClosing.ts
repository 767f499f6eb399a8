import { WINDOW_MS } from '../../src/model/window.ts';
import { measurePosts } from '../load/measurement.ts';
import { checkStored } from '../load/stored.ts';
import { realAt, type VirtualTime, virtualAt } from '../load/virtualTime.ts';
import { startTidemark } from '../services/tidemark.ts';
import { messageOf, startChild } from '../support/children.ts';
import { interruption, unlessInterrupted } from '../support/interruption.ts';
import type { Percentiles } from '../support/percentiles.ts';
import type { Usage } from '../support/processStats.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { type Faults, findFaults } from './closedWindows.ts';
import type { ClosingReport, ClosingTask } from './instances.ts';

export type LockName = 'database' | 'redis';

/** Who closes during a measurement; 0 instances: nobody. */
export interface Variant {
  instances: number;
  lock: LockName;
}

export interface Conditions {
  warmupMs: number;
  durationMs: number;
  /** How many times as fast as the clock the time of the events runs. */
  factor: number;
  /** In real ms. */
  graceMs: number;
  intervalMs: number;
  /** Of the lock in Redis. */
  redisUrl: string;
  ttlMs: number;
}

export interface ClosingMeasurement extends Variant {
  eventsPerSecond: number;
  latency: Percentiles;
  usage: Usage;
  /** Processor time of the instances together, in cores. */
  closingCores: number;
  /** What happened in the measured time. */
  closes: number;
  /** From the end of each window and its grace to the moment that an instance knew it closed, in real ms. */
  lags: number[];
  lockWaits: number[];
  refreshes: number[];
  /** Over the whole run. */
  counts: ClosingReport['counts'];
  faults: Faults;
  /** Whatever makes the figures invalid. */
  problems: string[];
}

/** The service that takes the load must not close windows itself: ten minutes are the longest grace it knows. */
const NOT_CLOSING = {
  WINDOW_GRACE_MS: '600000',
  CLOSER_INTERVAL_MS: '60000',
  ACCEPT_AHEAD_SECONDS: '86400',
};

const NOBODY: ClosingReport = {
  closedBefore: 0,
  closes: [],
  lockWaits: [],
  refreshes: [],
  counts: { lost: 0, held: 0, conflictsClosing: 0, conflictsRefresh: 0 },
  holders: { acquired: 0, beside: 0, expired: 0, tooLate: 0 },
  cores: 0,
  warnings: [],
};

/** Full ingest against some instances that close, on a database of its own; then what is stored is checked. */
export async function measureClosing(
  server: BenchServer,
  variant: Variant,
  conditions: Conditions,
  folder: string,
): Promise<ClosingMeasurement> {
  const { instances, lock } = variant;
  const { factor, graceMs, intervalMs, redisUrl, ttlMs, warmupMs, durationMs } = conditions;
  const database = await server.createDatabase('migrated');
  try {
    const service = await startTidemark({ url: database.url, folder, env: NOT_CLOSING });
    let stopped = false;
    try {
      const time: VirtualTime = { from: Date.now(), factor };
      const closing =
        instances > 0
          ? await startInstances({
              url: database.url,
              engine: server.engine,
              instances,
              lock: lock === 'redis' ? { url: redisUrl, ttlMs, stallMs: 0 } : 'database',
              time,
              graceMs,
              intervalMs,
            })
          : null;
      try {
        const load = { warmupMs, durationMs, time };
        const posted = await measurePosts('d', 'batches', service, server.postmaster, load);
        const closed = (await closing?.finish(virtualAt(time, Date.now()) + WINDOW_MS)) ?? NOBODY;
        const problems = [...posted.problems, ...closed.warnings];
        const faults = await withClient(database.url, async (client) => {
          problems.push(...(await checkStored(client, posted.accepted, false)));
          return findFaults(client, closed.closes, closed.closedBefore);
        });
        stopped = true;
        problems.push(...(await service.stop()));
        if (lock === 'database' && faults.silent + faults.wrong > 0) {
          problems.push(`${faults.silent} closed windows changed silently, ${faults.wrong} are wrong`);
        }
        const { eventsPerSecond, latency, usage, began } = posted;
        const measured = (at: number) => at >= began && at < began + durationMs;
        const { otherCores } = usage;
        return {
          ...variant,
          eventsPerSecond,
          latency,
          usage: { ...usage, otherCores: otherCores === null ? null : otherCores - closed.cores },
          closingCores: closed.cores,
          closes: closed.closes.filter(({ at }) => measured(at)).length,
          lags: lagsOf(closed, time, graceMs, measured),
          lockWaits: closed.lockWaits.filter(({ at }) => measured(at)).map(({ ms }) => ms),
          refreshes: closed.refreshes.filter(({ at }) => measured(at)).map(({ ms }) => ms),
          counts: closed.counts,
          faults,
          problems,
        };
      } finally {
        await closing?.stop();
      }
    } finally {
      if (!stopped) await service.stop();
    }
  } finally {
    await database.drop();
  }
}

/** Of every window that was due in the measured time. */
function lagsOf(
  { closes, closedBefore }: ClosingReport,
  time: VirtualTime,
  graceMs: number,
  measured: (at: number) => boolean,
): number[] {
  const lags: number[] = [];
  let end = closedBefore;
  for (const { until, at } of closes) {
    for (end += WINDOW_MS; end <= until; end += WINDOW_MS) {
      const due = realAt(time, end) + graceMs;
      if (measured(due)) lags.push(at - due);
    }
    end = until;
  }
  return lags;
}

export interface Instances {
  /** Stops the instances, closes and refreshes everything up to a moment of their time. */
  finish(untilMs: number): Promise<ClosingReport>;
  stop(): Promise<unknown>;
}

/** Resolves when they are at work. */
export async function startInstances(task: ClosingTask): Promise<Instances> {
  const child = startChild(new URL('instances.ts', import.meta.url));
  try {
    const ready = messageOf<'ready'>(child);
    child.process.send(task);
    await ready;
  } catch (error) {
    await child.stop();
    throw error;
  }
  return {
    async finish(untilMs) {
      interruption.throwIfAborted();
      if (!child.process.connected) throw new Error(`the closing process has ended: ${child.said()}`);
      const report = messageOf<ClosingReport>(child);
      child.process.send(untilMs);
      return unlessInterrupted(report);
    },
    stop: () => child.stop(),
  };
}
