import { createService } from '../../dist/faces/service/service.js';
import { loadConfig } from '../../dist/ground/config/loadConfig.js';
import { createLogger } from '../../dist/ground/telemetry/logger.js';

/*
 * An instance of the service in a process of its own, which can be killed. It retries and takes leases over in seconds
 * instead of hours and minutes.
 */

const config = loadConfig();
config.delivery.scheduleMs = Array(10_000).fill(30);
config.delivery.timeoutMs = 1_000;
config.delivery.leaseMs = 3_000;
config.delivery.breaker = { failures: 10, probeMinMs: 50, probeMaxMs: 200 };
await createService(config, config.database.url, createLogger(config));
process.once('disconnect', () => process.exit());
process.send('ready');
