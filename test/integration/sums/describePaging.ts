import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom, tokensOf } from '../../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 32));

// biome-ignore lint/suspicious/noExplicitAny: rows of any of the lists
type Row = any;

/** A list: what identifies a row of it, how many events a row stands for, and how many tokens. */
interface ListUnderTest {
  path: string;
  limits: number[];
  key(row: Row): string;
  calls(row: Row): number;
  tokens?(row: Row): number;
}

const usage = (query: string, dimensions: string[]): ListUnderTest => ({
  path: `/v1/usage?${query}`,
  limits: [1, 7, 10_000],
  key: (row) => JSON.stringify([row.bucket, ...dimensions.map((name) => row[name])]),
  calls: (row) => row.calls,
  tokens: (row) => row.tokens,
});

const LISTS: ListUnderTest[] = [
  {
    path: '/v1/events?',
    limits: [1, 7, 1_000],
    key: (row) => row.eventId,
    calls: () => 1,
    tokens: (row) => row.metadata.tokens ?? 0,
  },
  {
    path: '/v1/windows?',
    limits: [1, 7, 1_000],
    key: (row) => `${row.windowStart} ${row.customerId}`,
    calls: (row) => row.aggregations.totalCalls,
    tokens: (row) => row.aggregations.totalTokens,
  },
  ...['hourly', 'daily'].map((name) => ({
    path: `/v1/summaries/${name}?`,
    limits: [1, 7, 1_000],
    key: (row: Row) => row.bucket,
    calls: (row: Row) => row.totalEvents,
  })),
  usage('granularity=1h', []),
  usage('granularity=5m', []),
  usage('granularity=1d&timezone=Asia/Kathmandu&groupBy=customer', ['customerId']),
  usage('granularity=1d&groupBy=endpoint,model', ['endpoint', 'model']),
  usage('granularity=1d&groupBy=model', ['model']),
  usage('granularity=1mo&groupBy=customer,endpoint,model,eventType', [
    'customerId',
    'endpoint',
    'model',
    'eventType',
  ]),
];

/** Walks every list page by page, over `count` events, which is even, and over half as many while as many come. */
export function describePaging(count: number): void {
  describeEngine(`paging (SEED=${seed})`, () => {
    let t: TestService;
    beforeAll(async () => {
      t = await startTestService();
    });
    afterAll(() => t.stop());

    /** Events over the last three days, some of them in the same microsecond, some without endpoint or model. */
    const traffic = (random: () => number, count: number, from: number, to: number): ClientEvent[] =>
      Array.from({ length: count }, () => {
        const event = randomEvent(random, from, to);
        if (random() < 0.3) event.timestamp = new Date(Math.floor(from / HOUR) * HOUR + HOUR).toISOString();
        if (random() < 0.3) {
          const { apiEndpoint, ...rest } = event;
          return { ...rest, eventType: 'click' } as ClientEvent;
        }
        return event;
      });

    const post = async (key: string, body: ClientEvent[]) => {
      const answer = await t.call('POST', '/v1/events', { key, body });
      expect(answer.status).toBe(200);
    };

    const walk = async (
      key: string,
      path: string,
      limit: number,
      between: (page: number) => Promise<void> = async () => undefined,
    ): Promise<Row[]> => {
      const rows: Row[] = [];
      let cursor: string | null = null;
      for (let page = 0; page === 0 || cursor !== null; page++) {
        if (page > 0) await between(page);
        const after: string = cursor === null ? '' : `&cursor=${cursor}`;
        const { status, body } = await t.call('GET', `${path}&limit=${limit}${after}`, { key });
        expect([path, status]).toEqual([path, 200]);
        if (body.nextCursor !== null) expect(body.data).toHaveLength(limit);
        rows.push(...body.data);
        cursor = body.nextCursor;
        expect(page).toBeLessThan(2_000);
      }
      return rows;
    };

    const sum = (rows: Row[], of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);

    it.each(LISTS)('$path in pages is the same as whole', async (list) => {
      const random = randomFrom(seed);
      const { key } = await t.tenant();
      const now = Date.now();
      const from = Math.floor((now - 3 * DAY) / HOUR) * HOUR; // a window that began before it is not of the range
      const events = traffic(random, count, from, now);
      await post(key, events);
      const range = `&from=${new Date(from).toISOString()}&to=${new Date(now).toISOString()}`;
      const whole = await walk(key, list.path + range, list.limits.at(-1)!);
      expect(sum(whole, list.calls)).toBe(events.length);
      if (list.tokens) expect(sum(whole, list.tokens)).toBe(sum(events, tokensOf));
      for (const limit of list.limits.slice(0, -1)) {
        expect(withoutLife(await walk(key, list.path + range, limit))).toEqual(withoutLife(whole));
      }
    });

    it.each(LISTS)(
      '$path skips and repeats nothing while newer and older events arrive',
      async ({ path, limits, key: keyOf, calls }) => {
        const random = randomFrom(seed + 1);
        for (const limit of limits) {
          const { key } = await t.tenant();
          const now = Date.now();
          const from = now - 2 * DAY;
          await post(key, traffic(random, count / 2, from, now));
          const range = `&from=${new Date(from).toISOString()}&to=${new Date(now + HOUR).toISOString()}`;
          const before = await walk(key, path + range, limits.at(-1)!);
          let added = 0;
          const after = await walk(key, path + range, limit, async () => {
            if (added >= count) return; // a list that grows faster than it is read has no end
            const late = traffic(random, 3, from, now);
            const newest = [anEvent({ customerId: `new-${added}` })];
            await post(key, [...late, ...newest]);
            added += 4;
          });
          const keys = after.map(keyOf);
          expect(new Set(keys).size).toBe(keys.length);
          expect(keys).toEqual(expect.arrayContaining(before.map(keyOf)));
          const found = new Map(after.map((row) => [keyOf(row), row]));
          for (const row of before) expect(calls(found.get(keyOf(row)))).toBeGreaterThanOrEqual(calls(row));
          const inOrder = keys.filter((key) => before.some((row) => keyOf(row) === key));
          expect(inOrder).toEqual(before.map(keyOf));
        }
      },
    );
  });
}

/** Windows close and are revised while we look. */
function withoutLife(rows: Row[]): Row[] {
  return rows.map(({ state: _, revision: __, ...row }) => row);
}
