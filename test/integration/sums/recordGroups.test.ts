import { afterAll, beforeAll, expect, it } from 'vitest';
import { tenantContext } from '../../../src/access/tenancy/tenantContext.ts';
import { type RecordQuery, recordsStatement } from '../../../src/sums/listing/listRecords.ts';
import { decimalSum } from '../../support/bruteForce.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { randomFrom } from '../../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const iso = (ms: number) => new Date(ms).toISOString();

interface Record {
  eventId: string;
  timestamp: string;
  customerId: string;
  eventType: string;
  sourceId: string;
  value: string;
  unit: string;
  reference: string;
  metadata: object;
}

// biome-ignore lint/suspicious/noExplicitAny: groups as served
type Group = any;

describeEngine(`records (SEED=${seed})`, () => {
  let t: TestService;
  const random = randomFrom(seed);
  const now = Date.now();
  beforeAll(async () => {
    t = await startTestService();
  });
  afterAll(() => t.stop());

  const pick = <T>(values: T[]): T => values[Math.floor(random() * values.length)]!;
  const digits = (n: number) => Array.from({ length: n }, () => Math.floor(random() * 10)).join('');
  const record = (i: number): Record => ({
    eventId: `record-${i}`,
    timestamp: random() < 0.2 ? iso(now - HOUR) : iso(now - Math.floor(random() * 3 * DAY)),
    customerId: pick(['Zoë', 'a', 'B', '客户', "o'neil", 'b']),
    eventType: pick(['positive', 'negative']),
    sourceId: 'till',
    value: `${Math.floor(random() * 10)}${digits(Math.floor(random() * 19))}.${digits(17)}1`,
    unit: 'EUR',
    reference: pick(['invoice-1', 'invoice-2']),
    metadata: {},
  });

  /** Groups as they must be, without pages. */
  const expected = (records: Record[]) => {
    const order = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
    const destinations = [...new Set(records.map((r) => r.customerId))].sort(order);
    return destinations.map((destinationId) => {
      const of = records.filter((r) => r.customerId === destinationId);
      const sum = (type: string, sign = '') =>
        of.filter((r) => r.eventType === type).map((r) => `${sign}${r.value}`);
      return {
        destinationId,
        totalValue: decimalSum([...sum('positive'), ...sum('negative', '-')]),
        positiveTotal: decimalSum(sum('positive')),
        negativeTotal: decimalSum(sum('negative')),
        count: of.length,
        ids: of.map((r) => r.eventId).sort(),
      };
    });
  };

  /** Every page; groups that go on are joined, and must have had the same totals each time. */
  const walk = async (key: string, query: string, limit: number) => {
    const groups: Group[] = [];
    let cursor = '';
    do {
      const { status, body } = await t.call('GET', `/v1/records?limit=${limit}${query}${cursor}`, { key });
      expect(status, JSON.stringify(body)).toBe(200);
      const onPage = body.data.reduce((n: number, group: Group) => n + group.records.length, 0);
      if (body.nextCursor) expect(onPage).toBe(limit);
      for (const { records, ...totals } of body.data) {
        expect(records).not.toHaveLength(0);
        const last = groups.at(-1);
        if (last?.destinationId !== totals.destinationId) groups.push({ ...totals, records });
        else {
          expect({ ...last, records: [] }).toEqual({ ...totals, records: [] });
          last.records.push(...records);
        }
      }
      cursor = body.nextCursor ? `&cursor=${body.nextCursor}` : '';
    } while (cursor);
    for (const { records } of groups) {
      const times = records.map(({ time }: { time: string }) => time);
      expect(times).toEqual(times.toSorted());
    }
    return groups.map(({ records, ...totals }) => ({
      ...totals,
      ids: records.map(({ recordId }: { recordId: string }) => recordId).sort(),
    }));
  };

  it('are grouped by destination, exact to the last digit, on any page', async () => {
    const { key } = await t.tenant();
    const records = Array.from({ length: 60 }, (_, i) => record(i));
    const others = [
      { ...record(1_000), eventType: 'neutral' },
      { ...record(1_001), eventType: 'Positive' },
    ];
    const answer = await t.call('POST', '/v1/events', { key, body: [...records, ...others] });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    const range = `&from=${iso(now - 4 * DAY)}`;
    const filters: [string, (r: Record) => boolean][] = [
      ['', () => true],
      ['&type=negative', (r) => r.eventType === 'negative'],
      ['&destinationId=Zo%C3%AB', (r) => r.customerId === 'Zoë'],
      ['&reference=invoice-2', (r) => r.reference === 'invoice-2'],
      [
        '&type=positive&destinationId=b&reference=invoice-1',
        (r) => r.eventType === 'positive' && r.customerId === 'b' && r.reference === 'invoice-1',
      ],
      [`&to=${iso(now - DAY)}`, (r) => r.timestamp < iso(now - DAY)],
    ];
    for (const [query, matches] of filters) {
      for (const limit of [1, 7, 1_000]) {
        expect(await walk(key, range + query, limit), `${query} ${limit}`).toEqual(
          expected(records.filter(matches)),
        );
      }
    }
  });

  it('are shown as they were posted', async () => {
    const { key } = await t.tenant();
    const full = { ...record(1), value: '12.50', eventType: 'negative', timestamp: iso(now) };
    const {
      sourceId: _,
      unit: __,
      reference: ___,
      ...bare
    } = { ...full, eventId: '7b0e12b5-65c5-4f9e-9d3d-1e5c9c7f1a11', value: '1e3' };
    await t.call('POST', '/v1/events', { key, body: [full, bare] });
    const { body } = await t.call('GET', '/v1/records', { key });
    expect(body.data).toMatchObject([
      { totalValue: '-1012.5', positiveTotal: '0', negativeTotal: '1012.5', count: 2 },
    ]);
    const shown = new Map(body.data[0].records.map((r: { recordId: string }) => [r.recordId, r]));
    const { customerId: destinationId, reference } = full;
    expect(shown.get('record-1')).toEqual({
      recordId: 'record-1',
      time: iso(now),
      sourceId: 'till',
      destinationId,
      type: 'negative',
      value: '12.5',
      unit: 'EUR',
      reference,
    });
    expect(shown.get(bare.eventId)).toEqual({
      recordId: bare.eventId,
      time: iso(now),
      destinationId,
      type: 'negative',
      value: '1000',
    });
  });

  it.each(['type=neutral', 'type=', 'destinationId=', 'limit=1001', 'customerId=a'])(
    'refuses %s',
    async (query) => {
      const { key } = await t.tenant();
      const answer = await t.call('GET', `/v1/records?${query}`, { key });
      expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    },
  );

  it('are found by the indexes', async () => {
    const { id, key } = await t.tenant();
    const crowd = Array.from({ length: 9_000 }, (_, i) => ({
      ...record(i),
      customerId: `c${i % 300}`,
      reference: `r${i % 300}`,
    }));
    expect((await t.call('POST', '/v1/events', { key, body: crowd })).status).toBe(200);
    await t.sql.query('analyze event');
    const client = await t.sql.connect();
    const plan = async (query: Partial<RecordQuery>) => {
      const { text, values } = recordsStatement(tenantContext(id), {
        from: now - 10 * 60_000,
        to: now,
        limit: 100,
        ...query,
      });
      const literals = values.map((value) =>
        Array.isArray(value) ? `'{${value.join(',')}}'` : client.escapeLiteral(String(value)),
      );
      await client.query(`prepare records as ${text}`);
      const { rows } = await client.query(`explain (costs off) execute records (${literals.join(', ')})`);
      await client.query('deallocate records');
      return rows.map((row) => row['QUERY PLAN']).join('\n');
    };
    try {
      // Other tests leave chunks of a few rows, which are read faster without an index.
      await client.query(
        `begin; set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off;
         set local role tidemark_read; select set_config('tidemark.tenant_id', '${id}', true)`,
      );
      const year = { from: now - 300 * DAY };
      // Of what a batch has written as columns, the segments that may hold it are found by their Bloom filters.
      for (const [query, index] of [
        [{}, /Index Cond: .*ts/],
        [{ ...year, destinationId: 'c7' }, /Index Cond: .*customer_id|bloomh_\w*customer_id/],
        [{ ...year, reference: 'r7' }, /Index Cond: .*reference|bloomh_\w*reference/],
      ] as const) {
        const found = await plan(query);
        expect(found).toMatch(index);
        expect(found).not.toContain('Seq Scan on event');
        expect(found).not.toMatch(/Seq Scan on _hyper/);
      }
    } finally {
      await client.query('rollback');
      client.release();
    }
  });
});
