import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { formatTimestamp } from '../../src/model/timestamp.ts';
import { type BruteEvent, type BrutePrice, bruteCosts } from '../support/bruteCosts.ts';
import { describeEngine } from '../support/database.ts';
import { messagesOf } from '../support/messages.ts';
import { priceBody } from '../support/randomCosts.ts';
import { startServiceOn, startTestService, type TestService } from '../support/service.ts';

const DAY = 86_400_000;
const CUSTOMERS = ['shop', 'bank', 'club'];
const CLIENTS = 6;
const KILLS = 30;
const CORRECTIONS = 8;

interface Call extends BruteEvent {
  eventId: string;
}

type Period = 'day' | 'month';
const startOf = (period: Period, ms: number): number =>
  period === 'day'
    ? Math.floor(ms / DAY) * DAY
    : Date.UTC(new Date(ms).getUTCFullYear(), new Date(ms).getUTCMonth());

/** Calls cost in all, by customer and start of the period: as many digits as prices have. */
function costsOf(calls: readonly Call[], prices: readonly BrutePrice[], period: Period): Map<string, string> {
  const rows = bruteCosts(calls, prices, {
    fromMicros: Number.NEGATIVE_INFINITY,
    toMicros: Number.POSITIVE_INFINITY,
    bucketOf: (ms) => [startOf(period, ms), startOf(period, ms) + 1],
    groupBy: ['customer'],
  });
  return new Map(rows.map(({ bucket, customerId, costs }) => [`${customerId} ${bucket}`, costs[0]!.amount]));
}

/*
 * Two instances and six clients that post calls, late ones and each other's again; prices that are corrected upwards
 * meanwhile; connections that are cut, also around the commit. Afterwards each sum is that of what is stored by the last prices,
 * and each crossing has been told of once.
 */
