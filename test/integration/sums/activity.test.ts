import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import type { TestService } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';
import { describeActivity, hourOf, iso, startPair, stopPair, uncovered } from './describeActivity.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;

describeActivity(3);

describeEngine('activity while nobody refreshes', () => {
  let pair: [TestService, TestService];
  beforeAll(async () => {
    pair = await startPair({ CLOSER_INTERVAL_MS: '60000' });
    await sleep(500); // until the first round of each has passed
  });
  afterAll(() => stopPair(pair));

  const cover = (t: TestService) => t.sql.query(`select * from cover_activity('1 day', 1000)`);

  it('comes from the tables, and counts just what they lack', async () => {
    const [t] = pair;
    const { id, key } = await t.tenant();
    const base = hourOf(await closedUntil(t.sql)) + HOUR;
    const post = async (...body: ClientEvent[]) =>
      expect((await t.call('POST', '/v1/events', { key, body })).status).toBe(200);
    const at = (ms: number, customerId: string, eventType = 'click') =>
      anEvent({ timestamp: iso(ms), customerId, eventType });
    const read = async (from: number, to: number) => {
      const answer = await t.call('GET', `/v1/summaries/hourly?from=${iso(from)}&to=${iso(to)}`, { key });
      expect(answer.status).toBe(200);
      return answer.body.data.map(
        (s: { uniqueUsers: number; totalClicks: number; totalImpressions: number }) => [
          s.uniqueUsers,
          s.totalClicks,
          s.totalImpressions,
        ],
      );
    };
    const hour = () => read(base, base + HOUR);

    await post(at(base, 'a'), at(base + WINDOW, 'b'), at(base + 50 * WINDOW, 'a', 'impression'));
    expect(await hour()).toEqual([[2, 2, 1]]);
    await closeUpTo(t.sql, base + 40 * WINDOW);
    if (t.database.engine === 'timescale')
      await t.sql.query('update window_state set refreshed_30s = closed_until');
    expect(await hour()).toEqual([[2, 2, 1]]);
    await cover(t);
    expect(await hour()).toEqual([[2, 2, 1]]);

    // What is in the tables is not counted again: here they are told more than there is.
    await t.sql.query('update activity_users set users = users + 1000 where tenant_id = $1', [id]);
    await t.sql.query(
      `update activity_calls set calls = calls + 500 where tenant_id = $1 and level <> '30s'`,
      [id],
    );
    expect(await hour()).toEqual([[1002, 502, 1]]);
    // An open window adds to them, a late event of one who is known, and of one who is not.
    await post(at(base + 60 * WINDOW, 'c'));
    expect(await hour()).toEqual([[1003, 503, 1]]);
    await post(at(base + 5, 'b'), at(base + 2 * WINDOW, 'a', 'impression'));
    expect(await hour()).toEqual([[1003, 504, 2]]);
    await post(at(base + 6, 'd'), at(base + 7, 'c'));
    expect(await hour()).toEqual([[1004, 506, 2]]);
    // A range that ends before what is covered is counted, and so is one that begins in the hour, or is of a customer.
    expect(await read(base, base + WINDOW + 1)).toEqual([[4, 5, 0]]);
    expect(await read(base, base + 45 * WINDOW)).toEqual([[1004, 505, 1]]);
    expect(await read(base, base + 60 * WINDOW + 1)).toEqual([[1004, 506, 2]]);
    expect(await read(base + 1, base + HOUR)).toEqual([[4, 5, 2]]);
    await cover(t);
    expect(await hour()).toEqual([[1004, 506, 2]]);
    const { rows } = await t.sql.query(
      'select count(*)::int as n from late_window where activity_revision < revision',
    );
    expect(rows[0].n).toBe(0);
    await closeUpTo(t.sql, base + 2 * HOUR);
    if (t.database.engine === 'timescale')
      await t.sql.query('update window_state set refreshed_30s = closed_until');
    await cover(t);
    expect(await hour()).toEqual([[1004, 506, 2]]);
  });

  it('leaves a change that a batch holds just now for the next time', async () => {
    const [t] = pair;
    const { key } = await t.tenant();
    const base = hourOf(await closedUntil(t.sql)) - HOUR;
    const late = (customerId: string) =>
      t.call('POST', '/v1/events', { key, body: anEvent({ timestamp: iso(base), customerId }) });
    await late('a');
    const batch = await t.sql.connect();
    try {
      await batch.query('begin');
      await batch.query(
        `update late_window set revision = revision + 1 where customer_id = 'a' and bucket = $1`,
        [new Date(base)],
      );
      await cover(t); // does not wait
      await batch.query('commit');
    } finally {
      batch.release();
    }
    expect(await uncovered(t)).toBe(true);
    await cover(t);
    const path = `/v1/summaries/hourly?from=${iso(base)}&to=${iso(base + HOUR)}`;
    expect((await t.call('GET', path, { key })).body.data).toMatchObject([
      { uniqueUsers: 1, totalEvents: 1 },
    ]);
  });
});
