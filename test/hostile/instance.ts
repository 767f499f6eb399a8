import { listen } from '../../src/faces/http/server.ts';
import { createService } from '../../src/faces/service/service.ts';
import { loadConfig } from '../../src/ground/config/loadConfig.ts';
import { createLogger } from '../../src/ground/telemetry/logger.ts';

/** One instance as it runs in production, in a process of its own that tells how much memory it holds. */

export interface Memory {
  /** Bytes, right after a garbage collection. */
  heap: number;
  rss: number;
}

const config = loadConfig();
const service = await createService(config, config.database.url!, createLogger(config));
const server = await listen(service.app, '127.0.0.1', 0, config.http.limits);
process.on('message', () => {
  global.gc!();
  const { heapUsed, external, rss } = process.memoryUsage();
  process.send!({ heap: heapUsed + external, rss } satisfies Memory);
});
process.on('disconnect', () => process.exit());
process.send!({ address: server.address });
