import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { anEvent } from '../support/traffic.ts';

describeEngine('reads under faults', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService({ READ_POOL_SIZE: '1', READ_TIMEOUT_MS: '300' });
  });
  afterAll(() => t.stop());

  it('are served again after one that was cut off before its statement was prepared', async () => {
    const { key } = await t.tenant();
    await t.call('POST', '/v1/events', { key, body: anEvent() });
    const read = (path: string) => t.call('GET', path, { key });
    expect((await read('/v1/events')).status).toBe(200);

    const client = await t.sql.connect();
    await client.query('begin; lock table event in access exclusive mode');
    expect(await read('/v1/windows')).toMatchObject({ status: 503, body: { code: 'deadline_exceeded' } });
    await client.query('commit');
    client.release();
    for (let i = 0; i < 3; i++) {
      const { status, body } = await read('/v1/windows');
      expect(status, JSON.stringify(body)).toBe(200);
      expect(body.data).toHaveLength(1);
    }
  });
});
