import { afterAll, beforeAll, expect, it } from 'vitest';
import { MAX_STALE } from '../../../src/sums/rollups/usageSource.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const DAY_MS = 86_400_000;

describeEngine('more stale windows than are told apart', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService({ CLOSER_INTERVAL_MS: '60000' });
  });
  afterAll(() => t.stop());

  it('leave every sum exact', async () => {
    const { id, key } = await t.tenant();
    const from = Math.floor(Date.now() / DAY_MS) * DAY_MS - 8 * DAY_MS;
    const body = Array.from({ length: 50 }, (_, i) =>
      anEvent({ timestamp: new Date(from + i * 3_600_000).toISOString() }),
    );
    expect((await t.call('POST', '/v1/events', { key, body })).body.accepted).toBe(50);
    await t.sql.query(
      `insert into late_window (bucket, tenant_id, customer_id, revision, stale)
       select $1::timestamptz + i * interval '30 seconds', $2, 'somebody', 1, true from generate_series(0, $3::int) as i
       on conflict do nothing`,
      [new Date(from), id, MAX_STALE],
    );
    const range = `from=${new Date(from).toISOString()}&to=${new Date(from + 7 * DAY_MS).toISOString()}`;
    const sum = (rows: { calls: number }[]) => rows.reduce((total, { calls }) => total + calls, 0);
    for (const granularity of ['1h', '1d']) {
      const answer = await t.call('GET', `/v1/usage?${range}&granularity=${granularity}`, { key });
      expect([granularity, answer.status, sum(answer.body.data)]).toEqual([granularity, 200, 50]);
    }
    const daily = await t.call('GET', `/v1/summaries/daily?${range}`, { key });
    expect(
      daily.body.data.reduce((n: number, { totalEvents }: { totalEvents: number }) => n + totalEvents, 0),
    ).toBe(50);
  });
});
