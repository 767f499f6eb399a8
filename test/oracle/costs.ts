import type pg from 'pg';
import { expect } from 'vitest';
import { formatTimestamp } from '../../src/model/timestamp.ts';
import { type BruteEvent, type BrutePoint, type BrutePrice, bruteCosts } from '../support/bruteCosts.ts';
import { type Ask, allPages } from '../support/compareSummaries.ts';
import {
  type CostQueryCase,
  expectCosts,
  expectUsageCosts,
  randomCostQuery,
} from '../support/costQueries.ts';
import { priceBody, randomPrice } from '../support/randomCosts.ts';
import type { Answer } from '../support/service.ts';
import { randomFrom } from '../support/traffic.ts';
import type { Instance } from '../support/world.ts';
import { readPages } from './readPages.ts';

const MINUTE = 60_000;
/** What a change is refused with that another one came before, or that contradicts what is there. */
const REFUSED = ['price_overlaps', 'price_superseded'];

/** A price that was made, and the versions of the list that have it: from one on, up to but not another. */
interface Listed {
  price: BrutePrice;
  version: number;
  supersededIn: number | null;
}

// biome-ignore lint/suspicious/noExplicitAny: a price as it is served
type Served = any;

/** What one request was to put into the list, all of it or nothing. */
type Change = { price: BrutePrice; supersedes: string | undefined }[];

/** The prices of a tenant of a sequence, and what must be true of its costs. */
export class TenantCosts {
  private readonly key: string;
  private readonly span: { from: number; to: number };
  private readonly prices = new Map<string, Listed>();
  /** Those that were not answered. */
  private unsure: Change[] = [];

  /** @param span where all events are, in ms. */
  constructor(key: string, span: { from: number; to: number }) {
    this.key = key;
    this.span = span;
  }

  private get version(): number {
    return Math.max(0, ...[...this.prices.values()].map(({ version }) => version));
  }

  /** One request with a price for each seed, some of which take the place of another. */
  async put(instance: Instance, seeds: number[]): Promise<void> {
    const change = seeds.map((seed) => {
      const random = randomFrom(seed);
      const corrected = random() < 0.4 ? this.pick(random) : undefined;
      const price = randomPrice(random, () => this.anywhere(random), corrected?.[1].price);
      return { price, supersedes: corrected?.[0] };
    });
    const body = change.map(({ price, supersedes }) => priceBody(price, supersedes));
    const answer = await instance.call('POST', '/v1/prices', this.key, body);
    if (this.isMade(answer, change)) this.remember(change, answer!.body.priceVersion, answer!.body.data);
  }

  /** Has one without an end end. */
  async end(instance: Instance, seed: number): Promise<void> {
    const random = randomFrom(seed);
    const [id, listed] = this.pick(random, ({ toMicros }) => toMicros === null) ?? [];
    if (id === undefined || !listed) return;
    const toMicros = Math.max(
      (listed.price.fromMicros ?? Number.NEGATIVE_INFINITY) + 1,
      this.anywhere(random),
    );
    const change = [{ price: { ...listed.price, toMicros }, supersedes: id }];
    const body = { effectiveTo: formatTimestamp(toMicros) };
    const answer = await instance.call('POST', `/v1/prices/${id}/end`, this.key, body);
    if (this.isMade(answer, change)) this.remember(change, answer!.body.version, [answer!.body]);
  }

  /**
   * While others write, fold, fill, close and change prices: no call is missing that was acknowledged before, and none is counted
   * that nobody posted, or twice.
   *
   * @param known what was acknowledged; @param posted everything that was posted by the time it is called, also what is on its way.
   */
  async readMeanwhile(
    instance: Instance,
    seed: number,
    known: readonly BruteEvent[],
    posted: () => BruteEvent[],
  ): Promise<void> {
    const asked = this.randomQuery(randomFrom(seed), known);
    const rows = await readPages<BrutePoint>(instance, `/v1/costs?${asked.parameters}`, this.key);
    if (rows === null) return;
    const callsIn = (points: readonly BrutePoint[]) =>
      new Map(
        points.map(({ bucket, customerId, model, provider, endpoint, eventType, calls }) => [
          JSON.stringify([bucket, customerId, model, provider, endpoint, eventType]),
          calls,
        ]),
      );
    const found = callsIn(rows);
    const most = callsIn(bruteCosts(posted(), [], asked.query));
    const where = (key: string) => `${key} ${asked.parameters}`;
    for (const [key, calls] of callsIn(bruteCosts(known, [], asked.query))) {
      expect(found.get(key) ?? 0, where(key)).toBeGreaterThanOrEqual(calls);
    }
    for (const [key, calls] of found) expect(calls, where(key)).toBeLessThanOrEqual(most.get(key) ?? 0);
  }

  /** What was not answered is done wholly or not at all, and the list is that of what was done. */
  async settle(ask: Ask): Promise<void> {
    const served = await allPages(ask, '/v1/prices?superseded=true&limit=1000', this.key);
    const unknown = new Map<number, typeof served>();
    for (const price of served.filter(({ id }) => !this.prices.has(id))) {
      unknown.set(price.version, [...(unknown.get(price.version) ?? []), price]);
    }
    for (const [version, made] of [...unknown].sort(([a], [b]) => a - b)) {
      const at = this.unsure.findIndex(
        (change) => change.map(sent).sort().join() === made.map(listedAs).sort().join(),
      );
      expect(at, `nobody has made ${JSON.stringify(made)}`).toBeGreaterThanOrEqual(0);
      const [change] = this.unsure.splice(at, 1);
      this.remember(
        change!,
        version,
        change!.map((one) => made.find((price) => listedAs(price) === sent(one))),
      );
    }
    this.unsure = [];
    const expected = [...this.prices].map(([id, { version, supersededIn }]) => ({
      id,
      version,
      supersededIn,
    }));
    const found = served.map(({ id, version, supersededIn }) => ({ id, version, supersededIn }));
    const byId = (a: { id: string }, b: { id: string }) => (a.id < b.id ? -1 : 1);
    expect(found.sort(byId)).toEqual(expected.sort(byId));
  }

