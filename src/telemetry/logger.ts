import { type Logger, pino } from 'pino';
import type { Config } from '../config.ts';

export type { Logger };

/** JSON lines on standard output; secrets are never logged, so there is nothing to redact but the header. */
export function createLogger(config: Pick<Config, 'logLevel'>): Logger {
  return pino({
    level: config.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: ['req.headers.authorization'],
  });
}
