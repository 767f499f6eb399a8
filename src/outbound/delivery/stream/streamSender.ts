import { Redis } from '../../../ground/redisClient.ts';
import { type AttemptResult, type Message, messageData } from '../relay/outgoing.ts';

export interface StreamSenderOptions {
  /** Undefined: there is no Redis, and no delivery to a stream can succeed. */
  url: string | undefined;
  /** Entries that a stream keeps, about. */
  maxLength: number;
}

const TIMEOUT_MS = 2_000;

/** The key of a tenant's stream: no other tenant's can be the same, since an escaped id has no colon. */
export function streamKey(tenantId: string, stream: string): string {
  return `tidemark:out:${encodeURIComponent(tenantId)}:${stream}`;
}

/** Adds messages to Redis streams, with the fields id, type, timestamp and data. */
export class StreamSender {
  private readonly redis: Redis | undefined;
  private readonly maxLength: number;

  constructor({ url, maxLength }: StreamSenderOptions) {
    this.maxLength = maxLength;
    if (url === undefined) return;
    this.redis = new Redis(url, {
      lazyConnect: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      commandTimeout: TIMEOUT_MS,
      connectTimeout: TIMEOUT_MS,
      disconnectTimeout: TIMEOUT_MS,
      retryStrategy: (attempts) => Math.min(attempts * 50, 1_000),
    });
    this.redis.on('error', () => undefined); // each attempt says what is wrong
  }

  /** One attempt. Whatever goes wrong is in the result. */
  async send(message: Message, tenantId: string, stream: string): Promise<AttemptResult> {
    const started = performance.now();
    const result = (error: string | null, final = false): AttemptResult => ({
      ok: error === null,
      status: null,
      error,
      response: null,
      durationMs: performance.now() - started,
      final,
    });
    if (!this.redis) return result('no Redis is configured (REDIS_URL)', true);
    try {
      if (this.redis.status === 'wait') await this.redis.connect();
      await this.redis.xadd(
        streamKey(tenantId, stream),
        ...(['MAXLEN', '~', this.maxLength, '*'] as const),
        ...['id', message.id, 'type', message.type],
        ...['timestamp', message.createdAt.toISOString(), 'data', messageData(message)],
      );
      return result(null);
    } catch (error) {
      return result(`Redis: ${(error as Error).message}`.slice(0, 1_000));
    }
  }

  close(): void {
    this.redis?.disconnect();
  }
}
