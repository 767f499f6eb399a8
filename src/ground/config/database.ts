import { z } from 'zod';
import { postgresUrl, type Variables, wholeNumber } from './values.ts';

export const databaseVariables = {
  DATABASE_URL: postgresUrl.optional(),
  EMBEDDED_PG_PORT: wholeNumber(1, 65_535).default(54_329),
  DATABASE_POOLER: z.enum(['none', 'transaction']).default('none'),
  READ_POOL_SIZE: wholeNumber(1, 100).default(8),
  DB_CONNECT_TIMEOUT_MS: wholeNumber(100, 60_000).default(5_000),
  DB_PROBE_INTERVAL_MS: wholeNumber(50, 60_000).default(1_000),
  DB_PROBE_TIMEOUT_MS: wholeNumber(100, 60_000).default(3_000),
  READ_TIMEOUT_MS: wholeNumber(100, 300_000).default(15_000),
};

type Environment = Variables<typeof databaseVariables>;

export interface DatabaseConfig {
  /** Undefined: the embedded PostgreSQL in `dataDir`. */
  url: string | undefined;
  embeddedPort: number;
  /** `transaction`: a pooler lends a server connection for one transaction at a time, so there are no sessions. */
  pooler: 'none' | 'transaction';
  readPoolSize: number;
  connectTimeoutMs: number;
  probeIntervalMs: number;
  probeTimeoutMs: number;
  readTimeoutMs: number;
}

export function databaseConfig(e: Environment): DatabaseConfig {
  return {
    url: e.DATABASE_URL,
    embeddedPort: e.EMBEDDED_PG_PORT,
    pooler: e.DATABASE_POOLER,
    readPoolSize: e.READ_POOL_SIZE,
    connectTimeoutMs: e.DB_CONNECT_TIMEOUT_MS,
    probeIntervalMs: e.DB_PROBE_INTERVAL_MS,
    probeTimeoutMs: e.DB_PROBE_TIMEOUT_MS,
    readTimeoutMs: e.READ_TIMEOUT_MS,
  };
}