describeEngine('sums of costs under many writers', () => {
  let one: TestService;
  let two: TestService;
  beforeAll(async () => {
    one = await startTestService({ INGEST_WRITERS: '4' });
    two = await startServiceOn({ ...one.database, drop: async () => undefined }, { INGEST_WRITERS: '4' });
  });
  afterAll(async () => {
    await two.stop();
    await one.stop();
  });

  const pick = <T>(values: readonly T[]): T => values[Math.floor(Math.random() * values.length)]!;
  /** Until it is done: a connection that was cut, or a batch that takes long, is a 503. */
  const surely = async (service: TestService, path: string, key: string, body: object, status: number) => {
    for (;;) {
      const answer = await service.call('POST', path, { key, body });
      if (answer.status === status) return answer.body;
      expect(answer.status, JSON.stringify(answer.body)).toBe(503);
      await sleep(20);
    }
  };

  it('are those of the last prices, and told of once, whatever is cut', async () => {
    const { id: tenantId, key } = await one.tenant();
    const began = Date.now();
    const changed = (began - 1.5 * DAY) * 1_000 + 123;
    const aPrice = (power: number, fromMicros: number | null, toMicros: number | null): BrutePrice => ({
      ...{ model: 'm', match: 'exact', provider: null, currency: 'USD', fromMicros, toMicros },
      unitPrices: { input: `${2 ** power}`, call: '0.000000000000000000000001' },
    });
    const powers = [0, 1];
    const bounds = [
      [null, changed],
      [changed, null],
    ] as const;
    const terms = () => bounds.map(([from, to], i) => aPrice(powers[i]!, from, to));
    const listed = await surely(
      one,
      '/v1/prices',
      key,
      terms().map((price) => priceBody(price)),
      201,
    );
    const ids: string[] = listed.data.map(({ id }: { id: string }) => id);
    await surely(one, '/v1/subscriptions', key, { stream: 'out', messageTypes: ['usage.threshold'] }, 201);
    const usage = { kind: 'usage', measure: 'cost', currency: 'USD' };
    const rules: { period: Period; threshold: string }[] = [
      { period: 'month', threshold: '1000000000000000' }, // never told of
      { period: 'month', threshold: '10000.5' },
      ...(['100.5', '2000.5', '40000.5'] as const).map((threshold) => ({
        period: 'day' as const,
        threshold,
      })),
    ];
    const made = await Promise.all(
      rules.map(async (rule) => ({
        ...rule,
        id: (await surely(one, '/v1/alert-rules', key, { ...usage, ...rule }, 201)).id,
      })),
    );

    const calls: Call[] = [];
    const aCall = (ms: number, customerId: string): Call => ({
      eventId: randomUUID(),
      micros: Math.floor(ms * 1_000),
      customerId,
      eventType: 'chat',
      metadata: { model: 'm', inputTokens: Math.floor(Math.random() * 100) },
    });
    const post = (service: TestService, batch: Call[]) => {
      const body = batch.map(({ micros, ...event }) => ({ ...event, timestamp: formatTimestamp(micros) }));
      return surely(service, '/v1/events', key, body, 200);
    };
    let running = true;
    const clients = Array.from({ length: CLIENTS }, async (_, client) => {
      while (running) {
        const own = Array.from({ length: client < 3 ? 1 : 15 }, () =>
          aCall(Math.random() < 0.5 ? began - Math.random() * 3 * DAY : Date.now(), pick(CUSTOMERS)),
        );
        const batch = Math.random() < 0.3 && calls.length > 0 ? [...own, pick(calls)] : own;
        calls.push(...own);
        await post(client % 2 ? one : two, batch);
        if (Math.random() < 0.2) await post(pick([one, two]), batch);
      }
    });
    const dearer = (async () => {
      for (let n = 0; n < CORRECTIONS; n++) {
        await sleep(Math.random() * 600);
        const i = n % 2;
        powers[i]!++;
        const body = priceBody(terms()[i]!, ids[i]);
        for (;;) {
          const answer = await pick([one, two]).call('POST', '/v1/prices', { key, body });
          if (answer.status === 201) {
            ids[i] = answer.body.data[0].id;
            break;
          }
          expect(answer.status, JSON.stringify(answer.body)).toBe(503);
          await sleep(20);
        }
      }
    })();
    const killer = new pg.Client({ connectionString: one.database.url });
    await killer.connect();
    for (let kills = 0; kills < KILLS; ) {
      await sleep(Math.random() * 200);
      const { rows } = await killer.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'tidemark ingest'
         order by (state = 'active' and random() < 0.5) desc, random() limit 1`,
      );
      kills += rows.length;
    }
    await killer.end();
    await dearer;
    running = false;
    await Promise.all(clients);

    // What a correction has brought above is told of with the next event.
    const places = new Map(
      calls.map((call) => [`${call.customerId} ${startOf('day', call.micros / 1_000)}`, call]),
    );
    const last = [...places.values()].map(({ micros, customerId }) => aCall(micros / 1_000, customerId));
    calls.push(...last);
    await post(one, last);
    const { rows } = await one.sql.query('select count(*)::int as n from event where tenant_id = $1', [
      tenantId,
    ]);
    expect(rows[0].n).toBe(calls.length);
    const expected = made.flatMap(({ id, period, threshold }) =>
      [...costsOf(calls, terms(), period)]
        .filter(([, amount]) => Number(amount) > Number(threshold))
        .map(([where]) => `${id} ${where}`),
    );
    const told = (await messagesOf(one.sql, tenantId, 'usage.threshold')).map(
      ({ rule, customerId, periodStart }) => `${rule.id} ${customerId} ${periodStart}`,
    );
    expect(told.sort()).toEqual(expected.sort());
    expect(told.length).toBeGreaterThan(3);
    const tallies = await one.sql.query(
      `select customer_id || ' ' || iso8601(period_start) as place, trim_scale(total)::text as total
       from usage_tally where rule_id = $1`,
      [made[0]!.id],
    );
    expect(new Map(tallies.rows.map(({ place, total }) => [place, total]))).toEqual(
      costsOf(calls, terms(), 'month'),
    );
  });
});
