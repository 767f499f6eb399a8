import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import type pg from 'pg';
import { type Config, loadConfig } from '../../src/ground/config/loadConfig.ts';
import type { BackgroundLoop } from '../../src/ground/db/backgroundLoop.ts';
import { connect, connectionSettings, connectRefresher } from '../../src/ground/db/connections.ts';
import { errorCode, LOCK_NOT_AVAILABLE } from '../../src/ground/db/sqlstate.ts';
import type { Logger } from '../../src/ground/telemetry/logger.ts';
import { ClosedFrontier } from '../../src/sums/windows/closedFrontier.ts';
import { Closer } from '../../src/sums/windows/closer.ts';
import { closeWindows } from '../../src/sums/windows/closeWindows.ts';
import { Refresher } from '../../src/sums/windows/refresher.ts';
import { type VirtualTime, virtualAt } from '../load/virtualTime.ts';
import type { Engine } from '../support/servers.ts';
import { type Close, ClosingRecord, now, type Sample } from './record.ts';
import { Holders, RedisCloser } from './redisCloser.ts';

/*
 * The closing side of several instances, in a process of its own: each with the loops and connections that an
 * instance of the service has. Gets a ClosingTask and says 'ready'; gets the moment up to which to close in the end,
 * and answers with the report.
 */

export interface ClosingTask {
  url: string;
  engine: Engine;
  instances: number;
  lock: 'database' | RedisLockTask;
  /** The clock that windows end by. */
  time: VirtualTime;
  /** In real ms. */
  graceMs: number;
  intervalMs: number;
}

export interface RedisLockTask {
  url: string;
  ttlMs: number;
  /** How long the first instance stands still whenever it has the lock, in ms. */
  stallMs: number;
}

export interface ClosingReport {
  /** Where windows were closed up to at the beginning, ms since the epoch. */
  closedBefore: number;
  /** While the instances ran, in the order of `until`. */
  closes: Close[];
  lockWaits: Sample[];
  refreshes: Sample[];
  counts: ClosingRecord['counts'];
  holders: Holders['counts'];
  /** Processor time of this process while the instances ran, in cores. */
  cores: number;
  warnings: string[];
}

process.once('disconnect', () => process.exit(1));

const task = await message<ClosingTask>();
const { database, windows } = loadConfig({});
const warnings: string[] = [];
const log = {
  debug() {},
  warn: ({ err }: { err?: Error }, text: string) => warnings.push(`${text}: ${err?.message}`),
} as unknown as Logger;
const open = (use: 'closer' | 'refresher') =>
  (use === 'closer' ? connect : connectRefresher)(connectionSettings(task.url, database, use), log);

const config: Config['windows'] = {
  ...windows,
  intervalMs: task.intervalMs,
  /** The database's clock is the real one: what windows are ahead of it counts as a negative grace. */
  get graceMs() {
    const ms = now();
    return ms - virtualAt(task.time, ms) + task.graceMs * task.time.factor;
  },
};

const onlooker = await open('closer');
const record = new ClosingRecord(onlooker);
const holders = new Holders();
const redises: Redis[] = [];
const loops: BackgroundLoop[] = [];
for (let i = 0; i < task.instances; i++) loops.push(...(await instance(i)));
const { rows } = await onlooker.query<{ at: Date }>('select closed_until as at from window_state');

const finish = message<number>();
process.send!('ready');
const from = performance.now();
const cpuFrom = process.cpuUsage();
for (const loop of loops) loop.start();

const until = await finish;
await Promise.all(loops.map((loop) => loop.stop()));
const cpu = process.cpuUsage(cpuFrom);
const cores = (cpu.user + cpu.system) / 1_000 / (performance.now() - from);
await record.complete();
const report: ClosingReport = {
  closedBefore: rows[0]!.at.getTime(),
  closes: record.closes.toSorted((a, b) => a.until - b.until),
  lockWaits: record.lockWaits,
  refreshes: record.refreshes,
  counts: record.counts,
  holders: holders.counts,
  cores,
  warnings: [...warnings, ...record.warnings],
};
await catchUp(until);
for (const redis of redises) redis.disconnect();
await onlooker.end();
process.send!(report, () => process.exit());

/** The loops of one instance. */
async function instance(i: number): Promise<BackgroundLoop[]> {
  const frontier = new ClosedFrontier();
  const metrics = record.asMetrics(frontier);
  const { engine } = task;
  const refresher = new Refresher({ config, engine, connect: await opened('refresher'), metrics, log });
  const connect = await opened('closer');
  if (task.lock === 'database') return [new Closer({ config, connect, frontier, metrics, log }), refresher];
  const redis = new Redis(task.lock.url);
  redis.on('error', (error) => warnings.push(`redis: ${error.message}`));
  redises.push(redis);
  const lock = {
    redis,
    key: 'tidemark.closer',
    ttlMs: task.lock.ttlMs,
    stallMs: i === 0 ? task.lock.stallMs : 0,
  };
  return [new RedisCloser({ config, connect, lock, record, holders, log }), refresher];
}

/** Hands out a connection that is open already, and others after that. */
async function opened(use: 'closer' | 'refresher'): Promise<() => Promise<pg.Client>> {
  const ready = [await open(use)];
  return async () => ready.pop() ?? open(use);
}

/** Closes and refreshes everything up to a moment, as any instance would in time. No batch is under way any more. */
async function catchUp(untilMs: number): Promise<void> {
  const { outcome } = await closeWindows(onlooker, { ...windows, graceMs: now() - untilMs });
  if (outcome !== 'won' && outcome !== null) throw new Error(`the last windows do not close: ${outcome}`);
  const metrics = record.asMetrics(new ClosedFrontier());
  const { engine } = task;
  const refresher = new Refresher({ config, engine, connect: () => open('refresher'), metrics, log });
  for (let pauseMs = 0; pauseMs === 0; ) {
    pauseMs = await refresher.step().catch(async (error) => {
      if (errorCode(error) !== LOCK_NOT_AVAILABLE) throw error;
      await sleep(windows.retryMs); // the service under load refreshes, too
      return 0;
    });
  }
  await refresher.stop();
}

function message<Message>(): Promise<Message> {
  return new Promise((resolve) => process.once('message', (received) => resolve(received as Message)));
}
