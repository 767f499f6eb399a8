import { expect } from 'vitest';
import { formatTimestamp } from '../../src/model/timestamp.ts';
import { type BruteEvent, type BrutePrice, type BruteQuery, bruteCosts } from './bruteCosts.ts';
import { type Ask, allPages } from './compareSummaries.ts';
import { COST_MODELS } from './randomCosts.ts';

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 86_400_000;
/** Of the shortest buckets, which one query may have; less what is cut at its edges. */
const MOST_BUCKETS = 9_998;
const GROUPINGS = ['customer', 'model', 'provider', 'endpoint', 'eventType'];
const KOLKATA = 'Asia/Kolkata';
/** Length of a bucket in ms, and by how much its clock is ahead of UTC; that of Kolkata is a day. */
const WINDOWS: Record<string, [length: number, ahead: number]> = {
  '30s': [30_000, 0],
  '15m': [15 * MINUTE, 0],
  '1h': [HOUR, 0],
  '1d': [DAY, 0],
  [KOLKATA]: [DAY, 5.5 * HOUR],
};

/** A query as the brute force takes it, and as it is sent. */
export interface CostQueryCase {
  query: BruteQuery;
  parameters: URLSearchParams;
}

/** A query of costs anywhere in [from, to) ms: buckets, groups and filters of every kind, ranges with odd ends. */
export function randomCostQuery(
  random: () => number,
  { from, to }: { from: number; to: number },
  customers: readonly string[],
): CostQueryCase {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const window = pick(Object.keys(WINDOWS));
  const [length, ahead] = WINDOWS[window]!;
  const aligned = random() < 0.3 ? HOUR * 1_000 : 1;
  const edge = () => Math.floor(((from + random() * (to - from)) * 1_000) / aligned) * aligned;
  const [a, b] = [edge(), random() < 0.3 ? to * 1_000 : edge()];
  const fromMicros = Math.min(a, b);
  const toMicros = Math.min(Math.max(a, b, fromMicros + 1), fromMicros + MOST_BUCKETS * length * 1_000);
  const groupBy = GROUPINGS.filter(() => random() < 0.35).sort(() => random() - 0.5);
  const customerId = random() < 0.3 ? pick([...customers, 'nobody']) : undefined;
  const model = random() < 0.2 ? pick(COST_MODELS) : undefined;
  const parameters = new URLSearchParams({
    from: formatTimestamp(fromMicros),
    to: formatTimestamp(toMicros),
    granularity: window === KOLKATA ? '1d' : window,
    timezone: window === KOLKATA ? window : 'UTC',
    limit: pick(['1000', '1000', '7']),
    ...(groupBy.length > 0 && { groupBy: groupBy.join(',') }),
    ...(customerId !== undefined && { customerId }),
    ...(model !== undefined && { model }),
  });
  const query: BruteQuery = {
    fromMicros,
    toMicros,
    groupBy,
    bucketOf(ms) {
      const start = Math.floor((ms + ahead) / length) * length - ahead;
      return [start, start + length];
    },
    keeps: (event) =>
      (customerId === undefined || event.customerId === customerId) &&
      (model === undefined || event.metadata.model === model),
  };
  return { query, parameters };
}

/** Holds `GET /v1/costs` against the brute force. @param version of the list of prices; left out: the one of now. */
export async function expectCosts(
  ask: Ask,
  key: string,
  events: readonly BruteEvent[],
  prices: readonly BrutePrice[],
  { query, parameters }: CostQueryCase,
  version?: number,
): Promise<void> {
  const ofVersion = version === undefined ? '' : `&priceVersion=${version}`;
  const path = `/v1/costs?${parameters}${ofVersion}`;
  const rows = await allPages(ask, path, key);
  expect({ path, rows: rows.map(plain) }).toEqual({ path, rows: bruteCosts(events, prices, query) });
}

/**
 * Holds the costs of `GET /v1/usage?cost=true` against the brute force: of whole milliseconds, and not by provider, which usage
 * does not have.
 */
export async function expectUsageCosts(
  ask: Ask,
  key: string,
  events: readonly BruteEvent[],
  prices: readonly BrutePrice[],
  asked: CostQueryCase,
): Promise<void> {
  const whole = (micros: number) => Math.ceil(micros / 1_000) * 1_000;
  const range = { fromMicros: whole(asked.query.fromMicros), toMicros: whole(asked.query.toMicros) };
  if (range.fromMicros >= range.toMicros) return;
  const groupBy = asked.query.groupBy.filter((group) => group !== 'provider');
  const parameters = new URLSearchParams(asked.parameters);
  parameters.set('from', formatTimestamp(range.fromMicros));
  parameters.set('to', formatTimestamp(range.toMicros));
  if (groupBy.length > 0) parameters.set('groupBy', groupBy.join(','));
  else parameters.delete('groupBy');
  const path = `/v1/usage?cost=true&${parameters}`;
  const points = await allPages(ask, path, key);
  const rows = points
    .filter(({ cost }) => cost.calls > 0)
    .map(({ bucket, bucketEnd, customerId, model, endpoint, eventType, cost }) =>
      plain({ bucket, bucketEnd, customerId, model, endpoint, eventType, ...cost }),
    );
  const expected = bruteCosts(events, prices, { ...asked.query, ...range, groupBy });
  expect({ path, rows }).toEqual({ path, rows: expected });
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
