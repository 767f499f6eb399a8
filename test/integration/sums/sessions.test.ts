import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';
import { describeSessions, readSession } from './describeSessions.ts';

describeSessions(3);

describeEngine('sessions', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  it('of another tenant, and those that nothing refers to, are 404', async () => {
    const [mine, theirs] = [await t.tenant(), await t.tenant()];
    await t.call('POST', '/v1/events', { key: theirs.key, body: anEvent({ reference: 'theirs' }) });
    for (const id of ['theirs', 'nothing']) {
      const answer = await t.call('GET', `/v1/sessions/${id}`, { key: mine.key });
      expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    }
    expect((await t.call('GET', '/v1/sessions/x%00', { key: mine.key })).status).toBe(400);
  });

  it('add decimals up to the last digit, and take sessionId for reference', async () => {
    const { key } = await t.tenant();
    const at = new Date().toISOString();
    const { reference: _, ...event } = anEvent({ timestamp: at });
    const values = ['99999999999999999999.000000000000000001', '0.000000000000000002', '-0.5'];
    const body = values.map((value, i) => ({
      ...event,
      eventId: `${i}`,
      sessionId: 's',
      value,
      metadata: {},
    }));
    await t.call('POST', '/v1/events', { key, body });
    expect(await readSession(t, key, 's')).toEqual({
      id: 's',
      events: 3,
      value: '99999999999999999998.500000000000000003',
      tokens: 0,
      first: at,
      last: at,
      durationMs: 0,
      byType: { 'api.request': { events: 3, value: '99999999999999999998.500000000000000003', tokens: 0 } },
      uniqueCustomers: 1,
      customers: ['customer-1'],
    });
  });
});
