import { afterAll, beforeAll, expect, it } from 'vitest';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const PERIODS = ['hour', 'day', 'month'] as const;

describeEngine('a rule about the sum of values', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService(CLOSED_BY_HAND);
  });
  afterAll(() => t.stop());

  const post = async (key: string, ...body: object[]) => {
    const answer = await t.call('POST', '/v1/events', { key, body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  };
  const listen = async (key: string, threshold: string, more: object = {}) => {
    await t.call('POST', '/v1/subscriptions', {
      key,
      body: { stream: 'out', messageTypes: ['usage.threshold'] },
    });
    for (const period of PERIODS) {
      const body = { kind: 'usage', measure: 'value', period, threshold, ...more };
      expect(await t.call('POST', '/v1/alert-rules', { key, body })).toMatchObject({ status: 201 });
    }
  };
  const totals = async (tenantId: string): Promise<string[]> => {
    const { rows } = await t.sql.query(
      `select payload ->> 'total' as total from outbox where tenant_id = $1 and type = 'usage.threshold' order by id`,
      [tenantId],
    );
    return rows.map(({ total }) => total);
  };
  /** A moment in the middle of an hour that is not the last of its month, far enough from now to be accepted. */
  const at = (ms = 0) =>
    new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000 - 3_600_000 + 60_000 + ms).toISOString();
  const record = (eventType: string, value: string | number, ms = 0) => ({
    ...anEvent({ eventType, customerId: 'shop', timestamp: at(ms) }),
    value,
    apiEndpoint: undefined,
  });

  it('takes away what is negative, in the batch', async () => {
    const { id, key } = await t.tenant();
    await listen(key, '100');
    await post(key, record('positive', '60'), record('negative', '60'));
    await post(key, record('positive', 60.5), record('negative', '0.5'), record('negative', '-1'));
    expect(await totals(id)).toEqual([]); // 61: without signs it would be 182
    await post(key, record('positive', '39'));
    expect(await totals(id)).toEqual([]); // 100: not above
    await post(key, record('positive', '0.000000000000000001'));
    expect(await totals(id)).toEqual(Array(3).fill('100.000000000000000001'));
  });

  it('takes it away in what was stored before the rule, from the rollups and from the events', async () => {
    const { id, key } = await t.tenant();
    const base = await closedUntil(t.sql);
    const stamped = (eventType: string, value: string, ms: number) => ({
      ...record(eventType, value),
      timestamp: new Date(base + ms).toISOString(),
    });
    await post(key, stamped('positive', '70', 0), stamped('negative', '50', 1));
    await closeUpTo(t.sql, base + 30_000);
    if (t.database.engine === 'timescale') {
      await until(async () => {
        const { rows } = await t.sql.query(
          'select refreshed_30s >= $1 and not exists (select from late_window where stale) as so from window_state',
          [new Date(base + 30_000)],
        );
        return rows[0].so;
      }, 60_000);
    }
    await post(key, stamped('negative', '15', 2), stamped('positive', '5', 3)); // late: the rollups may lack them
    await listen(key, '20');
    await post(key, stamped('positive', '10', 4)); // 70 - 50 - 15 + 5 + 10
    expect(await totals(id)).toEqual([]);
    await post(key, stamped('positive', '1', 5));
    expect(await totals(id)).toEqual(['21', '21', '21']);
  });

  it('counts one type alone by its sign too, and calls as ever', async () => {
    const { id, key } = await t.tenant();
    await post(key, record('negative', '500'));
    await listen(key, '100', { eventType: 'negative' });
    const calls = { kind: 'usage', measure: 'calls', period: 'month', threshold: 2 };
    await t.call('POST', '/v1/alert-rules', { key, body: calls });
    await post(key, record('negative', '500'), record('negative', '500'));
    expect(await totals(id)).toEqual(['3']);
  });
});
