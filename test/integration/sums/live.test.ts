import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { createLiveCounters } from '../../../src/sums/live/createLiveCounters.ts';
import type { LiveCounters } from '../../../src/sums/live/liveCounters.ts';
import { BruteForce } from '../../support/bruteForce.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { randomEvent, randomFrom } from '../../support/traffic.ts';

const WINDOW = 30_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** Counters that take themselves for two minutes old, so that they answer for the windows at hand. */
function agedCounters(store: 'redis' | 'memory', redisUrl: string): LiveCounters {
  let age = 120_000;
  const live = createLiveCounters(
    { store, redisUrl, maxFields: 200, timeoutMs: 1_000 },
    { now: () => Date.now() - age },
  );
  const grown = setInterval(() => {
    if (!live.healthy()) return;
    age = 0;
    clearInterval(grown);
  }, 10);
  return live;
}

for (const store of ['memory', 'redis', 'none'] as const) {
  describeEngine(`GET /v1/live from ${store} (seed ${seed})`, () => {
    let t: TestService;
    beforeAll(async () => {
      const redisUrl = `${inject('redisUrl')}/${inject('engine') === 'postgres' ? 3 : 4}`;
      const live = store === 'none' ? undefined : agedCounters(store, redisUrl);
      const env = { TIDEMARK_PROFILE: 'prod', DRAIN_DELAY_MS: '0' };
      t = await startTestService(env, live && { live });
      await until(() => live?.healthy() ?? true);
    });
    afterAll(() => t.stop());

    it('equals a brute-force sum over what was acknowledged, duplicates counted once', async () => {
      const random = randomFrom(seed);
      const { key } = await t.tenant();
      const model = new BruteForce();
      const now = Date.now();
      for (let i = 0; i < 10; i++) {
        const body = Array.from({ length: 40 }, () => randomEvent(random, now - 70_000, now + 20_000));
        if (i > 0) body.push(...[...model.events.values()].slice(0, 10));
        const answer = await t.call('POST', '/v1/events', { key, body });
        expect(answer.status).toBe(200);
        model.add(body);
      }
      for (const customerId of [undefined, 'alice', '客户', 'nobody']) {
        const query = customerId === undefined ? '' : `?customerId=${encodeURIComponent(customerId)}`;
        const { body } = await t.call('GET', `/v1/live${query}`, { key });
        expect(body.source).toBe(store === 'none' ? 'database' : store);
        for (const window of [body.current, body.previous]) {
          const start = Date.parse(window.windowStart);
          const all = model.windows('', start, start + WINDOW, customerId).map((w) => w.aggregations);
          const sum = (of: (a: (typeof all)[number]) => number) => all.reduce((total, a) => total + of(a), 0);
          expect(window).toMatchObject({
            windowEnd: new Date(start + WINDOW).toISOString(),
            totalCalls: sum((a) => a.totalCalls),
            totalTokens: sum((a) => a.totalTokens),
            totalInputTokens: sum((a) => a.totalInputTokens),
            totalOutputTokens: sum((a) => a.totalOutputTokens),
          });
          for (const field of ['byEndpoint', 'byModel'] as const) {
            const names = new Set(all.flatMap((a) => Object.keys(a[field])));
            const expected = Object.fromEntries(
              [...names].map((name) => [
                name,
                {
                  calls: sum((a) => a[field][name]?.calls ?? 0),
                  tokens: sum((a) => a[field][name]?.tokens ?? 0),
                },
              ]),
            );
            expect(window[field]).toEqual(expected);
          }
        }
      }
    });
  });
}
