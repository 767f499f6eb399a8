import { setTimeout as sleep } from 'node:timers/promises';
import { tenantContext } from '../../src/access/tenancy/tenantContext.ts';
import { createService } from '../../src/faces/service/service.ts';
import { loadConfig } from '../../src/ground/config/loadConfig.ts';
import { connectionSettings, createPool, createTenantReads } from '../../src/ground/db/connections.ts';
import { readEngine } from '../../src/ground/db/engine.ts';
import type { Queryable } from '../../src/ground/db/queryable.ts';
import { createLogger } from '../../src/ground/telemetry/logger.ts';
import { WINDOW_MS } from '../../src/model/window.ts';
import { listWindows } from '../../src/sums/rollups/listWindows.ts';
import { historyStart, loadHistory } from '../load/history.ts';
import type { Timing } from '../load/measurement.ts';
import { CUSTOMERS, seededRandom, TENANT } from '../load/workload.ts';
import { interruption } from '../support/interruption.ts';
import { type BenchServer, withClient } from '../support/servers.ts';

const EVENTS = 200_000;
const HOUR_MS = 3_600_000;

/**
 * Reads the windows of one hour of one customer, one at a time on one connection: as the reading role through its
 * views, or the same statement on the tables themselves, with the rights of the owner.
 *
 * @returns queries per second.
 */
export async function readWindows(
  server: BenchServer,
  through: 'views' | 'tables',
  timing: Timing,
): Promise<number> {
  const database = await server.createDatabase('migrated');
  const config = loadConfig({ LOG_LEVEL: 'silent', DATABASE_URL: database.url });
  const log = createLogger(config);
  const settings = connectionSettings(database.url, config.database, 'read');
  const tables = createPool(settings, 1, log);
  const reads = createTenantReads(settings, await readEngine(tables), 1, log);
  const context = tenantContext(TENANT);
  const db: Queryable =
    through === 'views'
      ? reads.as(context)
      : { query: ((statement: unknown) => tables.query(withoutViews(statement))) as Queryable['query'] };
  try {
    const to = Date.now();
    await loadHistory(database.url, EVENTS, to);
    await closeAll(database.url);
    const start = historyStart(EVENTS, to);
    const random = seededRandom(EVENTS);
    const choices = Math.floor((to - start - HOUR_MS) / WINDOW_MS);
    const readFor = async (ms: number) => {
      const until = performance.now() + ms;
      let count = 0;
      for (; performance.now() < until; count++) {
        interruption.throwIfAborted();
        const from = start + Math.floor(random() * choices) * WINDOW_MS;
        const customerId = CUSTOMERS[Math.floor(random() * CUSTOMERS.length)]!;
        const { data } = await listWindows(db, context, {
          from,
          to: from + HOUR_MS,
          customerId,
          limit: 120,
          state: undefined,
        });
        if (data.length < 100) throw new Error(`${data.length} windows in an hour`);
      }
      return count;
    };
    await readFor(timing.warmupMs);
    return (await readFor(timing.durationMs)) / (timing.durationMs / 1_000);
  } finally {
    await Promise.all([reads.end(), tables.end()]);
    await database.drop();
  }
}

function withoutViews(statement: unknown): string {
  const { text, ...rest } = statement as { text: string };
  return { ...rest, text: text.replaceAll(/tenant_data\.(?!require_kept)/g, '') } as unknown as string;
}

/** Closes and refreshes what has ended, as a service does. */
async function closeAll(url: string): Promise<void> {
  const config = loadConfig({ LOG_LEVEL: 'silent', DATABASE_URL: url, CLOSER_INTERVAL_MS: '100' });
  const service = await createService(config, url, createLogger(config));
  try {
    await withClient(url, async (client) => {
      for (;;) {
        const { rows } = await client.query(
          `select closed_until > now() - interval '1 minute'
             and (refreshed_30s = closed_until or (select engine from installation) = 'postgres') as done
           from window_state`,
        );
        if (rows[0].done) break;
        await sleep(100, undefined, { signal: interruption });
      }
      await client.query('vacuum analyze');
    });
  } finally {
    await service.close();
  }
}
