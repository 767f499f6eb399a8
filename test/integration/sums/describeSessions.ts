import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BruteForce } from '../../support/bruteForce.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { insisting } from '../../support/insisting.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const WRITERS = 6;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

/** @returns null where there is none. */
export async function readSession(by: TestService, key: string, id: string) {
  const { status, body } = await by.call('GET', `/v1/sessions/${encodeURIComponent(id)}`, { key });
  if (status === 404) return null;
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

/** Random writers and readers on two instances while days end, in rounds, held against a brute-force sum. */
export function describeSessions(rounds: number): void {
  describeEngine(`sessions (SEED=${seed})`, () => {
    let t: TestService;
    let other: TestService;
    const env = { ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '100', CLOSER_STEP_MINUTES: '1440' };
    beforeAll(async () => {
      t = await startTestService(env);
      other = await startServiceOn(t.database, env);
      for (const { config } of [t, other]) config.ingest.acceptAheadMs = 10 * DAY; // time here runs ahead
    });
    afterAll(async () => {
      await other.service.close();
      await other.sql.end();
      await t.stop();
    });

    const read = (key: string, id: string, by = t) => readSession(by, key, id);

    it('are exact after each acknowledgement, with concurrent writers, late events and days that end', async () => {
      const random = randomFrom(seed);
      const { key } = await t.tenant();
      const model = new BruteForce();
      const base = await closedUntil(t.sql);
      let closed = base;
      const shared = ['order-1', 'order-2', 'visit/1 2?'];
      const write = async (writer: number, post: TestService, ask: TestService) => {
        const own = `own-${writer}`;
        for (let i = 0; i < 3; i++) {
          const body = Array.from({ length: Math.ceil(random() * 20) }, (): ClientEvent => {
            const [from, to] = random() < 0.6 ? [base - 2 * DAY, closed] : [closed - HOUR, closed + HOUR];
            const event = randomEvent(random, from!, to!);
            const reference =
              random() < 0.4
                ? own
                : random() < 0.7
                  ? shared[Math.floor(random() * shared.length)]!
                  : undefined;
            return { ...event, ...(reference !== undefined ? { reference } : {}) };
          });
          const answer = await post.call('POST', '/v1/events', { key, body });
          expect(answer.status, JSON.stringify(answer.body)).toBe(200);
          model.add(body);
          expect(await read(key, own, ask)).toEqual(model.session(own)); // nobody else writes it
        }
      };
      for (let round = 0; round < rounds; round++) {
        await Promise.all([
          ...Array.from({ length: WRITERS }, (_, i) => write(i, i % 2 ? t : other, i % 3 ? t : other)),
          (async () => {
            await sleep(random() * 50);
            const next = closed + Math.floor(random() * 6 * 120) * WINDOW; // 15 hours in each direction of midnight
            const closing = await closeUpTo(t.sql, next).catch(() => null);
            if (closing?.outcome === 'won') closed = next;
          })(),
        ]);
        for (const id of shared)
          expect(await read(key, id, round % 2 ? t : other)).toEqual(model.session(id));
      }
      const ids = [...shared, ...Array.from({ length: WRITERS }, (_, i) => `own-${i}`)];
      if (t.database.engine === 'timescale') {
        // Closing a day ahead makes the refresher do the days with late events; then their events may go.
        await closeUpTo(t.sql, Math.floor(closed / DAY) * DAY + 2 * DAY);
        await until(async () => {
          const { rows } = await t.sql.query(
            `select exists (select from late_window where stale_references and bucket < refreshed_1d)
                    or refreshed_1d <> date_bin('1 day', closed_until, 'epoch') as busy from window_state`,
          );
          return !rows[0].busy;
        }, 30_000);
      }
      for (const id of ids) expect(await read(key, id)).toEqual(model.session(id));
      await insisting(() =>
        t.sql.query(
          t.database.engine === 'timescale'
            ? `select drop_chunks('event', now() + interval '10 days')`
            : 'truncate event',
        ),
      );
      for (const id of ids) expect(await read(key, id, other)).toEqual(model.session(id));
    });
  });
}