  /** Some queries at rest: by the prices of now, by those of an earlier version, and beside all usage. */
  async compare(
    ask: Ask,
    random: () => number,
    queries: number,
    events: readonly BruteEvent[],
  ): Promise<void> {
    const latest = this.version;
    for (let i = 0; i < queries; i++) {
      const asked = this.randomQuery(random, events);
      await expectCosts(ask, this.key, events, this.holding(), asked);
      if (random() < 0.5) await expectUsageCosts(ask, this.key, events, this.holding(), asked);
      if (random() < 0.7) continue;
      const version = Math.floor(random() * (latest + 1));
      await expectCosts(ask, this.key, events, this.holding(version), asked, version);
    }
    const { body } = await ask(`/v1/costs?${this.randomQuery(random, events).parameters}`, this.key);
    expect(body, JSON.stringify(body).slice(0, 500)).toMatchObject({ priceVersion: latest });
  }

  /** Once all is folded and filled: each level alone, with the parts of what is open, has every call. */
  async expectLevels(sql: pg.Pool, tenantId: string, events: readonly BruteEvent[]): Promise<void> {
    const { rows } = await sql.query(
      `select ${['30s', '1h', '1d']
        .map(
          (level) =>
            `(select coalesce(sum(events), 0) from meter_${level} l where l.series_id = s.id and customer_id = '')::int
               + (select coalesce(sum(events), 0) from meter_part p where p.series_id = s.id)::int as "${level}"`,
        )
        .join(', ')}
       from meter_series s where tenant_id = $1 and event_type = '' and retired_at is null`,
      [tenantId],
    );
    const { from, to } = this.span;
    const range = { fromMicros: from * 1_000, toMicros: to * 1_000 };
    const [all] = bruteCosts(events, [], { ...range, bucketOf: () => [from, to], groupBy: [] });
    const calls = all?.calls ?? 0;
    expect(rows).toEqual(this.version === 0 ? [] : [{ '30s': calls, '1h': calls, '1d': calls }]);
  }

  /** Whether a change has been made; what nobody answered is found out later. */
  private isMade(answer: Answer | null, change: Change): boolean {
    if (answer?.status === 201) return true;
    if (answer?.status === 409) {
      expect(REFUSED, JSON.stringify(answer.body)).toContain(answer.body.code);
      return false;
    }
    if (answer) expect(answer.status, JSON.stringify(answer.body)).toBe(503);
    this.unsure.push(change);
    return false;
  }

  /** @param made the prices as they are served, in the order of the change. */
  private remember(change: Change, version: number, made: Served[]): void {
    for (const [i, { price, supersedes }] of change.entries()) {
      this.prices.set(made[i].id, { price, version, supersededIn: null });
      if (supersedes !== undefined) this.prices.get(supersedes)!.supersededIn = version;
    }
  }

  private holding(at = this.version): BrutePrice[] {
    return [...this.prices.values()]
      .filter(({ version, supersededIn }) => version <= at && (supersededIn === null || supersededIn > at))
      .map(({ price }) => price);
  }

  /** One that holds, as far as is known. */
  private pick(
    random: () => number,
    fits: (price: BrutePrice) => boolean = () => true,
  ): [id: string, listed: Listed] | undefined {
    const all = [...this.prices].filter(
      ([, { price, supersededIn }]) => supersededIn === null && fits(price),
    );
    return all[Math.floor(random() * all.length)];
  }

  private anywhere(random: () => number): number {
    const { from, to } = this.span;
    return Math.floor((from + random() * (to - from)) * 1_000);
  }

  /** Near what there is, half of the time. */
  private randomQuery(random: () => number, events: readonly BruteEvent[]): CostQueryCase {
    const times = events.map(({ micros }) => micros / 1_000);
    const isNear = random() < 0.5 && times.length > 0;
    const span = isNear ? { from: Math.min(...times) - MINUTE, to: Math.max(...times) + MINUTE } : this.span;
    return randomCostQuery(random, span, [...new Set(events.map(({ customerId }) => customerId))]);
  }
}

/** A price as it was sent, and as it is listed: the same text for the same. */
function sent({ price, supersedes }: Change[number]): string {
  const { model, match, provider, currency, fromMicros, toMicros, unitPrices } = price;
  const [from, to] = [fromMicros, toMicros].map((micros) =>
    micros === null ? null : formatTimestamp(micros),
  );
  return textOf([model, match, provider, currency, from, to, supersedes ?? null], unitPrices);
}

function listedAs(price: Served): string {
  const { model, match, provider, currency, effectiveFrom, effectiveTo, supersedes, unitPrices } = price;
  return textOf([model, match, provider, currency, effectiveFrom, effectiveTo, supersedes], unitPrices);
}

function textOf(terms: unknown[], unitPrices: Record<string, string>): string {
  return JSON.stringify([...terms, Object.entries(unitPrices).sort(([a], [b]) => (a < b ? -1 : 1))]);
}
