import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BruteForce } from '../../support/bruteForce.ts';
import { expectExact } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import { startServiceOn, startTestService, type TestService } from '../../support/service.ts';
import { type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 86_400_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** Random batches on two instances, late and twice too, in rounds, each followed by every summary there is. */
export function describeSummaries(rounds: number): void {
  describeEngine(`summaries equal a brute-force sum (seed ${seed})`, () => {
    let t: TestService;
    let other: TestService;
    beforeAll(async () => {
      t = await startTestService({ WINDOW_GRACE_MS: '0' });
      other = await startServiceOn(t.database, { WINDOW_GRACE_MS: '0' });
    });
    afterAll(async () => {
      await other.service.close();
      await other.sql.end();
      await t.stop();
    });

    const compare = (tenant: { id: string; key: string }, model: BruteForce, from: number, to: number) =>
      expectExact((path, key) => t.call('GET', path, { key }), tenant, model, from, to);

    it('at every granularity, right after each acknowledgement, while windows close and late events come', async () => {
      const random = randomFrom(seed);
      const now = Date.now();
      const tenants = await Promise.all([t.tenant(), t.tenant()]);
      const models = tenants.map(() => new BruteForce());
      const posted: ClientEvent[] = [];
      for (let round = 0; round < rounds; round++) {
        await Promise.all(
          tenants.map(async (tenant, i) => {
            const batches = Array.from({ length: 4 }, () =>
              Array.from({ length: Math.ceil(random() * 60) }, () => {
                if (random() < 0.1 && posted.length > 0) return posted[Math.floor(random() * posted.length)]!;
                // Late by up to two days, around now, or ahead.
                const at = Date.now();
                const [from, to] = random() < 0.5 ? [now - 2 * DAY, now] : [at - 90_000, at + 120_000];
                return randomEvent(random, from, to);
              }),
            );
            for (const [j, body] of batches.entries()) {
              const answer = await (j % 2 ? other : t).call('POST', '/v1/events', { key: tenant.key, body });
              expect(answer.status, JSON.stringify(answer.body)).toBe(200);
              models[i]!.add(body);
              posted.push(...body);
            }
          }),
        );
        const edge = now - Math.floor(random() * 2 * DAY);
        for (const [i, tenant] of tenants.entries()) {
          await compare(tenant, models[i]!, now - 3 * DAY, now + HOUR);
          await compare(tenant, models[i]!, edge, edge + Math.floor(random() * DAY) + 1);
        }
        await sleep(random() * 300);
      }
      if (t.database.engine === 'timescale') {
        // Once all is refreshed the rollups alone say the same.
        for (let i = 0; i < 200 && (await stale()) > 0; i++) await sleep(50);
        expect(await stale()).toBe(0);
      }
      for (const [i, tenant] of tenants.entries()) {
        await compare(tenant, models[i]!, now - 3 * DAY, now + HOUR);
        const events = [...models[i]!.events.values()];
        for (const rollup of ['usage_30s', 'usage_1h', 'usage_1d']) {
          const { rows } = await t.sql.query(
            `select sum(calls)::int as calls from ${rollup} where tenant_id = $1`,
            [tenant.id],
          );
          expect(rows[0].calls, rollup).toBe(events.length);
        }
        const references = await t.sql.query(
          'select sum(events)::int as events from reference_1d where tenant_id = $1',
          [tenant.id],
        );
        const referring = events.filter((event) => event.reference !== undefined);
        expect(references.rows[0].events).toBe(referring.length);
      }
    });

    async function stale(): Promise<number> {
      const { rows } = await t.sql.query(
        `select count(*)::int as n from late_window, window_state
         where stale or (stale_references and bucket < refreshed_1d)`,
      );
      return rows[0].n;
    }
  });
}
