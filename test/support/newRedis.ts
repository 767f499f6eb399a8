import { onTestFinished } from 'vitest';
import { type RedisServer, startRedis } from './redisServer.ts';

/** A Redis of the test that runs, gone when it has finished; on `port` it stands in for one that has ended there. */
export async function newRedis(port?: number): Promise<RedisServer> {
  const server = await startRedis(port === undefined ? {} : { port });
  onTestFinished(() => server.kill());
  return server;
}
