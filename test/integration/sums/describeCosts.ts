import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseEvents } from '../../../src/intake/events/parseEvents.ts';
import { formatTimestamp } from '../../../src/model/timestamp.ts';
import { PriceBook } from '../../../src/sums/costs/rating/priceBook.ts';
import { rateEvent } from '../../../src/sums/costs/rating/rateEvent.ts';
import { type BruteEvent, type BrutePrice, bruteCosts } from '../../support/bruteCosts.ts';
import type { Ask } from '../../support/compareSummaries.ts';
import { expectCosts, expectUsageCosts, randomCostQuery } from '../../support/costQueries.ts';
import { describeEngine } from '../../support/database.ts';
import { priceBody, randomPrice, randomUsage } from '../../support/randomCosts.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { randomFrom } from '../../support/traffic.ts';

const HOUR = 3_600_000;
const DAY = 86_400_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

const CUSTOMERS = ['acme', 'bolt', 'Ümlaut'];

interface Sent extends BruteEvent {
  eventId: string;
}

/** Random calls on two instances, late and twice too, and prices that change between them, each round followed by queries. */
export function describeCosts(rounds: number, queries: number): void {
  describeEngine(`costs equal a computation event by event (SEED=${seed})`, () => {
    const random = randomFrom(seed);
    const int = (below: number) => Math.floor(random() * below);
    const chance = (of: number) => random() < of;
    const pick = <T>(values: readonly T[]): T => values[int(values.length)]!;
    let t: TestService;
    let other: TestService;
    let key: string;
    let tenantId: string;
    const events = new Map<string, Sent>();
    const prices = new Map<string, BrutePrice>();

    beforeAll(async () => {
      t = await startTestService({ WINDOW_GRACE_MS: '0' });
      other = await startServiceOn(t.database, { WINDOW_GRACE_MS: '0' });
      ({ id: tenantId, key } = await t.tenant());
    });
    afterAll(async () => {
      await other.service.close();
      await other.sql.end();
      await t.stop();
    });

    const now = Date.now();
    const anywhere = () => Math.floor((now - 2 * DAY + random() * 2 * DAY) * 1_000) + int(1_000);

    function aCall(): Sent {
      const at = chance(0.5) ? anywhere() : Math.floor((Date.now() - 90_000 + random() * 150_000) * 1_000);
      return {
        eventId: randomUUID(),
        micros: at,
        customerId: pick(CUSTOMERS),
        eventType: pick(['gen_ai.chat', 'gen_ai.embeddings', 'api.request']),
        apiEndpoint: pick(['/v1/chat', '/v1/embed']),
        metadata: randomUsage(random),
      };
    }

    async function post(service: TestService, calls: Sent[]): Promise<void> {
      const body = calls.map(({ micros, ...event }) => ({ ...event, timestamp: formatTimestamp(micros) }));
      const answer = await service.call('POST', '/v1/events', { key, body });
      expect([answer.status, answer.body]).toEqual([200, answer.body]);
      for (const call of calls) if (!events.has(call.eventId)) events.set(call.eventId, call);
    }

    function batch(): Sent[] {
      const known = [...events.values()];
      return Array.from({ length: 1 + int(60) }, () =>
        chance(0.1) && known.length > 0 ? pick(known) : aCall(),
      );
    }

    /** What is refused for its overlap is not there. */
    async function changePrices(): Promise<void> {
      const supersedes = chance(0.4) && prices.size > 0 ? pick([...prices.keys()]) : undefined;
      const price = randomPrice(random, anywhere, supersedes ? prices.get(supersedes) : undefined);
      const answer = await t.call('POST', '/v1/prices', { key, body: priceBody(price, supersedes) });
      if (answer.status === 409) {
        expect(answer.body.code).toBe('price_overlaps');
        return;
      }
      expect([answer.status, answer.body]).toEqual([201, answer.body]);
      if (supersedes) prices.delete(supersedes);
      prices.set(answer.body.data[0].id, price);
    }

    const ask: Ask = (path) => t.call('GET', path, { key });

    async function compare(): Promise<void> {
      const asked = randomCostQuery(random, { from: now - 2 * DAY, to: now + HOUR }, CUSTOMERS);
      const [sent, terms] = [[...events.values()], [...prices.values()]];
      await expectCosts(ask, key, sent, terms, asked);
      if (chance(0.5)) await expectUsageCosts(ask, key, sent, terms, asked);
    }

    it(
      'whatever changes: events, late and twice; prices, for the past too; windows that close; series that fill',
      async () => {
        await post(t, batch());
        await compare(); // before there is any price
        for (let round = 0; round < rounds; round++) {
          for (let i = 0; i < 4; i++) {
            const batches = [post(t, batch()), post(other, batch())];
            await changePrices();
            await Promise.all(batches);
            await compare();
          }
          for (let i = 0; i < 4; i++) await changePrices();
          for (let i = 0; i < queries; i++) await compare();
          await sleep(random() * 300);
        }
        await until(async () => {
          const { rows } = await t.sql.query('select filled_from <= fill_floor as filled from meter_series');
          return rows.length === 1 && rows[0].filled;
        });
        for (let i = 0; i < queries; i++) await compare();
        expect(prices.size).toBeGreaterThan(2);
      },
      rounds * 120_000,
    );

    it('and so does each event that is rated by itself', () => {
      const terms = [...prices.values()];
      const book = new PriceBook(terms);
      const rules = { tenantId, earliestMicros: Number.NaN, latestMicros: Number.NaN, receivedMicros: 0 };
      let rated = 0;
      for (const { micros, ...call } of events.values()) {
        const json = JSON.stringify({ ...call, timestamp: formatTimestamp(micros) });
        const { events: parsed } = parseEvents(
          Buffer.from(json),
          { dialect: 'native', framing: 'json' },
          rules,
          1,
        );
        const [point] = bruteCosts([{ micros, ...call }], terms, {
          fromMicros: micros,
          toMicros: micros + 1,
          bucketOf: (ms) => [ms, ms + 1],
          groupBy: [],
        });
        for (const currency of ['EUR', 'USD']) {
          const sum = point?.costs.find((cost) => cost.currency === currency);
          const expected = sum ? { currency, amount: sum.amount } : null;
          expect({ json, cost: rateEvent(parsed[0]!, book, currency) }).toEqual({ json, cost: expected });
          if (expected) rated++;
        }
      }
      expect(rated).toBeGreaterThan(0);
    });
  });
}
