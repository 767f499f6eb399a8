import type { Config } from '../../ground/config/loadConfig.ts';
import { reasonOf } from '../../ground/db/prepareDatabase.ts';
import { Redis } from '../../ground/redisClient.ts';
import { checkQueue } from './checks/queue.ts';
import { checkRedis } from './checks/redis.ts';
import { type Finding, fail, ok, type Verdict, warn } from './finding.ts';
import { within } from './within.ts';

/** The Redis of the live counters, and that of the queue that events come from, where they are configured. */
export async function examineRedis(config: Config, timeoutMs: number): Promise<Finding[]> {
  const { redisUrl } = config.live;
  const streams = config.sources.redisStreams;
  const [live, queue] = await Promise.all([
    redisUrl === undefined
      ? [withoutRedis(config)]
      : look(redisUrl, timeoutMs, (redis) => checkRedis(redis, 'live counters and messages to streams')),
    streams.length === 0
      ? []
      : look(streams[0]!.url, timeoutMs, async (redis) => [
          ...(await checkRedis(redis, 'the queue that events come from')),
          ...(await checkQueue(redis, streams)),
        ]),
  ]);
  return [
    ...live.map((verdict) => ({ check: 'redis', ...verdict })),
    ...queue.map((verdict) => ({ check: 'queue', ...verdict })),
  ];
}

function withoutRedis({ profile }: Config): Verdict {
  if (profile !== 'prod') return ok('REDIS_URL is not set: live counters are in memory, of one instance');
  return warn(
    'REDIS_URL is not set: /v1/live is answered from the database',
    'set REDIS_URL where /v1/live is asked often',
  );
}

async function look(
  url: string,
  timeoutMs: number,
  checks: (redis: Redis) => Promise<Verdict[]>,
): Promise<Verdict[]> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    retryStrategy: () => null,
    connectionName: 'tidemark doctor',
  });
  let fault: Error | undefined;
  redis.on('error', (error) => {
    fault = error; // why it does not connect is told here, and that it does not by `connect`
  });
  try {
    await within(timeoutMs, redis.connect());
    return await within(3 * timeoutMs, checks(redis));
  } catch (error) {
    const { host } = new URL(url);
    const advice = 'see that Redis runs, and that the URL leads to it with the right password';
    return [fail(`${host}: ${reasonOf(fault ?? error)}`, advice)];
  } finally {
    redis.disconnect();
  }
}
