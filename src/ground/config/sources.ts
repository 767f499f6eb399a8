import { z } from 'zod';
import { StartupError } from '../../model/errors.ts';
import { names, redisUrl, type Variables, wholeNumber } from './values.ts';

export const sourcesVariables = {
  SOURCE_REDIS_URL: redisUrl.optional(),
  SOURCE_STREAM: names.optional(),
  SOURCE_GROUP: z.string().min(1).default('tidemark'),
  SOURCE_DEAD_LETTER_STREAM: z.string().min(1).optional(),
  SOURCE_TENANT: z.string().min(1).max(256).optional(),
  SOURCE_CLAIM_AFTER_MS: wholeNumber(100, 3_600_000).default(30_000),
  SOURCE_BATCH_ENTRIES: wholeNumber(1, 10_000).default(500),
};

type Environment = Variables<typeof sourcesVariables>;

export interface RedisStreamConfig {
  url: string;
  stream: string;
  group: string;
  deadLetterStream: string;
  /** How long an entry may be with an instance before another one takes it over, in ms. */
  claimAfterMs: number;
  /** Entries of one read. */
  batchEntries: number;
}

/** Queues that events come from. */
export interface SourcesConfig {
  redisStreams: RedisStreamConfig[];
  /** The tenant of entries that name none; null: their events name their own. */
  tenantId: string | null;
}

/** @throws {StartupError} */
export function sourcesConfig(e: Environment): SourcesConfig {
  return { redisStreams: redisStreams(e), tenantId: e.SOURCE_TENANT ?? null };
}

/** @throws {StartupError} when one thing is set without the other, or a stream would be read that is written here. */
function redisStreams(e: Environment): RedisStreamConfig[] {
  const { SOURCE_REDIS_URL: url, SOURCE_STREAM: streams } = e;
  if (url === undefined && streams === undefined) return [];
  if (url === undefined) throw new StartupError('SOURCE_STREAM needs SOURCE_REDIS_URL');
  if (streams === undefined) throw new StartupError('SOURCE_REDIS_URL needs SOURCE_STREAM');
  return streams.map((stream) => {
    const deadLetterStream = e.SOURCE_DEAD_LETTER_STREAM ?? `${stream}:dead`;
    if (streams.includes(deadLetterStream)) {
      throw new StartupError(`SOURCE_STREAM must not name the dead-letter stream ${deadLetterStream}`);
    }
    return {
      url,
      stream,
      group: e.SOURCE_GROUP,
      deadLetterStream,
      claimAfterMs: e.SOURCE_CLAIM_AFTER_MS,
      batchEntries: e.SOURCE_BATCH_ENTRIES,
    };
  });
}
