import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

/** What a migration of a later version may bring, and this one knows nothing of. */
describeEngine('an alert rule that this version does not know', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
    await t.sql.query('alter table alert_rule drop constraint alert_rule_compares');
  });
  afterAll(() => t.stop());

  const post = (key: string, event: object = {}) =>
    t.call('POST', '/v1/events', { key, body: [anEvent({ customerId: 'a', ...event })] });
  const insert = async (tenantId: string, rule: object) => {
    const row = { id: crypto.randomUUID(), tenant_id: tenantId, threshold: 1, active: true, ...rule };
    const names = Object.keys(row);
    await t.sql.query(
      `insert into alert_rule (${names}) values (${names.map((_, i) => `$${i + 1}`)})`,
      Object.values(row),
    );
    return row.id;
  };
  const stored = async (tenantId: string) => {
    const { rows } = await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [
      tenantId,
    ]);
    return rows[0]!.n;
  };

  it.each([
    ['measure', { kind: 'usage', measure: 'wishes', period: 'day' }],
    ['period', { kind: 'usage', measure: 'calls', period: 'week' }],
    ['field', { kind: 'event', field: 'wishes' }],
    ['kind', { kind: 'forecast', measure: 'calls', period: 'day' }],
  ])('of another %s keeps back what it is about, for a later version, and nothing else', async (_, rule) => {
    const { id, key } = await t.tenant();
    const other = await t.tenant();
    for (let n = 0; n < 2; n++) await post(other.key);
    const body = { stream: 'out', messageTypes: ['alert.triggered', 'usage.threshold'] };
    expect(await t.call('POST', '/v1/subscriptions', { key, body })).toMatchObject({ status: 201 });
    const ruleId = await insert(id, { ...rule, customers: ['a'] });

    const [refused, others] = await Promise.all([post(key), post(other.key)]);
    expect(refused).toMatchObject({ status: 503, body: { code: 'database_unavailable' } });
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(others).toMatchObject({ status: 200 });
    expect(await post(key, { customerId: 'b' })).toMatchObject({ status: 200 });
    expect([await stored(id), await stored(other.id)]).toEqual([1, 3]);

    await t.sql.query('delete from alert_rule where id = $1', [ruleId]);
    expect(await post(key)).toMatchObject({ status: 200 });
    expect(await stored(id)).toBe(2);
  });

  it('is nothing to a tenant to whom nobody listens', async () => {
    const { id, key } = await t.tenant();
    await insert(id, { kind: 'usage', measure: 'wishes', period: 'day' });
    expect(await post(key)).toMatchObject({ status: 200 });
  });
});
