import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BruteForce } from '../support/bruteForce.ts';
import { describeEngine } from '../support/database.ts';
import { startServiceOn, startTestService, type TestService } from '../support/service.ts';
import { type ClientEvent, randomEvent, randomFrom } from '../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 86_400_000;
const seed = Date.now() % 1_000_000;

describeEngine(`summaries equal a brute-force sum (seed ${seed})`, () => {
  let t: TestService;
  let other: TestService;
  beforeAll(async () => {
    t = await startTestService({ WINDOW_GRACE_MS: '0' });
    other = await startServiceOn(t.database, { WINDOW_GRACE_MS: '0' });
  });
  afterAll(async () => {
    await other.service.close();
    await other.sql.end();
    await t.stop();
  });

  /** All pages of a list. */
  // biome-ignore lint/suspicious/noExplicitAny: the bodies are compared whole
  const all = async (path: string, key: string): Promise<any[]> => {
    // biome-ignore lint/suspicious/noExplicitAny: the bodies are compared whole
    const data: any[] = [];
    let cursor: string | null = null;
    do {
      const { status, body } = await t.call('GET', `${path}${cursor ? `&cursor=${cursor}` : ''}`, { key });
      expect(status, JSON.stringify(body)).toBe(200);
      data.push(...body.data);
      cursor = body.nextCursor;
    } while (cursor);
    return data;
  };

  const iso = (ms: number) => new Date(ms).toISOString();

  async function compare(tenant: { id: string; key: string }, model: BruteForce, from: number, to: number) {
    const range = `from=${iso(from)}&to=${iso(to)}`;
    const aligned = (ms: number, length: number) => Math.floor(ms / length) * length;

    const windows = await all(`/v1/windows?${range}&limit=1000`, tenant.key);
    const start = Math.ceil(from / 30_000) * 30_000;
    const end = Math.ceil(to / 30_000) * 30_000;
    const expected = model.windows(tenant.id, start, end);
    expect(windows.map(({ state, revision, ...window }) => window)).toEqual(expected);

    for (const [path, length] of [
      ['hourly', HOUR],
      ['daily', DAY],
    ] as const) {
      expect(await all(`/v1/summaries/${path}?${range}`, tenant.key)).toEqual(
        model.activity(length, from, to),
      );
    }
    for (const [granularity, timezone, bucketOf] of [
      ['30s', 'UTC', (ms: number) => aligned(ms, 30_000)],
      ['1m', 'UTC', (ms: number) => aligned(ms, 60_000)],
      ['5m', 'UTC', (ms: number) => aligned(ms, 300_000)],
      ['15m', 'UTC', (ms: number) => aligned(ms, 900_000)],
      ['1h', 'UTC', (ms: number) => aligned(ms, HOUR)],
      ['1h', 'Asia/Kolkata', (ms: number) => aligned(ms + HOUR / 2, HOUR) - HOUR / 2],
      ['1d', 'UTC', (ms: number) => aligned(ms, DAY)],
      ['1d', 'Asia/Tokyo', (ms: number) => aligned(ms + 9 * HOUR, DAY) - 9 * HOUR],
      ['1d', 'Asia/Kolkata', (ms: number) => aligned(ms + 5.5 * HOUR, DAY) - 5.5 * HOUR],
      ['1mo', 'UTC', (ms: number) => Date.UTC(new Date(ms).getUTCFullYear(), new Date(ms).getUTCMonth())],
    ] as const) {
      const query = `${range}&granularity=${granularity}&timezone=${timezone}&groupBy=customer,model`;
      const points = await all(`/v1/usage?${query}`, tenant.key);
      const flat = points.map(({ bucketEnd, latency, ...point }) => ({
        ...point,
        latencyCount: latency.count,
        maxMs: latency.maxMs,
      }));
      expect(flat, `${granularity} ${timezone}`).toEqual(model.usage(bucketOf, from, to));
    }
  }

  it('at every granularity, right after each acknowledgement, while windows close and late events come', async () => {
    const random = randomFrom(seed);
    const now = Date.now();
    const tenants = await Promise.all([t.tenant(), t.tenant()]);
    const models = tenants.map(() => new BruteForce());
    const posted: ClientEvent[] = [];
    for (let round = 0; round < 8; round++) {
      await Promise.all(
        tenants.map(async (tenant, i) => {
          const batches = Array.from({ length: 4 }, () =>
            Array.from({ length: Math.ceil(random() * 60) }, () => {
              if (random() < 0.1 && posted.length > 0) return posted[Math.floor(random() * posted.length)]!;
              // Late by up to two days, around now, or ahead.
              const at = Date.now();
              const [from, to] = random() < 0.5 ? [now - 2 * DAY, now] : [at - 90_000, at + 120_000];
              return randomEvent(random, from, to);
            }),
          );
          for (const [j, body] of batches.entries()) {
            const answer = await (j % 2 ? other : t).call('POST', '/v1/events', { key: tenant.key, body });
            expect(answer.status, JSON.stringify(answer.body)).toBe(200);
            models[i]!.add(body);
            posted.push(...body);
          }
        }),
      );
      const edge = now - Math.floor(random() * 2 * DAY);
      for (const [i, tenant] of tenants.entries()) {
        await compare(tenant, models[i]!, now - 3 * DAY, now + HOUR);
        await compare(tenant, models[i]!, edge, edge + Math.floor(random() * DAY) + 1);
      }
      await sleep(random() * 300);
    }
    if (t.database.engine === 'timescale') {
      // Once all is refreshed the rollups alone say the same.
      for (let i = 0; i < 200 && (await stale()) > 0; i++) await sleep(50);
      expect(await stale()).toBe(0);
    }
    for (const [i, tenant] of tenants.entries()) {
      await compare(tenant, models[i]!, now - 3 * DAY, now + HOUR);
      const events = [...models[i]!.events.values()];
      for (const rollup of ['usage_30s', 'usage_1h', 'usage_1d']) {
        const { rows } = await t.sql.query(
          `select sum(calls)::int as calls from ${rollup} where tenant_id = $1`,
          [tenant.id],
        );
        expect(rows[0].calls, rollup).toBe(events.length);
      }
      const references = await t.sql.query(
        'select sum(events)::int as events from reference_1d where tenant_id = $1',
        [tenant.id],
      );
      const referring = events.filter((event) => event.reference !== undefined);
      expect(references.rows[0].events).toBe(referring.length);
    }
  }, 120_000);

  async function stale(): Promise<number> {
    const { rows } = await t.sql.query(
      `select count(*)::int as n from late_window, window_state
       where stale or (stale_references and bucket < refreshed_1d)`,
    );
    return rows[0].n;
  }

  it('says closed of a window that is final, and revised with a higher revision once it has changed', async () => {
    const { key } = await t.tenant();
    const at = Math.floor(Date.now() / 30_000) * 30_000 - 120_000;
    const post = (n: number) =>
      t.call('POST', '/v1/events', {
        key,
        body: Array.from({ length: n }, () => randomEvent(Math.random, at, at + 30_000)).map((event) => ({
          ...event,
          customerId: 'c',
        })),
      });
    const window = async () =>
      (await t.call('GET', `/v1/windows?from=${iso(at)}&to=${iso(at + 30_000)}`, { key })).body.data[0];
    await post(3);
    expect(await window()).toMatchObject({ state: 'revised', revision: 1, aggregations: { totalCalls: 3 } });
    await post(2);
    expect(await window()).toMatchObject({ state: 'revised', revision: 2, aggregations: { totalCalls: 5 } });
    const body = randomEvent(Math.random, Date.now(), Date.now() + 1);
    await t.call('POST', '/v1/events', { key, body: { ...body, timestamp: iso(Date.now() + 60_000) } });
    const open = await t.call('GET', `/v1/windows?from=${iso(Date.now())}`, { key });
    expect(open.body.data[0]).toMatchObject({ state: 'open', revision: 0 });
  });
});
