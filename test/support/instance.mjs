import { Registry } from 'prom-client';
import { listen } from '../../dist/faces/http/server.js';
import { createService } from '../../dist/faces/service/service.js';
import { loadConfig } from '../../dist/ground/config/loadConfig.js';
import {
  connect,
  connectionSettings,
  connectRefresher,
  createPool,
} from '../../dist/ground/db/connections.js';
import { readEngine } from '../../dist/ground/db/engine.js';
import { createLogger } from '../../dist/ground/telemetry/logger.js';
import { compressChunk } from '../../dist/sums/retention/compressChunks.js';
import { ClosedFrontier } from '../../dist/sums/windows/closedFrontier.js';
import { Closer } from '../../dist/sums/windows/closer.js';
import { Refresher } from '../../dist/sums/windows/refresher.js';
import { WindowMetrics } from '../../dist/sums/windows/windowMetrics.js';

/*
 * One instance of the service, as buildProgram has built it, in a process of its own, so that it can be killed and
 * stopped. It listens as usual; its closer and refresher do a round when they are told to, and close as far as they are
 * told. Orders and reports: world.ts.
 */

const NEVER_MS = 1_000_000_000;
/** After which packing a chunk is broken off. */
const PACKING_MS = 2_000;

const config = loadConfig();
config.ingest.acceptAheadMs = 10 * 365 * 86_400_000; // time in the oracle runs ahead of the clock
config.windows.graceMs = 365 * 86_400_000; // the service's own closer finds nothing due
config.windows.intervalMs = NEVER_MS;
const url = config.database.url;
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
const settings = (use) => connectionSettings(url, config.database, use);
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

async function pack(chunks) {
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
const rounds = {
  close: Promise.resolve(),
  refresh: Promise.resolve(),
  pack: Promise.resolve(),
};

async function obey(order) {
  const round = rounds[order.do].then(async () => {
    if (order.do === 'refresh') return refresher.step();
    if (order.do === 'pack') return pack(order.chunks);
    told.graceMs = Date.now() - order.untilMs - 15_000; // as graceUpTo of closing.ts
    return closer.step();
  });
  rounds[order.do] = round.catch(() => undefined);
  await round;
}

process.on('message', (order) => {
  obey(order).then(
    () => process.send({ id: order.id }),
    (error) => process.send({ id: order.id, error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send({ address: server.address });
