import { z } from 'zod';
import { redisUrl } from './values.ts';

const adminKey = z
  .string()
  .min(16, 'needs at least 16 characters')
  .refine((key) => !key.startsWith('tmp_'), 'must not begin with tmp_, as portal tokens do')
  .optional();

/** What is of no part alone. */
export const commonVariables = {
  TIDEMARK_PROFILE: z.enum(['dev', 'test', 'prod']).default('dev'),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  DATA_DIR: z.string().min(1).default('.tidemark'),
  ADMIN_KEY: adminKey,
  ADMIN_KEY_PREVIOUS: adminKey,
  REDIS_URL: redisUrl.optional(),
  TIDEMARK_URL: z.url({ protocol: /^https?$/ }).optional(),
};
