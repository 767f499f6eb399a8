import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BruteForce, type ClosedBackfill } from '../support/bruteForce.ts';
import { expectExact } from '../support/compareSummaries.ts';
import { describeEngine } from '../support/database.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { type ClientEvent, randomEvent, randomFrom } from '../support/traffic.ts';

const HOUR = 3_600_000;
const seed = Date.now() % 1_000_000;
const ROUNDS = 4;

/** What closing and reverting a backfill do to a session that ends in their middle, at any moment: all of it, once, or nothing. */
describeEngine(`backfills whose backends are killed (seed ${seed})`, () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService({ WINDOW_GRACE_MS: '0' });
  });
  afterAll(() => t.stop());

  /** Ends the sessions of corrections, again and again, until told to stop. */
  const killing = (random: () => number) => {
    let killed = 0;
    let going = true;
    const done = (async () => {
      for (let i = 0; going && i < 4; i++) {
        await sleep(random() * 60);
        const { rowCount } = await t.sql.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and application_name = 'tidemark corrections'`,
        );
        killed += rowCount ?? 0;
      }
    })();
    return async () => {
      going = false;
      await done;
      return killed;
    };
  };

  it('leave it staged or closed, closed or reverted, and never between', async () => {
    const random = randomFrom(seed);
    const now = Date.now();
    const tenant = await t.tenant();
    const { key } = tenant;
    const model = new BruteForce();
    const meter = { slug: 'calls', eventType: 'api.request', aggregation: 'count' };
    expect((await t.call('POST', '/v1/meters', { key, body: meter })).status).toBe(201);
    const body = Array.from({ length: 400 }, (): ClientEvent => randomEvent(random, now - 26 * HOUR, now));
    expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    model.add(body);
    const expectWhole = async () => {
      await expectExact(
        (path, its) => t.call('GET', path, { key: its }),
        tenant,
        model,
        now - 48 * HOUR,
        now + HOUR,
      );
      const query = `/v1/meters/calls/query?from=${new Date(now - 48 * HOUR).toISOString()}`;
      const counted = await t.call('GET', query, { key });
      const calls = [...model.events.values()].filter(
        ({ eventType = 'api.request' }) => eventType === 'api.request',
      );
      expect(Number(counted.body.data[0]?.value ?? 0)).toBe(calls.length);
      const { rows } = await t.sql.query(
        `select (select count(*)::int from event where tenant_id = $1) as counted,
           (select count(*)::int from uncounted_event where tenant_id = $1 and state = 'voided') as voided`,
        [tenant.id],
      );
      expect(rows).toEqual([{ counted: model.events.size, voided: model.voided.size }]);
    };
    let killed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const scope = { from: now - 26 * HOUR, to: now - 13 * HOUR, customers: null };
      const replace = round % 2 === 0;
      const made = await t.call('POST', '/v1/backfills', {
        key,
        body: {
          from: new Date(scope.from).toISOString(),
          to: new Date(scope.to).toISOString(),
          replace,
          reason: `round ${round}`,
        },
      });
      const path = `/v1/backfills/${made.body.id}`;
      const known = [...model.events.keys()].filter(() => random() < 0.2);
      const staged = Array.from({ length: 150 }, (_, i): ClientEvent => {
        const event = randomEvent(random, scope.from, scope.to - 1);
        return { ...event, eventId: known[i] ?? event.eventId };
      });
      const posted = await t.call('POST', `/v1/events?backfill=${made.body.id}`, { key, body: staged });
      expect(posted.body).toEqual({ staged: 150, duplicates: 0 });
      const states = { close: ['staged', 'closed'], revert: ['closed', 'reverted'] } as const;
      let closed: ClosedBackfill | null = null;
      for (const how of ['close', 'revert'] as const) {
        const [before, after] = states[how];
        for (let state: string = before; state === before; ) {
          const stop = killing(random);
          const answer = await t.call('POST', `${path}/${how}`, {
            key,
            ...(how === 'revert' && { body: { reason: `round ${round}` } }),
          });
          killed += await stop();
          const { rows } = await t.sql.query(
            `select state, (select count(*)::int from staged_event s where s.backfill_id = b.id) as staged,
               (select count(*)::int from correction c where c.id in (b.closed_by, b.reverted_by)) as corrections
             from backfill b where id = $1`,
            [made.body.id],
          );
          ({ state } = rows[0]);
          expect([before, after]).toContain(state);
          expect(rows[0].staged).toBe(state === 'staged' ? 150 : 0);
          expect(rows[0].corrections).toBe({ staged: 0, closed: 1, reverted: 2 }[state]);
          expect(answer.status).toBe(state === after ? answer.status : 503);
          if (state === before) {
            await expectWhole();
          } else if (how === 'close') closed = model.close(staged, scope, replace);
          else model.revert(closed!);
        }
        await expectWhole();
      }
    }
    expect(killed).toBeGreaterThan(0);
  });
});
