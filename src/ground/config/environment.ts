import { z } from 'zod';
import { commonVariables } from './common.ts';
import { databaseVariables } from './database.ts';
import { deliveryVariables } from './delivery.ts';
import { httpVariables } from './http.ts';
import { ingestVariables } from './ingest.ts';
import { limitsVariables } from './limits.ts';
import { liveVariables } from './live.ts';
import { metersVariables } from './meters.ts';
import { retentionVariables } from './retention.ts';
import { sourcesVariables } from './sources.ts';
import { telemetryVariables } from './telemetry.ts';
import { windowsVariables } from './windows.ts';

/**
 * Every variable, its bounds and its default. README.md lists the same table; `loadConfig.test.ts` holds
 * the two against each other.
 */
export const ENVIRONMENT = z.object({
  ...commonVariables,
  ...httpVariables,
  ...databaseVariables,
  ...ingestVariables,
  ...windowsVariables,
  ...limitsVariables,
  ...metersVariables,
  ...deliveryVariables,
  ...retentionVariables,
  ...liveVariables,
  ...sourcesVariables,
  ...telemetryVariables,
});
export type Environment = z.infer<typeof ENVIRONMENT>;
