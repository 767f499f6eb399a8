import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseEvents } from '../../../src/intake/events/parseEvents.ts';
import { formatTimestamp } from '../../../src/model/timestamp.ts';
import { PriceBook } from '../../../src/sums/costs/rating/priceBook.ts';
import { rateEvent } from '../../../src/sums/costs/rating/rateEvent.ts';
import { type BruteEvent, type BrutePrice, type BruteQuery, bruteCosts } from '../../support/bruteCosts.ts';
import { describeEngine } from '../../support/database.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { randomFrom } from '../../support/traffic.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

const MODELS = ['gpt-4o', 'gpt-4o-mini', 'gpt-4o-2024-11-20', 'claude-sonnet', 'größe', 'unheard-of'];
const PROVIDERS = ['openai', 'azure.ai.openai'];
const CUSTOMERS = ['acme', 'bolt', 'Ümlaut'];
const GROUPINGS = ['customer', 'model', 'provider', 'endpoint', 'eventType'];

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
      const metadata: Record<string, unknown> = {};
      const put = (probability: number, name: string, value: () => unknown) => {
        if (chance(probability)) metadata[name] = value();
      };
      put(0.9, 'model', () => pick(MODELS));
      put(0.5, 'provider', () => pick(PROVIDERS));
      put(0.8, 'inputTokens', () => int(2_000));
      put(0.8, 'outputTokens', () => int(500));
      put(0.1, 'tokens', () => int(3_000));
      put(0.4, 'cachedInputTokens', () => int(1_500));
      put(0.2, 'cacheWriteTokens', () => int(800));
      put(0.2, 'audioInputTokens', () => int(300));
      put(0.3, 'reasoningTokens', () => int(300));
      put(0.2, 'audioOutputTokens', () => int(300));
      put(0.1, 'usageStatus', () => pick(['unknown', 'unrecognised', 'counted']));
      return {
        eventId: randomUUID(),
        micros: at,
        customerId: pick(CUSTOMERS),
        eventType: pick(['gen_ai.chat', 'gen_ai.embeddings', 'api.request']),
        apiEndpoint: pick(['/v1/chat', '/v1/embed']),
        metadata,
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

    function someUnits(): Record<string, string> {
      const unit = () =>
        pick(['0', '0.0000025', '0.00001', '0.00000015', '0.000000000000000000000001', '3', '0.1']);
      const units = Object.fromEntries(
        ['input', 'output', 'cachedInput', 'cacheWrite', 'reasoning', 'audioInput', 'audioOutput', 'call']
          .filter((name) => chance(name === 'input' || name === 'output' ? 0.8 : 0.25))
          .map((name) => [name, unit()]),
      );
      return Object.keys(units).length === 0 ? { call: unit() } : units;
    }

    /** What is refused for its overlap is not there. */
    async function changePrices(): Promise<void> {
      const supersedes = chance(0.4) && prices.size > 0 ? pick([...prices.keys()]) : undefined;
      const bounds = [anywhere(), anywhere()].sort((a, b) => a - b);
      const align = (micros: number) => {
        const length = pick([1, 1, 30_000_000, 3_600_000_000, 86_400_000_000]);
        return Math.floor(micros / length) * length;
      };
      const [fromMicros, toMicros] = [
        chance(0.3) ? null : align(bounds[0]!),
        chance(0.4) ? null : bounds[1]!,
      ];
      const match = chance(0.5) ? 'prefix' : 'exact';
      const price: BrutePrice = {
        ...(supersedes && chance(0.7)
          ? prices.get(supersedes)!
          : {
              model:
                match === 'exact'
                  ? pick(MODELS.slice(0, -1))
                  : pick(['gpt-', 'gpt-4o', 'gr', 'c', 'gpt-4o-2']),
              match,
              provider: chance(0.5) ? pick(PROVIDERS) : null,
              currency: pick(['USD', 'USD', 'EUR']),
            }),
        fromMicros,
        toMicros,
        unitPrices: someUnits(),
      };
      const { fromMicros: from, toMicros: to, ...terms } = price;
      const answer = await t.call('POST', '/v1/prices', {
        key,
        body: {
          ...terms,
          ...(from !== null && { effectiveFrom: formatTimestamp(from) }),
          ...(to !== null && { effectiveTo: formatTimestamp(to) }),
          ...(supersedes && { supersedes }),
        },
      });
      if (answer.status === 409) {
        expect(answer.body.code).toBe('price_overlaps');
        return;
      }
      expect([answer.status, answer.body]).toEqual([201, answer.body]);
      if (supersedes) prices.delete(supersedes);
      prices.set(answer.body.data[0].id, price);
    }

    async function read(path: string): Promise<Record<string, unknown>[]> {
      const rows = [];
      let cursor: string | null = null;
      do {
        const next = cursor === null ? path : `${path}&cursor=${encodeURIComponent(cursor)}`;
        const { status, body } = await t.call('GET', next, { key });
        expect([status, body.code, path]).toEqual([200, undefined, path]);
        rows.push(...body.data);
        cursor = body.nextCursor;
      } while (cursor !== null);
      return rows;
    }

    const WINDOWS: Record<string, [ms: number, aheadMs: number]> = {
      '30s': [30_000, 0],
      '15m': [15 * MINUTE, 0],
      '1h': [HOUR, 0],
      '1d': [DAY, 0],
      'Asia/Kolkata': [DAY, 5.5 * HOUR],
    };

    async function compare(): Promise<void> {
      const window = pick(Object.keys(WINDOWS));
      const [length, ahead] = WINDOWS[window]!;
      const granularity = window === 'Asia/Kolkata' ? '1d' : window;
      const edges = [anywhere(), chance(0.3) ? (now + HOUR) * 1_000 : anywhere()].sort((a, b) => a - b);
      const [fromMicros, toMicros] = chance(0.3)
        ? edges.map((micros) => Math.floor(micros / (HOUR * 1_000)) * HOUR * 1_000)
        : edges;
      if (fromMicros! >= toMicros!) return;
      const groupBy = GROUPINGS.filter(() => chance(0.35)).sort(() => random() - 0.5);
      const customerId = chance(0.3) ? pick([...CUSTOMERS, 'nobody']) : undefined;
      const model = chance(0.2) ? pick(MODELS) : undefined;
      const query: BruteQuery = {
        fromMicros: fromMicros!,
        toMicros: toMicros!,
        groupBy,
        bucketOf(ms) {
          const start = Math.floor((ms + ahead) / length) * length - ahead;
          return [start, start + length];
        },
        keeps: (event) =>
          (customerId === undefined || event.customerId === customerId) &&
          (model === undefined || event.metadata.model === model),
      };
      const parameters = new URLSearchParams({
        from: formatTimestamp(fromMicros!),
        to: formatTimestamp(toMicros!),
        granularity,
        timezone: window === 'Asia/Kolkata' ? window : 'UTC',
        limit: pick(['1000', '7']),
        ...(groupBy.length > 0 && { groupBy: groupBy.join(',') }),
        ...(customerId !== undefined && { customerId }),
        ...(model !== undefined && { model }),
      });
      const path = `/v1/costs?${parameters}`;
      const rows = await read(path);
      const expected = bruteCosts([...events.values()], [...prices.values()], query);
      expect({ path, rows: rows.map(plain) }).toEqual({ path, rows: expected });
      if (groupBy.includes('provider') || chance(0.5)) return;

      // Usage is of whole milliseconds.
      const ms = {
        fromMicros: Math.floor(fromMicros! / 1_000) * 1_000,
        toMicros: Math.floor(toMicros! / 1_000) * 1_000,
      };
      if (ms.fromMicros >= ms.toMicros) return;
      parameters.set('from', formatTimestamp(ms.fromMicros));
      parameters.set('to', formatTimestamp(ms.toMicros));
      const usage = await read(`/v1/usage?cost=true&${parameters}`);
      const withAi = usage.filter(({ cost }) => (cost as { calls: number }).calls > 0);
      const place = ({
        bucket,
        bucketEnd,
        customerId,
        model,
        endpoint,
        eventType,
        cost,
      }: Record<string, unknown>) =>
        plain({ bucket, bucketEnd, customerId, model, endpoint, eventType, ...(cost as object) });
      expect({ path, rows: withAi.map(place) }).toEqual({
        path,
        rows: bruteCosts([...events.values()], [...prices.values()], { ...query, ...ms }),
      });
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
      expect(rated).toBeGreaterThan(10);
    });
  });
}

/** A row as it is answered, with digits for tokens. */
// biome-ignore lint/suspicious/noExplicitAny: as served
function plain({ tokens, costs, unpriced, ...row }: any) {
  const digits = (counts: Record<string, number>) =>
    Object.fromEntries(Object.entries(counts).map(([kind, count]) => [kind, String(count)]));
  return {
    ...JSON.parse(JSON.stringify(row)),
    tokens: digits(tokens),
    costs: costs.map(({ number, ...sum }: { number: number; amount: string }) => {
      expect(number).toBe(Number(sum.amount));
      return sum;
    }),
    unpriced: { ...unpriced, tokens: digits(unpriced.tokens) },
  };
}
