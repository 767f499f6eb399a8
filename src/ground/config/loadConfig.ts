import type { z } from 'zod';
import { StartupError } from '../../model/errors.ts';
import { type DatabaseConfig, databaseConfig } from './database.ts';
import { type DeliveryConfig, deliveryConfig } from './delivery.ts';
import { ENVIRONMENT, type Environment } from './environment.ts';
import { type HttpConfig, httpConfig } from './http.ts';
import { type IngestConfig, ingestConfig } from './ingest.ts';
import { type LimitsConfig, limitsConfig } from './limits.ts';
import { type LiveConfig, type LiveViewConfig, liveConfig, liveViewConfig } from './live.ts';
import { type MetersConfig, metersConfig } from './meters.ts';
import { type RetentionConfig, retentionConfig } from './retention.ts';
import { type SourcesConfig, sourcesConfig } from './sources.ts';
import { type TelemetryConfig, telemetryConfig } from './telemetry.ts';
import { type WindowsConfig, windowsConfig } from './windows.ts';

export interface Config {
  profile: Environment['TIDEMARK_PROFILE'];
  logLevel: Environment['LOG_LEVEL'];
  /** Of the embedded PostgreSQL and the dev keys. */
  dataDir: string;
  adminKey: string | undefined;
  /** The platform key before, which stays valid while its users change over. */
  previousAdminKey: string | undefined;
  http: HttpConfig;
  database: DatabaseConfig;
  ingest: IngestConfig;
  windows: WindowsConfig;
  limits: LimitsConfig;
  meters: MetersConfig;
  delivery: DeliveryConfig;
  retention: RetentionConfig;
  live: LiveConfig;
  liveView: LiveViewConfig;
  sources: SourcesConfig;
  telemetry: TelemetryConfig;
}

/**
 * Reads and checks the whole configuration. The only place that looks at environment variables.
 *
 * @throws {StartupError} naming every variable that is wrong, in one line.
 */
export function loadConfig(env: Record<string, string | undefined> = process.env): Config {
  const e = parse(ENVIRONMENT, env);
  if (e.TIDEMARK_PROFILE === 'prod') {
    if (!e.DATABASE_URL) throw new StartupError('the prod profile needs DATABASE_URL');
    if (!e.ADMIN_KEY) throw new StartupError('the prod profile needs ADMIN_KEY');
  }
  if (e.ADMIN_KEY_PREVIOUS && !e.ADMIN_KEY) throw new StartupError('ADMIN_KEY_PREVIOUS needs ADMIN_KEY');
  if (e.HEADERS_TIMEOUT_MS > e.REQUEST_TIMEOUT_MS) {
    throw new StartupError('HEADERS_TIMEOUT_MS must not be longer than REQUEST_TIMEOUT_MS');
  }
  return {
    profile: e.TIDEMARK_PROFILE,
    logLevel: e.LOG_LEVEL,
    dataDir: e.DATA_DIR,
    adminKey: e.ADMIN_KEY,
    previousAdminKey: e.ADMIN_KEY_PREVIOUS,
    http: httpConfig(e),
    database: databaseConfig(e),
    ingest: ingestConfig(e),
    windows: windowsConfig(e),
    limits: limitsConfig(e),
    meters: metersConfig(e),
    delivery: deliveryConfig(e),
    retention: retentionConfig(e),
    live: liveConfig(e),
    liveView: liveViewConfig(e),
    sources: sourcesConfig(e),
    telemetry: telemetryConfig(e),
  };
}

/** What a client of the service on this machine goes by: nothing is asked of the service's own configuration. */
export interface ClientConfig {
  url: string;
  adminKey: string | undefined;
  dataDir: string;
}

/** @throws {StartupError} naming every variable that is wrong, in one line. */
export function loadClientConfig(env: Record<string, string | undefined> = process.env): ClientConfig {
  const variables = ENVIRONMENT.pick({ TIDEMARK_URL: true, PORT: true, ADMIN_KEY: true, DATA_DIR: true });
  const e = parse(variables, env);
  return {
    url: e.TIDEMARK_URL ?? `http://127.0.0.1:${e.PORT}`,
    adminKey: e.ADMIN_KEY,
    dataDir: e.DATA_DIR,
  };
}

function parse<Variables extends z.ZodType>(
  variables: Variables,
  env: Record<string, string | undefined>,
): z.infer<Variables> {
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const parsed = variables.safeParse(present);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new StartupError(`configuration is invalid: ${faults.join('; ')}`);
}

/** What programs that this one starts get of its environment: how to be found and run, and no secrets. */
export function environmentOfPrograms(): NodeJS.ProcessEnv {
  const { PATH, LD_LIBRARY_PATH, TMPDIR } = process.env;
  return { PATH, ...(LD_LIBRARY_PATH && { LD_LIBRARY_PATH }), ...(TMPDIR && { TMPDIR }) };
}
