import { afterAll, beforeAll, expect, it } from 'vitest';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { allPages, expectPercentiles } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, randomFrom } from '../../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const GRANULARITIES = ['30s', '1m', '5m', '15m', '1h', '1d', '1mo'];
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

describeEngine(`percentiles of latencies (SEED=${seed})`, () => {
  let t: TestService;
  const random = randomFrom(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  /** In ms, no longer than what is accepted. */
  const lognormal = (sigma: number) => Math.min(1e9, Math.exp(5.5 + sigma * normal()));

  beforeAll(async () => {
    t = await startTestService({ ...CLOSED_BY_HAND, CLOSER_STEP_MINUTES: '1440' });
    t.config.ingest.acceptAheadMs = 10 * DAY; // time here runs ahead
  });
  afterAll(() => t.stop());

  const ask = (path: string, key: string) => t.call('GET', path, { key });

  /** All of them in one window, from the start of a day. */
  async function post(key: string, at: number, latencies: number[], more: object = {}): Promise<void> {
    for (let i = 0; i < latencies.length; i += 1_000) {
      const body = latencies.slice(i, i + 1_000).map((latencyMs, j) => ({
        ...anEvent({ timestamp: new Date(at + j).toISOString(), ...more }),
        metadata: { latencyMs },
      }));
      const answer = await t.call('POST', '/v1/events', { key, body });
      expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    }
  }

  /** The single point of each granularity, and of a range that is counted from the events themselves. */
  async function points(key: string, at: number) {
    const day = Math.floor(at / DAY) * DAY;
    const ranges = [
      ...GRANULARITIES.map((granularity) => ({ granularity, from: day - DAY, to: day + 2 * DAY })),
      { granularity: '1d', from: at, to: at + 29_999 },
    ];
    return Promise.all(
      ranges.map(async ({ granularity, from, to }) => {
        const range = `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`;
        const data = await allPages(ask, `/v1/usage?${range}&granularity=${granularity}&limit=10000`, key);
        expect(data, granularity).toHaveLength(1);
        return { granularity, point: data[0] };
      }),
    );
  }

  async function refreshed(until_: number): Promise<void> {
    await closeUpTo(t.sql, until_);
    await until(async () => {
      const { rows } = await t.sql.query(
        `select exists (select from late_window where stale)
           or ($1 and refreshed_1d < date_bin('1 day', closed_until, 'epoch'::timestamptz)) as busy from window_state`,
        [t.database.engine === 'timescale'],
      );
      return !rows[0].busy;
    }, 60_000);
  }

  const repeated = (count: number, ms: number) => Array.from({ length: count }, () => ms);
  const KINDS: [string, () => number[]][] = [
    ['a single one', () => [234]],
    ['a single one of nothing', () => [0]],
    ['a single one beyond all classes of before', () => [1e9]],
    ['a single tiny one', () => [0.000_012_3]],
    ['two', () => [234, 235.5]],
    ['two far apart', () => [0.25, 1e9]],
    ['many and an outlier', () => [...repeated(99, 130_000), 1e9]],
    ['many of nothing and an outlier', () => [...repeated(99, 0), 5_000]],
    [
      'nothing, fractions and milliseconds',
      () => [...repeated(20, 0), ...repeated(20, 0.04), ...repeated(20, 1), 2, 3],
    ],
    ['all the same', () => repeated(100, 234)],
    [
      'the bounds of the classes of before',
      () => [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 120_000],
    ],
    ['a thousand, lognormal', () => Array.from({ length: 1_000 }, () => lognormal(1))],
    ['wide', () => Array.from({ length: 500 }, () => lognormal(4))],
    ['in microseconds', () => Array.from({ length: 200 }, () => lognormal(0.5) / 1_000)],
    ['of two kinds', () => [...Array.from({ length: 300 }, () => 2 + random()), ...repeated(15, 29_500.5)]],
  ];

  it('are within 2 % at every granularity, before and after refreshes, with late events', async () => {
    const at = (Math.floor((await closedUntil(t.sql)) / DAY) + 1) * DAY;
    const kinds = await Promise.all(
      KINDS.map(async ([name, make]) => ({ name, key: (await t.tenant()).key, latencies: make() })),
    );
    const check = async (when: string) => {
      for (const { name, key, latencies } of kinds) {
        const sorted = latencies.toSorted((a, b) => a - b);
        for (const { granularity, point } of await points(key, at)) {
          expectPercentiles(point.latency, sorted, `${name}, ${granularity}, ${when}`);
        }
      }
    };
    for (const { key, latencies } of kinds) await post(key, at, latencies);
    await check('open');
    await refreshed(at + DAY);
    await check('closed');
    for (const kind of kinds) {
      const late = kind.latencies.slice(0, Math.ceil(kind.latencies.length / 4));
      await post(kind.key, at, late);
      kind.latencies.push(...late);
    }
    await check('late');
    await refreshed(at + DAY + 60_000);
    await check('late and refreshed');
  });

  it('many windows, customers and batches add up to one sketch', async () => {
    const { id, key } = await t.tenant();
    const at = (Math.floor((await closedUntil(t.sql)) / DAY) + 1) * DAY;
    const all: number[] = [];
    for (let i = 0; i < 12; i++) {
      const latencies = Array.from({ length: 60 }, () => lognormal(0.8 + i / 6));
      await post(key, at + (i % 6) * 4 * HOUR, latencies, { customerId: `customer-${i % 3}` });
      all.push(...latencies);
    }
    const sorted = all.toSorted((a, b) => a - b);
    const range = `from=${new Date(at).toISOString()}&to=${new Date(at + DAY).toISOString()}`;
    const day = async () => (await allPages(ask, `/v1/usage?${range}&granularity=1d`, key))[0];
    expectPercentiles((await day()).latency, sorted);
    await refreshed(at + DAY);
    const { latency } = await day();
    expectPercentiles(latency, sorted);
    // People who ask by psql find the same.
    for (const relation of ['usage_30s', 'usage_1h', 'usage_1d']) {
      const { rows } = await t.sql.query(
        `select tenant_data.latency_percentile(sum(latency_sketch), p) as ms from ${relation}, unnest('{50,95,99}'::int[]) as p
         where tenant_id = $1 group by p order by p`,
        [id],
      );
      expect(
        rows.map(({ ms }) => Number(ms.toPrecision(4))),
        relation,
      ).toEqual([latency.p50Ms, latency.p95Ms, latency.p99Ms]);
    }
  });

  it('a sketch of latencies of any size is read alike by SQL and by the service', async () => {
    const { key } = await t.tenant();
    const at = (Math.floor((await closedUntil(t.sql)) / DAY) + 1) * DAY;
    const latencies = [0, 0, 1e-320, 1e-17, 1e-9, 0.999_999, 1, 1.000_001, 2 ** 0.05, 255.9, 256, 1e9, 1e9];
    await post(key, at, latencies);
    for (const { granularity, point } of await points(key, at)) {
      expectPercentiles(point.latency, latencies, granularity);
    }
    const { rows } = await t.sql.query(
      `select ms, tenant_data.latency_percentile(tenant_data.latency_slot(ms), 50) as middle,
         tenant_data.latency_percentile(sum(tenant_data.latency_slot(ms)) over (), 50) as median
       from unnest($1::double precision[]) as ms where ms = 0 or ms > 1e-18 order by ms`,
      [latencies],
    );
    for (const { ms, middle, median } of rows) {
      expect(Math.abs(middle - ms)).toBeLessThanOrEqual(0.018 * ms);
      expect(Math.abs(median - 1)).toBeLessThanOrEqual(0.018);
    }
  });

  it('events without a latency have none', async () => {
    const { key } = await t.tenant();
    const at = (Math.floor((await closedUntil(t.sql)) / DAY) + 1) * DAY;
    await t.call('POST', '/v1/events', { key, body: [anEvent({ timestamp: new Date(at).toISOString() })] });
    for (const { granularity, point } of await points(key, at))
      expectPercentiles(point.latency, [], granularity);
  });

  it('CSV says as much as JSON, and what is new at the end', async () => {
    const { key } = await t.tenant();
    const at = (Math.floor((await closedUntil(t.sql)) / DAY) + 1) * DAY;
    await post(key, at, [234]);
    const range = `from=${new Date(at).toISOString()}&to=${new Date(at + DAY).toISOString()}`;
    const { body } = await t.call('GET', `/v1/usage?${range}&granularity=1d`, {
      key,
      headers: { accept: 'text/csv' },
    });
    const [header, line] = body.split('\r\n');
    expect(header).toBe(
      'bucket,bucketEnd,calls,tokens,inputTokens,outputTokens,value,latencyCount,latencyAvgMs,latencyMaxMs,' +
        'latencyP50Ms,latencyP95Ms,latencyP99Ms,latencyMinMs,latencyPrecision',
    );
    expect(line.split(',').slice(-8)).toEqual(['1', '234', '234', '234', '234', '234', '234', 'fine']);
  });
});
