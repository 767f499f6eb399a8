import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tenantContext } from '../../../src/access/tenancy/tenantContext.ts';
import type { Queryable } from '../../../src/ground/db/queryable.ts';
import type { TidemarkError } from '../../../src/model/errors.ts';
import { createAlertRule, MAX_ALERT_RULES } from '../../../src/outbound/delivery/alertRules.ts';
import { createSubscription, MAX_SUBSCRIPTIONS } from '../../../src/outbound/delivery/subscriptions.ts';
import { createMeter } from '../../../src/sums/meters/catalog/createMeter.ts';
import { requireNewMeter } from '../../../src/sums/meters/catalog/newMeter.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';

const RULE = { kind: 'event', field: 'tokens', threshold: '5' } as const;
const SUBSCRIPTION = { stream: 'messages', messageTypes: ['window.closed' as const] };
const meter = (slug: string) => requireNewMeter({ slug, eventType: slug, aggregation: 'count' });

describeEngine('the last place of what a tenant has a limit for', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  it.each([
    {
      things: 'meters',
      most: 2,
      make: (db: Queryable, tenant: string, n: string) => createMeter(db, tenantContext(tenant), meter(n), 2),
    },
    {
      things: 'alert rules',
      most: MAX_ALERT_RULES,
      make: (db: Queryable, tenant: string) => createAlertRule(db, tenantContext(tenant), RULE),
    },
    {
      things: 'subscriptions',
      most: MAX_SUBSCRIPTIONS,
      make: (db: Queryable, tenant: string) =>
        createSubscription(db, tenantContext(tenant), SUBSCRIPTION, async () => {}),
    },
  ])('goes to one of two that ask at a time: $things', { timeout: 60_000 }, async ({ most, make }) => {
    const { id } = await t.tenant();
    const [first, second] = [new pg.Client(t.database.url), new pg.Client(t.database.url)];
    try {
      for (const client of [first, second]) await client.connect();
      for (let i = 1; i < most; i++) await make(first as Queryable, id, `m${i}`);
      await first.query('begin');
      await make(first as Queryable, id, 'one');
      const ask = () =>
        make(second as Queryable, id, 'other').then(
          () => 'made',
          ({ code }: TidemarkError) => code,
        );
      let other = ask();
      await until(async () => {
        const { processID } = second as unknown as { processID: number };
        const { rows } = await first.query(
          'select wait_event_type as waits from pg_stat_activity where pid = $1',
          [processID],
        );
        return rows[0].waits === 'Lock';
      });
      await first.query('commit');
      if ((await other) === 'overloaded') other = ask(); // it has waited for too long
      expect(await other).toBe('limit_reached');
    } finally {
      await Promise.all([first.end(), second.end()]);
    }
  });
});
