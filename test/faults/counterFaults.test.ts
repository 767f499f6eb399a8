import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { describeKilledIncrements } from './describeKilledIncrements.ts';

describeKilledIncrements(10);

describeEngine('counters under faults', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService({ INGEST_DEADLINE_MS: '5000' });
  });
  afterAll(() => t.stop());

  it('add nothing for a request that the database refuses, and lose nothing of its neighbours', async () => {
    const { key } = await t.tenant();
    await t.sql.query(`alter table event add constraint no_poison check (customer_id <> 'poison')`);
    try {
      const body = (i: number) => [
        { key: 'k', value: 1 },
        { key: i === 7 ? 'poison' : 'k', value: 1 },
      ];
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, i) => t.call('POST', '/increment', { key, body: body(i) })),
      );
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(19);
      expect(answers[7]!.body).toMatchObject({ status: 422, code: 'event_rejected_by_database' });
      const { body: counters } = await t.call('GET', '/v1/counters', { key });
      expect(counters.data).toMatchObject([{ key: 'k', value: '38' }]);
    } finally {
      await t.sql.query('alter table event drop constraint no_poison');
    }
  });
});
