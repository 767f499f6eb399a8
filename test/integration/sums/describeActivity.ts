import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BruteForce } from '../../support/bruteForce.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { allPages } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

export const iso = (ms: number) => new Date(ms).toISOString();
export const hourOf = (ms: number) => Math.floor(ms / HOUR) * HOUR;

/** Instances on one database whose windows close by hand. */
export async function startPair(env: Record<string, string>): Promise<[TestService, TestService]> {
  const t = await startTestService({ ...CLOSED_BY_HAND, ...env });
  return [t, await startServiceOn(t.database, { ...CLOSED_BY_HAND, ...env })];
}

export async function stopPair([t, other]: [TestService, TestService]): Promise<void> {
  await other.service.close();
  await other.sql.end();
  await t.stop();
}

export const uncovered = async (t: TestService) => {
  const { rows } = await t.sql.query(
    `select closed_until > covered_until
            or exists (select from late_window where activity_revision < revision) as some
     from window_state, window_coverage`,
  );
  return rows[0].some as boolean;
};

/** Random traffic on two instances, in rounds, held against a brute-force count. */
export function describeActivity(rounds: number): void {
  describeEngine(`activity (SEED=${seed})`, () => {
    let pair: [TestService, TestService];
    beforeAll(async () => {
      pair = await startPair({ CLOSER_INTERVAL_MS: '100', CLOSER_STEP_MINUTES: '240' });
    });
    afterAll(() => stopPair(pair));

    /** Hours, days, parts of them, pages, and those of one customer, of any instance. */
    const expectExact = async (
      key: string,
      model: BruteForce,
      from: number,
      to: number,
      customerId?: string,
    ) => {
      for (const [i, [name, length]] of (
        [
          ['hourly', HOUR],
          ['daily', DAY],
        ] as const
      ).entries()) {
        const filter = customerId === undefined ? '' : `&customerId=${encodeURIComponent(customerId)}`;
        const path = `/v1/summaries/${name}?from=${iso(from)}&to=${iso(to)}${filter}`;
        const found = await allPages((p, k) => pair[i]!.call('GET', p, { key: k }), path, key);
        expect(found, path).toEqual(model.activity(length, from, to, customerId));
      }
    };

    it('equals a brute-force count while windows close and late events come', async () => {
      const random = randomFrom(seed);
      const base = await closedUntil(pair[0].sql);
      const tenants = await Promise.all([pair[0].tenant(), pair[0].tenant()]);
      const models = tenants.map(() => new BruteForce());
      let closed = base;
      for (let round = 0; round < rounds; round++) {
        await Promise.all([
          ...tenants.flatMap(({ key }, i) =>
            Array.from({ length: 4 }, async (_, writer) => {
              const body = Array.from({ length: Math.ceil(random() * 40) }, (): ClientEvent => {
                const [from, to] = random() < 0.5 ? [base - 2 * DAY, closed] : [closed - HOUR, closed + HOUR];
                const event = randomEvent(random, from!, to!);
                return random() < 0.5
                  ? { ...event, customerId: `user-${Math.floor(random() * 200)}` }
                  : event;
              });
              const answer = await pair[writer % 2]!.call('POST', '/v1/events', { key, body });
              expect(answer.status, JSON.stringify(answer.body)).toBe(200);
              models[i]!.add(body);
            }),
          ),
          (async () => {
            await sleep(random() * 30);
            const next = closed + Math.floor(random() * 200) * WINDOW;
            const closing = await closeUpTo(pair[0].sql, next).catch(() => null);
            if (closing?.outcome === 'won') closed = next;
          })(),
        ]);
        for (const [i, { key }] of tenants.entries()) {
          await expectExact(key, models[i]!, base - 3 * DAY, closed + DAY);
          const from = base - Math.floor(random() * 2 * DAY);
          await expectExact(key, models[i]!, from, from + 1 + Math.floor(random() * DAY));
          const to = closed + Math.floor((random() - 0.5) * 2 * HOUR);
          await expectExact(key, models[i]!, hourOf(to - 5 * HOUR), to);
          await expectExact(key, models[i]!, hourOf(to - 5 * HOUR), Math.floor(to / WINDOW) * WINDOW);
          await expectExact(key, models[i]!, from, closed + HOUR, 'Zoë');
        }
        await sleep(random() * 300);
      }
      await until(async () => !(await uncovered(pair[0])));
      for (const [i, { id, key }] of tenants.entries()) {
        await expectExact(key, models[i]!, base - 3 * DAY, closed + DAY);
        // And the tables say by themselves what the events of closed windows add up to.
        for (const [level, length] of [
          ['1h', HOUR],
          ['1d', DAY],
        ] as const) {
          const { rows } = await pair[0].sql.query(
            `select bucket, users, (select count(*) from activity_customer c
                                    where (c.tenant_id, c.level, c.bucket) = (u.tenant_id, u.level, u.bucket)) as customers,
               (select sum(calls) from activity_calls a
                where (a.tenant_id, a.level, a.bucket) = (u.tenant_id, u.level, u.bucket)) as calls
             from activity_users u where tenant_id = $1 and level = $2 order by bucket`,
            [id, level],
          );
          expect(
            rows.map(({ bucket, users, customers, calls }) => ({
              bucket: bucket.toISOString(),
              users: [Number(users), Number(customers)],
              calls: Number(calls),
            })),
          ).toEqual(
            models[i]!.activity(length, base - 3 * DAY, closed).map(
              ({ bucket, uniqueUsers, totalEvents }) => ({
                bucket,
                users: [uniqueUsers, uniqueUsers],
                calls: totalEvents,
              }),
            ),
          );
        }
      }
    });
  });
}
