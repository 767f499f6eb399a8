import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closedUntil } from '../../support/closing.ts';
import type { Ask } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import {
  CUSTOMERS,
  iso,
  type MeterEvent,
  MeterModel,
  type ModelMeter,
  modelMeters,
  randomMeterEvent,
} from '../../support/meterModel.ts';
import { expectMeter, expectMeterValues, randomMeterQuery, readMeter } from '../../support/meterQueries.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { randomFrom } from '../../support/traffic.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** Random batches on two instances, late and twice too, in rounds, each followed by many queries of every meter. */
export function describeMeters(rounds: number, queries: number): void {
  describeEngine(`meters equal a brute-force model (seed ${seed})`, () => {
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

    const ask: Ask = (path, key) => t.call('GET', path, { key });

    it(
      'at every granularity, by any group, while series fill and fold, windows close and late events come',
      async () => {
        const random = randomFrom(seed);
        const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
        const now = Date.now();
        const { key } = await t.tenant();
        const model = new MeterModel();
        const meters = modelMeters((now - DAY) * 1_000 + 123);
        const waiting = [...meters];
        const made: ModelMeter[] = [];
        const posted: MeterEvent[] = [];

        const post = async (service: TestService, body: MeterEvent[]) => {
          const answer = await service.call('POST', '/v1/events', { key, body });
          expect([answer.status, answer.body]).toEqual([200, answer.body]);
          model.add(body);
          posted.push(...body);
        };
        const batch = () =>
          Array.from({ length: Math.ceil(random() * 60) }, () => {
            if (random() < 0.1 && posted.length > 0) return pick(posted);
            const at = Date.now();
            const [from, to] = random() < 0.5 ? [now - 2 * DAY, now] : [at - 90_000, at + 120_000];
            return randomMeterEvent(random, from, to);
          });

        const span = { from: now - 2.2 * DAY, to: now + 0.1 * DAY };
        const compare = (meter: ModelMeter) =>
          expectMeter(ask, key, model, meter, randomMeterQuery(random, meter, span, CUSTOMERS));

        for (let round = 0; round < rounds; round++) {
          for (let i = 0; i < 4; i++) {
            const batches = [post(t, batch()), post(other, batch())];
            // Meters come to be while events are written, and answer for what was there before.
            const next = waiting.shift();
            if (next) {
              const answer = await t.call('POST', '/v1/meters', { key, body: next.body });
              expect([answer.status, answer.body]).toEqual([201, answer.body]);
              made.push(next);
            }
            await Promise.all(batches);
            for (const meter of made) await compare(meter);
          }
          for (let i = 0; i < queries; i++) await compare(pick(made));
          const range = { fromMicros: (now - DAY) * 1_000, toMicros: (now + HOUR) * 1_000 };
          for (const meter of made) await expectMeterValues(ask, key, model, meter, range);
          await sleep(random() * 300);
        }
        await until(async () => {
          const { body } = await t.call('GET', '/v1/meters', { key });
          return body.data.every(({ fill }: { fill: { state: string } }) => fill.state === 'complete');
        });
        for (let i = 0; i < queries; i++) await compare(pick(made));
      },
      rounds * 60_000,
    );

    it('has the state and the revisions that its windows have', async () => {
      const random = randomFrom(seed + 1);
      const { key } = await t.tenant();
      const body = { slug: 'calls', eventType: 'upload', aggregation: 'count' };
      expect((await t.call('POST', '/v1/meters', { key, body })).status).toBe(201);
      const at = Date.now();
      const hour = Math.floor((at - 3 * HOUR) / HOUR) * HOUR;
      for (let i = 0; i < 6; i++) {
        const late = Array.from({ length: 15 }, () => randomMeterEvent(random, hour, hour + 2 * HOUR));
        const ahead = Array.from({ length: 5 }, () => randomMeterEvent(random, at + 60_000, at + 180_000));
        const answer = await t.call('POST', '/v1/events', { key, body: [...late, ...ahead] });
        expect(answer.status).toBe(200);
      }
      const windows: { windowStart: string; customerId: string; revision: number }[] = [];
      let cursor = '';
      do {
        const path = `/v1/windows?from=${iso((hour - HOUR) * 1_000)}&to=${iso((at + HOUR) * 1_000)}&limit=1000${cursor}`;
        const page = (await t.call('GET', path, { key })).body;
        windows.push(...page.data);
        cursor = page.nextCursor === null ? '' : `&cursor=${encodeURIComponent(page.nextCursor)}`;
      } while (cursor !== '');
      const closed = await closedUntil(t.sql);
      let revised = 0;
      for (const [granularity, length] of [
        ['30s', 30_000],
        ['5m', 5 * MINUTE],
        ['1h', HOUR],
      ] as const) {
        for (const groupBy of [[], ['customer']]) {
          const rows = await readMeter(ask, key, 'calls', [
            ['from', iso(hour * 1_000)],
            ['to', iso((at + HOUR) * 1_000)],
            ['granularity', granularity],
            ...(groupBy.length > 0 ? [['groupBy', 'customer'] as [string, string]] : []),
          ]);
          expect(rows.length).toBeGreaterThan(0);
          for (const row of rows) {
            const start = Date.parse(row.windowStart);
            const revision = windows
              .filter((window) => {
                const begins = Date.parse(window.windowStart);
                return begins >= start && begins < start + length;
              })
              .filter(({ customerId }) => row.customerId === undefined || customerId === row.customerId)
              .reduce((sum, window) => sum + window.revision, 0);
            const isOpen = start + length > closed;
            if (isOpen && start + length <= Date.now()) continue; // it has closed meanwhile
            expect([row, revision]).toEqual([{ ...row, revision }, revision]);
            expect(row.state).toBe(isOpen ? 'open' : revision > 0 ? 'revised' : 'closed');
            revised += Number(row.state === 'revised');
          }
        }
      }
      expect(revised).toBeGreaterThan(10);
    });
  });
}
