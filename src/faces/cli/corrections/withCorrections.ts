import { setTimeout as sleep } from 'node:timers/promises';
import { Registry } from 'prom-client';
import type { TenantContext } from '../../../access/tenancy/tenantContext.ts';
import type { Config } from '../../../ground/config/loadConfig.ts';
import { connect, connectionSettings, createTenantReads } from '../../../ground/db/connections.ts';
import { readEngine } from '../../../ground/db/engine.ts';
import { Corrections } from '../../../intake/corrections/corrections.ts';
import { StartupError } from '../../../model/errors.ts';
import { createLiveCounters } from '../../../sums/live/createLiveCounters.ts';
import type { LiveCounters } from '../../../sums/live/liveCounters.ts';
import { NoLiveCounters } from '../../../sums/live/none.ts';
import { forTenant } from '../forTenant.ts';
import { toolLogger } from '../runCommand.ts';

/** Nobody but who waits at a terminal waits for the answer, in ms: as long as its transaction may take, repetitions included. */
const PATIENCE_MS = 3_600_000;
const REDIS_MS = 5_000;
const LOOK_MS = 20;

/**
 * Corrects events of a tenant in the database, as the service does.
 *
 * @throws {StartupError} where there is no such tenant, or live counters are in a Redis that does not answer: they would go on
 * telling what counts no more.
 */
export function withCorrections<Result>(
  tenantId: string,
  work: (corrections: Corrections, context: TenantContext) => Promise<Result>,
): Promise<Result> {
  return forTenant(tenantId, async (client, context, config, url) => {
    const log = toolLogger();
    const engine = await readEngine(client);
    const reads = createTenantReads(connectionSettings(url, config.database, 'read'), engine, 1, log);
    const live = await liveCounters(config);
    try {
      const corrections = new Corrections({
        engine,
        connect: () => connect(connectionSettings(url, config.database, 'corrections'), log),
        admin: client,
        reads,
        live,
        registry: new Registry(),
        log,
        answerWithinMs: PATIENCE_MS,
        onMessages: () => undefined, // relays of instances look for them
      });
      return await work(corrections, context);
    } finally {
      await Promise.all([live.close(), reads.end()]);
    }
  });
}

/** Those that instances share. An instance that has them in its memory asks for corrections (`anyCorrected`). */
async function liveCounters({ live }: Config): Promise<LiveCounters> {
  if (live.store !== 'redis') return new NoLiveCounters();
  const counters = createLiveCounters(live);
  const deadline = Date.now() + REDIS_MS;
  while (!counters.healthy()) {
    if (Date.now() > deadline) {
      await counters.close();
      throw new StartupError(
        'REDIS_URL: nothing answers there, and live counters in it would go on telling what is corrected; without REDIS_URL it is done all the same',
      );
    }
    await sleep(LOOK_MS);
  }
  return counters;
}
