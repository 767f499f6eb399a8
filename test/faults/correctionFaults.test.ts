import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BruteForce } from '../support/bruteForce.ts';
import { expectExact } from '../support/compareSummaries.ts';
import { describeEngine } from '../support/database.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { type ClientEvent, randomEvent, randomFrom } from '../support/traffic.ts';

const HOUR = 3_600_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const ROUNDS = 12;

/** What `/v1/events/…` does to a session that ends in its middle, at any moment: all of it, once, or nothing. */
describeEngine(`corrections whose backends are killed (seed ${seed})`, () => {
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

  it('leave all or nothing, and no event is taken out or put in twice', async () => {
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
    let killed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const kind = (['void', 'amend', 'restore'] as const)[round % 3]!;
      const from = [...(kind === 'restore' ? model.voided : model.events).values()];
      const events = from.filter(() => random() < 0.3);
      const ids = events.map(({ eventId }) => eventId);
      const versions = events.map(({ eventId }) => ({
        ...randomEvent(random, now - 26 * HOUR, now),
        eventId,
      }));
      const reason = `round ${round}`;
      const stop = killing(random);
      const answer = await t.call('POST', `/v1/events/${kind}`, {
        key,
        body: { reason, ...(kind === 'amend' ? { events: versions } : { ids }) },
      });
      killed += await stop();
      const { rows } = await t.sql.query(
        `select c.events, (select count(distinct event_id)::int from correction_event e where e.correction_id = c.id) as moved
         from correction c where reason = $1`,
        [reason],
      );
      if (answer.status === 200) {
        expect(rows).toEqual([{ events: ids.length, moved: ids.length }]);
        if (kind === 'void') model.void(ids);
        else if (kind === 'restore') model.restore(ids);
        else model.amend(versions);
      } else {
        expect([answer.status, answer.body.code]).toEqual([503, 'database_unavailable']);
        expect(rows).toEqual([]);
      }
      await expectExact(
        (path, its) => t.call('GET', path, { key: its }),
        tenant,
        model,
        now - 48 * HOUR,
        now + HOUR,
      );
      const counted = await t.call(
        'GET',
        `/v1/meters/calls/query?from=${new Date(now - 48 * HOUR).toISOString()}`,
        { key },
      );
      const calls = [...model.events.values()].filter(
        ({ eventType = 'api.request' }) => eventType === 'api.request',
      );
      expect(Number(counted.body.data[0]?.value ?? 0)).toBe(calls.length);
      const { rows: stored } = await t.sql.query(
        `select (select count(*)::int from event where tenant_id = $1) as counted,
           (select count(*)::int from uncounted_event where tenant_id = $1 and state = 'voided') as voided`,
        [tenant.id],
      );
      expect(stored).toEqual([{ counted: model.events.size, voided: model.voided.size }]);
    }
    expect(killed).toBeGreaterThan(0);
  });
});
