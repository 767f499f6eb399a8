import { z } from 'zod';
import { databaseVariables } from './database.ts';
import { deliveryVariables } from './delivery.ts';
import { httpVariables } from './http.ts';
import { ingestVariables } from './ingest.ts';
import { limitsVariables } from './limits.ts';
import { liveVariables } from './live.ts';
import { retentionVariables } from './retention.ts';
import { sourcesVariables } from './sources.ts';
import { telemetryVariables } from './telemetry.ts';
import { redisUrl } from './values.ts';
import { windowsVariables } from './windows.ts';

const adminKey = z.string().min(16, 'needs at least 16 characters').optional();

/**
 * Every variable, its bounds and its default. README.md lists the same table; `config.test.ts` holds
 * the two against each other.
 */
export const ENVIRONMENT = z.object({
  TIDEMARK_PROFILE: z.enum(['dev', 'test', 'prod']).default('dev'),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  DATA_DIR: z.string().min(1).default('.tidemark'),
  ADMIN_KEY: adminKey,
  ADMIN_KEY_PREVIOUS: adminKey,
  REDIS_URL: redisUrl.optional(),
  TIDEMARK_URL: z.url({ protocol: /^https?$/ }).optional(),
  ...httpVariables,
  ...databaseVariables,
  ...ingestVariables,
  ...windowsVariables,
  ...limitsVariables,
  ...deliveryVariables,
  ...retentionVariables,
  ...liveVariables,
  ...sourcesVariables,
  ...telemetryVariables,
});
export type Environment = z.infer<typeof ENVIRONMENT>;
