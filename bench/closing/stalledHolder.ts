import { setTimeout as sleep } from 'node:timers/promises';
import { type VirtualTime, virtualAt } from '../load/virtualTime.ts';
import { interruption } from '../support/interruption.ts';
import type { BenchServer } from '../support/servers.ts';
import { startInstances } from './measureClosing.ts';
import type { Holders } from './redisCloser.ts';

/** What came of a lock in Redis whose holder stood still for longer than the lock lives. */
export interface StallReport {
  ttlMs: number;
  stallMs: number;
  counts: Holders['counts'];
  problems: string[];
}

const TTL_MS = 1_000;
const STALL_MS = 3_000;
const SECONDS = 15;

/**
 * Two instances without ingest, the first of which stands still between lock and update whenever it has the lock: as
 * by a long garbage collection, a machine that swaps, or a lost packet. What `close_windows` does cannot be parted in
 * that way: the client is not asked for anything between lock and commit.
 */
export async function measureStall(
  server: BenchServer,
  { redisUrl, factor, intervalMs }: { redisUrl: string; factor: number; intervalMs: number },
): Promise<StallReport> {
  const database = await server.createDatabase('migrated');
  try {
    const time: VirtualTime = { from: Date.now(), factor };
    const instances = await startInstances({
      url: database.url,
      engine: server.engine,
      instances: 2,
      lock: { url: redisUrl, ttlMs: TTL_MS, stallMs: STALL_MS },
      time,
      graceMs: 0,
      intervalMs,
    });
    try {
      await sleep(SECONDS * 1_000, undefined, { signal: interruption });
      const { holders, warnings } = await instances.finish(virtualAt(time, Date.now()));
      return { ttlMs: TTL_MS, stallMs: STALL_MS, counts: holders, problems: warnings };
    } finally {
      await instances.stop();
    }
  } finally {
    await database.drop();
  }
}
