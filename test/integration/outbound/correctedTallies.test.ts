import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const iso = (ms: number) => new Date(ms).toISOString();

/** What messages tell of is that of the events that count, once some of them have been corrected. */
describeEngine('tallies after corrections', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService({ WINDOW_GRACE_MS: '600000' });
  });
  afterAll(() => t.stop());

  const send = async (key: string, path: string, body: object, status = 200) => {
    const answer = await t.call('POST', path, { key, body });
    expect([answer.status, answer.body]).toEqual([status, answer.body]);
    return answer.body;
  };
  const post = (key: string, ...events: object[]) => send(key, '/v1/events', events);
  const correct = (key: string, kind: string, body: object) =>
    send(key, `/v1/events/${kind}`, { reason: 'because', ...body });
  const listen = (key: string, ...messageTypes: string[]) =>
    send(key, '/v1/subscriptions', { stream: 'out', messageTypes }, 201);
  const payloads = async (tenantId: string, type: string) => {
    const { rows } = await t.sql.query(
      `select payload from outbox where tenant_id = $1 and type = $2 and awaits is null order by id`,
      [tenantId, type],
    );
    return rows.map(({ payload }) => payload);
  };

  it('sums, counts and greatest values that rules compare', async () => {
    const { id, key } = await t.tenant();
    await send(
      key,
      '/v1/meters',
      { slug: 'peak', eventType: 'api.request', aggregation: 'max', value: '$.size' },
      201,
    );
    await listen(key, 'usage.threshold');
    const of = { kind: 'usage', period: 'day', threshold: '100' };
    await send(key, '/v1/alert-rules', { ...of, measure: 'tokens', name: 'tokens' }, 201);
    await send(key, '/v1/alert-rules', { ...of, measure: 'value', name: 'value' }, 201);
    await send(key, '/v1/alert-rules', { ...of, meter: 'peak', name: 'peak' }, 201);
    const told = async () =>
      (await payloads(id, 'usage.threshold')).map(({ rule, total }) => [rule.name, total]);
    const noon = Math.floor(Date.now() / DAY) * DAY - DAY / 2;
    const event = (amount: number): ClientEvent =>
      anEvent({
        timestamp: iso(noon),
        value: String(amount),
        metadata: { tokens: amount, size: amount } as ClientEvent['metadata'],
      });
    const [a, b] = [event(60), event(39)];
    await post(key, a, b);
    expect(await told()).toEqual([]);
    await correct(key, 'void', { ids: [a.eventId] });
    // 39 + 50 is not above 100, which 99 + 50 was.
    const c = event(50);
    await post(key, c);
    expect(await told()).toEqual([]);
    await correct(key, 'restore', { ids: [a.eventId] });
    expect(await told()).toEqual([]);
    await post(key, event(1));
    expect((await told()).sort()).toEqual([
      ['tokens', '150'],
      ['value', '150'],
    ]);
    await correct(key, 'amend', { events: [{ ...c, metadata: { tokens: 50, size: 101 } }] });
    await post(key, event(2));
    expect((await told()).slice(2)).toEqual([['peak', '101']]);
  });

  it('a greatest value that is void is one no more', async () => {
    const { id, key } = await t.tenant();
    const meter = { slug: 'peak', eventType: 'api.request', aggregation: 'max', value: '$.size' };
    await send(key, '/v1/meters', meter, 201);
    await listen(key, 'usage.threshold');
    await send(
      key,
      '/v1/alert-rules',
      { kind: 'usage', period: 'day', threshold: '100', meter: 'peak' },
      201,
    );
    const event = (size: number): ClientEvent =>
      anEvent({ metadata: { size } as ClientEvent['metadata'], timestamp: iso(Date.now()) });
    const [a, b] = [event(90), event(70)];
    await post(key, a, b);
    const tally = async () =>
      (
        await t.sql.query(
          'select trim_scale(t.total)::text as total from usage_tally t join alert_rule r on r.id = t.rule_id where r.tenant_id = $1',
          [id],
        )
      ).rows;
    expect(await tally()).toEqual([{ total: '90' }]);
    await correct(key, 'void', { ids: [a.eventId] });
    expect(await tally()).toEqual([{ total: '70' }]);
    await correct(key, 'void', { ids: [b.eventId] });
    expect(await tally()).toEqual([]);
    await correct(key, 'restore', { ids: [a.eventId, b.eventId] });
    await post(key, event(1));
    expect(await tally()).toEqual([{ total: '90' }]);
  });

  it('one that a batch under way begins, which has read what was before', async () => {
    const { id, key } = await t.tenant();
    const meter = { slug: 'peak', eventType: 'api.request', aggregation: 'max', value: '$.size' };
    await send(key, '/v1/meters', meter, 201);
    const at = Date.now() - HOUR;
    const event = (amount: number) => ({
      ...anEvent({
        timestamp: iso(at),
        metadata: { tokens: amount, size: amount } as ClientEvent['metadata'],
      }),
      ...{ eventType: 'positive', reference: 'r', value: String(amount), apiEndpoint: undefined },
    });
    const sizes = (amount: number) => ({ ...event(amount), eventType: 'api.request', apiEndpoint: '/x' });
    const [a, b, big, small] = [event(5), event(3), sizes(90), sizes(70)];
    await post(key, a, b, big, small);
    await listen(key, 'usage.threshold', 'record.processed');
    await until(async () => {
      const { rows } = await t.sql.query('select whole from record_fill where tenant_id = $1', [id]);
      return rows[0]?.whole === true;
    });
    const of = { kind: 'usage', period: 'month', threshold: '1000' };
    const month = (n: number) => iso(Date.UTC(new Date(at).getUTCFullYear(), new Date(at).getUTCMonth() + n));
    const usage = [];
    for (const [n, what] of [{ measure: 'tokens' }, { meter: 'peak' }].entries()) {
      const { id: rule } = await send(key, '/v1/alert-rules', { ...of, ...what }, 201);
      usage.push({ n, rule, customer: 'customer-1', start: month(0), end: month(1), add: '1' });
    }
    const record = { n: 2, tenant: id, customer: 'customer-1', key: '=r', type: 'positive', value: '1' };
    const facts = { usage, records: [{ ...record, ts: iso(at), body: {} }], ready: [], quiet: 'true' };
    const batch = new pg.Client(t.database.url);
    await batch.connect();
    try {
      await batch.query('begin');
      await batch.query('select write_messages($1)', [JSON.stringify(facts)]);
      const voiding = correct(key, 'void', { ids: [a.eventId, big.eventId] });
      await until(async () => {
        const { rows } = await t.sql.query(
          `select from pg_locks l join pg_stat_activity a using (pid)
           where not l.granted and l.locktype = 'transactionid' and a.application_name like '%corrections%'`,
        );
        return rows.length === 1;
      });
      await batch.query('commit');
      expect(await voiding).toMatchObject({ events: 2 });
    } finally {
      await batch.end();
    }
    const { rows: tallies } = await t.sql.query(
      `select coalesce(r.measure, 'peak') as what, t.total::float8 as total
       from usage_tally t join alert_rule r on r.id = t.rule_id where r.tenant_id = $1 order by r.meter_id nulls first`,
      [id],
    );
    expect(tallies.map(({ total }) => total)).toEqual([5 + 3 + 90 + 70 + 1 - 5 - 90, 70]);
    const { rows: records } = await t.sql.query(
      'select count::int as count, total::float8 as total from record_tally where tenant_id = $1',
      [id],
    );
    expect(records).toEqual([{ count: 2, total: 5 + 3 + 1 - 5 }]);
  });

  it('a greatest value that is void and counts again, of a period that no batch looks back into', async () => {
    const { id, key } = await t.tenant();
    const meter = { slug: 'peak', eventType: 'api.request', aggregation: 'max', value: '$.size' };
    await send(key, '/v1/meters', meter, 201);
    await listen(key, 'usage.threshold');
    const rule = { kind: 'usage', period: 'hour', threshold: '100', meter: 'peak' };
    await send(key, '/v1/alert-rules', rule, 201);
    await t.sql.query(
      `update alert_rule set counted_from = counted_from - interval '2 days' where tenant_id = $1`,
      [id],
    );
    const event = (size: number) =>
      anEvent({ timestamp: iso(Date.now() - HOUR), metadata: { size } as ClientEvent['metadata'] });
    const a = event(90);
    await post(key, a);
    await correct(key, 'void', { ids: [a.eventId] });
    await correct(key, 'restore', { ids: [a.eventId] });
    await post(key, event(1));
    const { rows } = await t.sql.query(
      'select t.total::float8 as total from usage_tally t join alert_rule r on r.id = t.rule_id where r.tenant_id = $1',
      [id],
    );
    expect(rows).toEqual([{ total: 90 }]);
  });

  it.each([['before'], ['after']])('records of before, where somebody listens %s they came', async (when) => {
    const { id, key } = await t.tenant();
    const record = (value: string, ms: number) => ({
      ...anEvent({
        customerId: 'shop',
        reference: 'order-1',
        value,
        eventType: 'positive',
        timestamp: iso(Date.now() - ms),
      }),
      apiEndpoint: undefined,
    });
    if (when === 'before') await listen(key, 'record.processed');
    const [a, b, c] = [record('1', 3 * HOUR), record('2', 2 * HOUR), record('4', HOUR)];
    await post(key, a, b, c);
    if (when === 'after') {
      await listen(key, 'record.processed');
      await until(async () => {
        const { rows } = await t.sql.query('select whole from record_fill where tenant_id = $1', [id]);
        return rows[0]?.whole === true;
      });
    }
    const last = async () => {
      const before = (await payloads(id, 'record.processed')).length;
      const next = record('100', 0);
      await post(key, next);
      await until(async () => (await payloads(id, 'record.processed')).length > before);
      const { summary } = (await payloads(id, 'record.processed')).at(-1);
      await correct(key, 'void', { ids: [next.eventId] });
      return [summary.count, summary.total, summary.lastTime];
    };
    await correct(key, 'void', { ids: [c.eventId] });
    expect(await last()).toEqual([2, '3', b.timestamp]);
    await correct(key, 'amend', { events: [{ ...b, value: '20', timestamp: a.timestamp }] });
    expect(await last()).toEqual([2, '21', a.timestamp]);
    await correct(key, 'restore', { ids: [c.eventId] });
    expect(await last()).toEqual([3, '25', c.timestamp]);
    await correct(key, 'amend', { events: [{ ...c, reference: 'order-2' }] });
    expect(await last()).toEqual([2, '21', a.timestamp]);
  });
});
