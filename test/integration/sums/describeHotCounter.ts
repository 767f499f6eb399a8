import { afterAll, beforeAll, expect, it } from 'vitest';
import { listen } from '../../../src/faces/http/server.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';

/** One counter that everybody increments at once. */
export function describeHotCounter(increments: number): void {
  describeEngine('counters', () => {
    let t: TestService;
    beforeAll(async () => {
      t = await startTestService();
    });
    afterAll(() => t.stop());

    it(`add up to the exact total: ${increments.toLocaleString('en')} increments to one key from 64 connections`, async () => {
      const { key } = await t.tenant();
      const server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
      try {
        let left = increments;
        const send = async () => {
          while (left-- > 0) {
            const response = await fetch(`${server.address}/increment`, {
              method: 'POST',
              headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
              body: '{"key":"hot","value":1}',
            });
            expect(await response.json()).toEqual({ accepted: 1, duplicates: 0 });
          }
        };
        await Promise.all(Array.from({ length: 64 }, send));
        const response = await fetch(`${server.address}/v1/counters/hot`, {
          headers: { authorization: `Bearer ${key}` },
        });
        expect(await response.json()).toMatchObject({ value: String(increments) });
      } finally {
        await server.close(0);
      }
    });
  });
}
