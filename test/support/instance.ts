import { Registry } from 'prom-client';
import { listen } from '../../src/faces/http/server.ts';
import { createService } from '../../src/faces/service/service.ts';
import { loadConfig } from '../../src/ground/config/loadConfig.ts';
import {
  connect,
  connectionSettings,
  connectRefresher,
  createPool,
} from '../../src/ground/db/connections.ts';
import { readEngine } from '../../src/ground/db/engine.ts';
import { createLogger } from '../../src/ground/telemetry/logger.ts';
import { compressChunk } from '../../src/sums/retention/compressChunks.ts';
import { ClosedFrontier } from '../../src/sums/windows/closedFrontier.ts';
import { Closer } from '../../src/sums/windows/closer.ts';
import { Refresher } from '../../src/sums/windows/refresher.ts';
import { WindowMetrics } from '../../src/sums/windows/windowMetrics.ts';
import { graceUpTo } from './closing.ts';

/*
 * One instance of the service in a process of its own, so that it can be killed and stopped. It listens as usual; its
 * closer and refresher do a round when they are told to, and close as far as they are told.
 */

/** What an instance is told over IPC; it answers with the same id. */
export type Order = { id: number } & (
  | { do: 'close'; untilMs: number }
  | { do: 'refresh' }
  /** Into the columnstore with the newest chunks that are not there, though nothing there is of any age. */
  | { do: 'pack'; chunks: number }
);

export interface Report {
  id: number;
  /** What the round failed with. */
  error?: string;
}

const NEVER_MS = 1_000_000_000;
/** After which packing a chunk is broken off. */
const PACKING_MS = 2_000;

const config = loadConfig();
config.ingest.acceptAheadMs = 10 * 365 * 86_400_000; // time in the oracle runs ahead of the clock
config.windows.graceMs = 365 * 86_400_000; // the service's own closer finds nothing due
config.windows.intervalMs = NEVER_MS;
const url = config.database.url!;
const log = createLogger(config);
const service = await createService(config, url, log);
const server = await listen(service.app, '127.0.0.1', 0, config.http.limits);

const probe = await connect(connectionSettings(url, config.database, 'read'), log);
const engine = await readEngine(probe);
await probe.end();
const told = { ...config.windows };
const parts = {
  config: told,
  metrics: new WindowMetrics(new Registry()),
  log,
};
const settings = (use: 'closer' | 'refresher' | 'retention') => connectionSettings(url, config.database, use);
const closer = new Closer({
  ...parts,
  connect: () => connect(settings('closer'), log),
  frontier: new ClosedFrontier(),
});
const refresher = new Refresher({
  ...parts,
  connect: () => connectRefresher(settings('refresher'), log),
  engine,
});

async function pack(chunks: number): Promise<void> {
  const client = await connect(settings('retention'), log);
  const watch = createPool(settings('retention'), 1, log);
  try {
    const { rows } = await client.query(
      `select c.chunk from retention_chunk c join retention r using (relation)
       where c.state <> 1 and r.compress_after is not null order by c.range_end desc, c.relation limit $1`,
      [chunks],
    );
    for (const { chunk } of rows)
      await compressChunk(client, watch, chunk, AbortSignal.timeout(PACKING_MS)).catch(() => undefined);
  } finally {
    await Promise.allSettled([client.end(), watch.end()]);
  }
}

/** What each loop is at: one round after the other, as in life. */
const rounds: Record<Order['do'], Promise<unknown>> = {
  close: Promise.resolve(),
  refresh: Promise.resolve(),
  pack: Promise.resolve(),
};

async function obey(order: Order): Promise<void> {
  const round = rounds[order.do].then(async () => {
    if (order.do === 'refresh') return refresher.step();
    if (order.do === 'pack') return pack(order.chunks);
    told.graceMs = graceUpTo(order.untilMs);
    return closer.step();
  });
  rounds[order.do] = round.catch(() => undefined);
  await round;
}

process.on('message', (order: Order) => {
  obey(order).then(
    () => process.send!({ id: order.id } satisfies Report),
    (error) => process.send!({ id: order.id, error: String(error) } satisfies Report),
  );
});
process.on('disconnect', () => process.exit());
process.send!({ address: server.address });
