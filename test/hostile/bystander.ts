import { randomUUID } from 'node:crypto';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { sendHttp } from './sendHttp.ts';

/** A tenant that goes about its business while others attack. */
export interface Bystander {
  /** Ids of the events that were acknowledged. */
  acknowledged: string[];
  requests(): number;
  /** ms of the slowest request. */
  slowestMs(): number;
  /** What went wrong. */
  faults: string[];
  stop(): Promise<void>;
}

const PATHS = ['/v1/usage?granularity=1h', '/v1/windows', '/v1/events?limit=10', '/v1/live', '/healthz'];

/** @param secret stands in all that it stores. */
export function startBystander(address: string, key: string, secret: string, timeoutMs: number): Bystander {
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });
  const acknowledged: string[] = [];
  const faults: string[] = [];
  let requests = 0;
  let slowest = 0;
  let stopped = false;

  const call = async (method: string, path: string, body?: unknown) => {
    const started = performance.now();
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const sent = { method, path, headers, body: body === undefined ? undefined : JSON.stringify(body) };
    try {
      const answer = await sendHttp(agent, address, sent, timeoutMs);
      if (answer.status !== 200) faults.push(`${method} ${path}: ${answer.status} ${answer.body}`);
      return answer.status === 200;
    } catch (error) {
      faults.push(`${method} ${path}: ${error}`);
      return false;
    } finally {
      requests++;
      slowest = Math.max(slowest, performance.now() - started);
    }
  };

  const work = async () => {
    while (!stopped) {
      const events = Array.from({ length: 1 + (requests % 3) }, () => ({
        eventId: randomUUID(),
        timestamp: new Date().toISOString(),
        customerId: secret,
        apiEndpoint: `/${secret}`,
        metadata: { tokens: 1, model: secret, note: secret },
      }));
      if (await call('POST', '/v1/events', events))
        acknowledged.push(...events.map(({ eventId }) => eventId));
      await call('GET', PATHS[requests % PATHS.length]!);
      await sleep(10);
    }
  };
  const done = work();
  return {
    acknowledged,
    requests: () => requests,
    slowestMs: () => slowest,
    faults,
    async stop() {
      stopped = true;
      await done;
      agent.destroy();
    },
  };
}
