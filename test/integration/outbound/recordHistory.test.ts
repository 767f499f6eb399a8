import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { checkOutbox } from '../../../src/faces/doctor/checks/outbox.ts';
import { fillRecordHistory } from '../../../src/outbound/delivery/fillRecordHistory.ts';
import { pruneRecordHistory } from '../../../src/outbound/delivery/pruneRecordHistory.ts';
import { describeEngine } from '../../support/database.ts';
import { FAST_DELIVERY } from '../../support/messages.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const DAY = 86_400_000;

/** Records of before somebody listened are added up beside the batches, and messages wait for it. */
describeEngine('records of before', () => {
  let t: TestService;
  let holder: pg.Client;
  beforeAll(async () => {
    t = await startTestService({ ...FAST_DELIVERY, WINDOW_GRACE_MS: '600000' });
    holder = new pg.Client(t.database.url);
    await holder.connect();
  });
  afterEach(() => holder.query('select pg_advisory_unlock_all()'));
  afterAll(async () => {
    await holder.end();
    await t.stop();
  });

  /** Nobody adds records up from here on. */
  const hold = async () => {
    await holder.query(`select pg_advisory_lock(hashtext('tidemark.record_history'))`);
  };
  const release = () => holder.query('select pg_advisory_unlock_all()');
  const subscribe = async (key: string, ...messageTypes: string[]): Promise<string> =>
    (await t.call('POST', '/v1/subscriptions', { key, body: { stream: 'out', messageTypes } })).body.id;
  const post = async (key: string, ...body: object[]) =>
    expect(await t.call('POST', '/v1/events', { key, body })).toMatchObject({ status: 200 });
  const record = (value: string, daysAgo = 0, more: object = {}) => ({
    ...anEvent({
      eventType: value.startsWith('-') ? 'negative' : 'positive',
      value: value.replace('-', ''),
      customerId: 'shop',
      reference: 'order-1',
      timestamp: new Date(Date.now() - daysAgo * DAY).toISOString(),
    }),
    apiEndpoint: undefined,
    ...more,
  });
  const outbox = async (tenantId: string) => {
    const { rows } = await t.sql.query(
      `select type, customer_id, payload -> 'summary' as summary, awaits, fanned_out_at is not null as sent
       from outbox where tenant_id = $1 order by id`,
      [tenantId],
    );
    return rows;
  };
  const summaries = async (tenantId: string) =>
    (await outbox(tenantId))
      .filter(({ summary }) => summary)
      .map(({ summary }) => [summary.count, summary.total]);
  const allSent = (tenantId: string) =>
    until(async () => (await outbox(tenantId)).every(({ sent }) => sent), 30_000);

  it('are in the first message, though it was written before they were added up', async () => {
    const { id, key } = await t.tenant();
    await post(key, record('10', 20), record('-4', 3), record('7', 3, { reference: undefined }));
    await hold();
    await subscribe(key, 'record.processed');
    const newest = record('1', 0);
    await post(key, newest, record('2', 20)); // received later: not of before, whatever their times
    await post(
      key,
      record('-3', 3),
      record('5', 1, { reference: undefined }),
      record('9', 3, { customerId: 'other' }),
    );
    expect((await outbox(id)).every(({ awaits, sent }) => awaits !== null && !sent)).toBe(true);
    await release();
    await allSent(id);
    await post(key, record('1'));
    expect(await summaries(id)).toEqual([
      [2, '6'],
      [3, '7'],
      [4, '9'],
      [1, '7'],
      [0, '0'],
      [5, '6'],
    ]);
    const [first, second] = await outbox(id);
    expect(Date.parse(first.summary.lastTime)).toBeLessThan(Date.now() - 2.9 * DAY);
    expect(second.summary.lastTime).toBe(newest.timestamp);
  });

  it('hold back what is behind them of the same customer, and nobody else', async () => {
    const { id, key } = await t.tenant();
    await hold();
    await subscribe(key, 'record.processed', 'alert.triggered');
    const rule = { kind: 'event', field: 'tokens', threshold: 1, eventType: 'click' };
    expect(await t.call('POST', '/v1/alert-rules', { key, body: rule })).toMatchObject({ status: 201 });
    await post(key, record('1'));
    const alarming = (customerId: string) =>
      anEvent({ eventType: 'click', customerId, metadata: { tokens: 5 } });
    await post(key, alarming('shop'), alarming('other'));
    await until(async () => (await outbox(id)).some(({ sent }) => sent));
    expect((await outbox(id)).map(({ customer_id, sent }) => [customer_id, sent])).toEqual([
      ['shop', false],
      ['shop', false],
      ['other', true],
    ]);
    await t.sql.query(
      `update outbox set created_at = now() - interval '2 minutes' where tenant_id = $1 and fanned_out_at is null`,
      [id],
    );
    const verdicts = await checkOutbox({ db: t.sql, config: t.config } as never);
    expect(verdicts.map(({ message }) => message)).toContain(
      'messages wait until the records of a tenant that has begun to listen are added up',
    );
    await release();
    await allSent(id);
    const { rows } = await t.sql.query(
      'select type from delivery where tenant_id = $1 and customer_id = $2 order by outbox_id',
      [id, 'shop'],
    );
    expect(rows.map(({ type }) => type)).toEqual(['record.processed', 'alert.triggered']);
  });

  it('are those of each time that somebody begins to listen', async () => {
    const { id, key } = await t.tenant();
    await post(key, record('100', 2));
    await hold();
    const first = await subscribe(key, 'record.processed');
    await post(key, record('1'));
    const ends = { key, body: { active: false } };
    expect(await t.call('PATCH', `/v1/subscriptions/${first}`, ends)).toMatchObject({ status: 200 });
    await post(key, record('10', 1)); // nobody hears of it
    await subscribe(key, 'record.processed');
    await post(key, record('1000'));
    await release();
    await allSent(id);
    expect(await summaries(id)).toEqual([
      [1, '100'],
      [3, '111'],
    ]);
    const history = 'select epoch::int, count::int from record_history where tenant_id = $1 order by 1';
    expect((await t.sql.query(history, [id])).rows).toEqual([
      { epoch: 1, count: 1 },
      { epoch: 2, count: 3 },
    ]);
    await until(async () => !(await pruneRecordHistory(t.sql)));
    expect((await t.sql.query(history, [id])).rows).toEqual([{ epoch: 2, count: 3 }]);
    await post(key, record('1', 0, { reference: 'order-2' }), record('1'));
    expect((await summaries(id)).slice(2)).toEqual([
      [0, '0'],
      [4, '1111'],
    ]);
  });

  it('are added up a few days at a time, where there are many', async () => {
    const { id, key } = await t.tenant();
    await post(key, ...Array.from({ length: 25 }, (_, i) => record('1', i)));
    await hold();
    await subscribe(key, 'record.processed');
    const step = async () => {
      await t.sql.query(`begin; select fill_record_history('0'); commit`);
    };
    await post(key, record('1', 24));
    const filled = async () =>
      (await t.sql.query('select whole, filled_to from record_fill where tenant_id = $1', [id])).rows[0];
    await release(); // the housekeeper does the same
    while (!(await filled()).whole) await step();
    await allSent(id);
    expect(await summaries(id)).toEqual([[25, '25']]);
    expect(await fillRecordHistory(t.sql)).toBe(false);
  });

  it('do not take in a batch that began before and enters after: it has to begin anew', async () => {
    const { id, key } = await t.tenant();
    await hold();
    await subscribe(key, 'record.processed');
    const client = await t.sql.connect();
    try {
      await client.query('begin');
      await client.query(`update record_fill set received_before = now() where tenant_id = $1`, [id]);
      const facts = {
        records: [
          {
            n: 0,
            tenant: id,
            customer: 'c',
            key: '',
            type: 'positive',
            value: '1',
            ts: new Date(),
            body: {},
          },
        ],
      };
      await expect(client.query('select write_messages($1)', [JSON.stringify(facts)])).rejects.toMatchObject({
        code: '40001',
      });
    } finally {
      await client.query('rollback');
      client.release();
    }
  });
});
