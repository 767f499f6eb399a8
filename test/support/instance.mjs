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
import { FillPace } from '../../dist/sums/meters/keeping/fillPace.js';
import { fillSeries } from '../../dist/sums/meters/keeping/fillSeries.js';
import { foldMeters, settleMembers } from '../../dist/sums/meters/keeping/foldMeters.js';
import { compressChunk } from '../../dist/sums/retention/compressChunks.js';
import { ClosedFrontier } from '../../dist/sums/windows/closedFrontier.js';
import { Closer } from '../../dist/sums/windows/closer.js';
import { Refresher } from '../../dist/sums/windows/refresher.js';
import { WindowMetrics } from '../../dist/sums/windows/windowMetrics.js';

/*
 * One instance of the service, as buildProgram has built it, in a process of its own, so that it can be killed and
 * stopped. It listens as usual; its closer, its refresher and what keeps meters do a round when they are told to, and
 * go as far as they are told. Orders and reports: world.ts.
 */

const NEVER_MS = 1_000_000_000;
/** After which packing a chunk is broken off. */
const PACKING_MS = 2_000;

const config = loadConfig();
config.ingest.acceptAheadMs = 10 * 365 * 86_400_000; // time in the oracle runs ahead of the clock
config.ingest.columnsSpanMs = Number.POSITIVE_INFINITY; // few events, far apart, are to go either way
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
      `select c.chunk, c.state = 3 as unordered from retention_chunk c join retention r using (relation)
       where c.state <> 1 and r.compress_after is not null order by c.range_end desc, c.relation limit $1`,
      [chunks],
    );
    for (const chunk of rows)
      await compressChunk(client, watch, chunk, AbortSignal.timeout(PACKING_MS)).catch(() => undefined);
  } finally {
    await Promise.allSettled([client.end(), watch.end()]);
  }
}

async function keepMeters(steps) {
  const client = await connect(settings('meters'), log);
  try {
    await steps(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function fold({ parts }) {
  return keepMeters(async (client) => {
    await foldMeters(client, engine, parts);
    await settleMembers(client, engine);
  });
}

function fill({ spanMs, steps }) {
  return keepMeters(async (client) => {
    for (let step = 0; step < steps; step++) {
      const pace = new FillPace();
      pace.mostMs = spanMs;
      pace.blindMs = Math.min(pace.blindMs, spanMs);
      if ((await fillSeries(client, engine, pace, new AbortController().signal)) === null) return;
    }
  });
}

/** What each loop is at: one round after the other, as in life. */
const rounds = {
  close: Promise.resolve(),
  refresh: Promise.resolve(),
  pack: Promise.resolve(),
  fold: Promise.resolve(),
  fill: Promise.resolve(),
};

async function obey(order) {
  const round = rounds[order.do].then(async () => {
    if (order.do === 'refresh') return refresher.step();
    if (order.do === 'pack') return pack(order.chunks);
    if (order.do === 'fold') return fold(order);
    if (order.do === 'fill') return fill(order);
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
