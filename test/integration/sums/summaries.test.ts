import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { randomEvent } from '../../support/traffic.ts';
import { describeSummaries } from './describeSummaries.ts';

describeSummaries(3);

describeEngine('summaries', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService({ WINDOW_GRACE_MS: '0' });
  });
  afterAll(() => t.stop());

  const iso = (ms: number) => new Date(ms).toISOString();

  it('says closed of a window that is final, and revised with a higher revision once it has changed', async () => {
    const { key } = await t.tenant();
    const at = Math.floor(Date.now() / 30_000) * 30_000 - 120_000;
    const post = (n: number) =>
      t.call('POST', '/v1/events', {
        key,
        body: Array.from({ length: n }, () => randomEvent(Math.random, at, at + 30_000)).map((event) => ({
          ...event,
          customerId: 'c',
        })),
      });
    const window = async () =>
      (await t.call('GET', `/v1/windows?from=${iso(at)}&to=${iso(at + 30_000)}`, { key })).body.data[0];
    await post(3);
    expect(await window()).toMatchObject({ state: 'revised', revision: 1, aggregations: { totalCalls: 3 } });
    await post(2);
    expect(await window()).toMatchObject({ state: 'revised', revision: 2, aggregations: { totalCalls: 5 } });
    const body = randomEvent(Math.random, Date.now(), Date.now() + 1);
    await t.call('POST', '/v1/events', { key, body: { ...body, timestamp: iso(Date.now() + 60_000) } });
    const open = await t.call('GET', `/v1/windows?from=${iso(Date.now())}`, { key });
    expect(open.body.data[0]).toMatchObject({ state: 'open', revision: 0 });
  });
});
