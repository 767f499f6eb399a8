import { setTimeout as sleep } from 'node:timers/promises';
import { type Config, loadConfig } from '../../ground/config/loadConfig.ts';
import { connect, connectionSettings } from '../../ground/db/connections.ts';
import { prepareDatabase } from '../../ground/db/prepareDatabase.ts';
import { type Keyring, loadKeyring } from '../../ground/local/keyring.ts';
import { type LocalDatabase, startLocalDatabase } from '../../ground/local/localDatabase.ts';
import { createLogger, type Logger } from '../../ground/telemetry/logger.ts';
import { startTracing } from '../../ground/telemetry/startTracing.ts';
import { StartupError } from '../../model/errors.ts';
import { DemoCode } from '../console/demoCode.ts';
import { listen, requireFreePort } from '../http/server.ts';
import { makeFirstTenant } from '../seeds/makeFirstTenant.ts';
import { readSeeds, type SeedTenant } from '../seeds/readSeeds.ts';
import { applyMetersFile, readMetersFile } from './metersFile.ts';
import { createService } from './service.ts';

/** Configuration → database → service → listen; on SIGTERM or SIGINT drain and exit. */
async function main(): Promise<void> {
  const started = performance.now();
  const config = loadConfig();
  const log = createLogger(config);
  const seeds = config.profile === 'dev' ? await readSeeds() : null; // before anything is written
  const { file } = config.meters;
  const meters = file === undefined ? undefined : await readMetersFile(file);
  if (config.database.url === undefined)
    announce(config, `Starting the local database in ${config.dataDir} …`);
  const local =
    config.database.url === undefined ? await startLocalDatabase(config, (line) => log.warn(line)) : null;
  try {
    await requireFreePort(config.http.host, config.http.port); // after the lock, which says more of a second start
    const url = config.database.url ?? local!.url;
    announce(config, 'Making the schema, or bringing it up to date …');
    await prepareDatabase(url, config.database, log);
    const demo = seeds && (await makeDemo(config, url, seeds.firstStart, log));
    if (file !== undefined) await applyMetersFile(config, meters, url, log);
    const adminKey = config.adminKey ?? demo?.keyring.adminKey;
    const tracing = await startTracing(config.telemetry, log);
    const demoCode = demo && config.http.console ? new DemoCode(demo.keyring.demoKey) : undefined;
    const service = await createService({ ...config, adminKey }, url, log, { tracing, demoCode });
    const stop = stopSignal(local); // before anybody can know that we listen
    const { host, port, limits } = config.http;
    const server = await listen(service.app, host, port, limits, service.onRefused).catch(async (error) => {
      await service.close();
      throw error;
    });
    if (demo) welcome(config, server.address, url, { ...demo, demoCode }, performance.now() - started);
    else log.info({ address: server.address }, 'listening');
    service.onListening();

    const signal = await stop;
    log.info({ signal }, 'stopping');
    service.beginDrain();
    await sleep(config.http.drainDelayMs);
    const deadline = Date.now() + config.http.drainTimeoutMs;
    await server.close(config.http.drainTimeoutMs / 2);
    const closed = await Promise.race([
      service.close().then(() => true),
      sleep(Math.max(0, deadline - Date.now()), false, { ref: false }),
    ]);
    await tracing.close(Math.max(0, deadline - Date.now()));
    const owed = service.owedEvents();
    if (owed > 0)
      throw new StartupError(
        `stopped, but ${owed} events that had been answered with 202 were not stored${closed ? '' : ' within DRAIN_TIMEOUT_MS'}`,
      );
    // What was not answered will be sent again, and what was broken off in the background goes on elsewhere, or later.
    if (!closed) log.warn('stopped at DRAIN_TIMEOUT_MS with work under way that nobody was promised');
    if (signal === 'database gone') throw new StartupError('the local database has ended; see its log');
    log.info('stopped');
  } finally {
    await local?.stop();
  }
}

/** What a start in `dev` says of itself: its keys, and whose the demo key is. */
interface Demo {
  keyring: Keyring;
  tenantId: string;
}

async function makeDemo(config: Config, url: string, tenant: SeedTenant, log: Logger): Promise<Demo> {
  const keyring = await loadKeyring(config.dataDir);
  const client = await connect(connectionSettings(url, config.database, 'migrate'), log);
  try {
    await makeFirstTenant(client, tenant, keyring.demoKey);
    return { keyring, tenantId: tenant.id };
  } finally {
    await client.end();
  }
}

/** Resolves with the reason to stop. A second signal ends the process at once. */
function stopSignal(local: LocalDatabase | null): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        process.once(signal, () => process.exit(1));
        resolve(signal);
      });
    }
    local?.exited.then(() => resolve('database gone'));
  });
}

/** Says in `dev` what takes seconds, as it begins: a first start is silent for long otherwise. */
function announce(config: Config, what: string): void {
  if (config.profile === 'dev') process.stdout.write(`  ${what}\n`);
}

function welcome(
  config: Config,
  address: string,
  url: string,
  demo: Demo & { demoCode: DemoCode | undefined },
  ms: number,
): void {
  const { keyring, tenantId, demoCode } = demo;
  const lines = [
    '',
    `  Tidemark is ready (${(ms / 1_000).toFixed(1)} s)`,
    '',
    `  API       ${address}`,
    `  Docs      ${address}/docs`,
    ...(demoCode ? [`  Console   ${address}/console?code=${demoCode.code}   (once, within 15 minutes)`] : []),
    `  Demo key  ${keyring.demoKey}   (tenant "${tenantId}")`,
    `  Admin key ${config.adminKey === undefined ? keyring.adminKey : 'from ADMIN_KEY'}`,
    `  Database  psql "${url}"`,
    '',
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** A reason not to start is one line for the operator; anything else is a fault of ours and shows its stack. */
function fail(error: unknown): void {
  process.exitCode = 1;
  if (error instanceof StartupError) process.stderr.write(`tidemark: ${error.message}\n`);
  else createLogger({ logLevel: 'error' }).fatal({ err: error }, 'failed');
}

main()
  .catch((error) => fail(error))
  .finally(() => process.exit()); // a connection that hangs must not keep a stopped service alive
