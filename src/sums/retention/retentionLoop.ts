import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { forgetPortalTokens } from '../../access/tenancy/portalTokens.ts';
import type { RetentionConfig } from '../../ground/config/retention.ts';
import { BackgroundLoop } from '../../ground/db/backgroundLoop.ts';
import type { Engine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import { gaveWay } from '../../ground/db/sqlstate.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { chunksDue, compressChunk } from './compressChunks.ts';
import { moveIdentities } from './moveIdentities.ts';
import { prunePages, walkedTables } from './prunePages.ts';
import { outdated, removeOld } from './removeOld.ts';
import type { RetentionMetrics } from './retentionMetrics.ts';

export interface RetentionLoopOptions {
  config: RetentionConfig;
  engine: Engine;
  connect(): Promise<pg.Client>;
  /** For looking on from outside while the loop's own connection is busy. */
  watch: Queryable;
  metrics: RetentionMetrics;
  log: Logger;
}

const RETRY_MS = 10_000;
/** How long ids of earlier versions are moved in a round, in ms. */
const MOVE_MS = 30_000;

/**
 * Removes what is older than it is kept, and brings what is old into the columnstore; in every instance at once. Each
 * step is a short transaction under a lock that only one of them gets, and as long as it takes the loop rests after it.
 * A stop leaves a chunk that is being turned into columns as it was.
 */
export class RetentionLoop extends BackgroundLoop {
  constructor({ config, engine, connect, watch, metrics, log }: RetentionLoopOptions) {
    super({
      name: 'retention',
      connect,
      intervalMs: config.intervalMs,
      retryMs: Math.min(RETRY_MS, config.intervalMs),
      log,
      async round(client, signal) {
        const moved = await client.query<{ moved: string[] }>('select advance_retention() as moved');
        if (moved.rows[0]!.moved.length > 0) log.info(moved.rows[0], 'older data are no longer kept');
        for (const relation of await outdated(client, config.removeAfterMs)) {
          await repeat(signal, async () => {
            const { rows, chunks, more } = await removeOld(client, engine, relation);
            metrics.rows.inc({ relation }, rows);
            metrics.chunks.inc({ relation }, chunks);
            return more;
          });
        }
        for (const relation of walkedTables(engine)) {
          await repeat(signal, async () => {
            const { rows, more } = await prunePages(client, relation, config.passEveryMs);
            metrics.rows.inc({ relation }, rows);
            return more;
          });
        }
        await repeat(signal, async () => {
          const { rows, more } = await forgetPortalTokens(client);
          metrics.rows.inc({ relation: 'portal_token' }, rows);
          return more;
        });
        if (engine === 'timescale') await compressDue(client, watch, metrics, signal);
        if (!signal.aborted) metrics.lastRun.setToCurrentTime();
        return (await moveIdentities(client, MOVE_MS, log, signal)) ? 0 : config.intervalMs;
      },
    });
  }
}

/** Does steps until there is no more to do, resting after each for as long as it took. */
async function repeat(signal: AbortSignal, step: () => Promise<boolean>): Promise<void> {
  while (!signal.aborted) {
    const started = performance.now();
    if (!(await step())) return;
    await sleep(performance.now() - started, undefined, { signal }).catch(() => undefined);
  }
}

async function compressDue(
  client: pg.Client,
  watch: Queryable,
  metrics: RetentionMetrics,
  signal: AbortSignal,
): Promise<void> {
  const due = await chunksDue(client);
  let pending = due.length;
  metrics.pending.set(pending);
  for (const chunk of due) {
    if (signal.aborted) return;
    try {
      const outcome = await compressChunk(client, watch, chunk, signal);
      if (outcome === 'busy') return;
      if (outcome === 'gave way') {
        metrics.gaveWay.inc();
        continue;
      }
    } catch (error) {
      if (!gaveWay(error)) throw error;
      metrics.gaveWay.inc();
      continue; // the next one may be free
    }
    metrics.compressed.inc();
    metrics.pending.set(--pending);
  }
}
