/*
 * What AI usage costs, computed event by event from what was sent: nothing of src is in it, so that a test that holds an answer against
 * it holds two computations equal.
 */

/** An event as it was sent, stored and counted. Members of metadata that are not of the form that they are to have are as if left out. */
export interface BruteEvent {
  /** When it happened, in µs since the epoch. */
  micros: number;
  customerId: string;
  eventType: string;
  apiEndpoint?: string | null;
  /** `model`, `provider`, `usageStatus`, `inputTokens`, `outputTokens`, `tokens`, and parts such as `cachedInputTokens`. */
  metadata: Record<string, unknown>;
}

/** A price that holds: as it was sent, with its bounds in µs. */
export interface BrutePrice {
  model: string;
  match: 'exact' | 'prefix';
  provider: string | null;
  currency: string;
  /** Null: without such a bound. */
  fromMicros: number | null;
  toMicros: number | null;
  /** Plain decimals without exponent: of `input`, `output`, …, `call`. */
  unitPrices: Record<string, string>;
}

export interface BruteQuery {
  /** [from, to) in µs since the epoch. */
  fromMicros: number;
  toMicros: number;
  /** The bucket that a moment (ms) falls into, [start, end) in ms. */
  bucketOf(ms: number): [start: number, end: number];
  /** Of `customer`, `model`, `provider`, `endpoint`, `eventType`. */
  groupBy: string[];
  /** Which events are asked for besides. */
  keeps?(event: BruteEvent): boolean;
}

/** As `GET /v1/costs` answers it, but for tokens: digits. */
export interface BrutePoint {
  bucket: string;
  bucketEnd: string;
  [group: string]: unknown;
  calls: number;
  unknownCalls: number;
  tokens: Record<string, string>;
  costs: { currency: string; amount: string; calls: number }[];
  unpriced: { calls: number; unknownCalls: number; tokens: Record<string, string> };
}

const SCALE = 24;
const FALLBACK: Record<string, string> = {
  cachedInput: 'input',
  cacheWrite: 'input',
  audioInput: 'input',
  reasoning: 'output',
  audioOutput: 'output',
};
const FIELD: Record<string, string> = {
  customer: 'customerId',
  model: 'model',
  provider: 'provider',
  endpoint: 'endpoint',
  eventType: 'eventType',
};

/**
 * The rows of `GET /v1/costs`, in its order.
 *
 * @param events all that were stored, each once, in any order.
 * @param prices those that hold: neither superseded, nor of another tenant.
 */
export function bruteCosts(
  events: readonly BruteEvent[],
  prices: readonly BrutePrice[],
  query: BruteQuery,
): BrutePoint[] {
  const rows = new Map<
    string,
    { key: string[]; start: number; point: BrutePoint; units: Map<string, bigint> }
  >();
  const currencies = [...new Set(prices.map(({ currency }) => currency))];
  for (const event of events) {
    if (event.micros < query.fromMicros || event.micros >= query.toMicros) continue;
    if (query.keeps && !query.keeps(event)) continue;
    const tokens = tokensOf(event);
    if (tokens === undefined) continue;
    const [start, end] = query.bucketOf(Math.floor(event.micros / 1_000));
    const values = query.groupBy.map((group) => groupOf(group, event));
    const key = JSON.stringify([start, values]);
    let row = rows.get(key);
    if (!row) {
      const point: BrutePoint = {
        bucket: new Date(start).toISOString(),
        bucketEnd: new Date(end).toISOString(),
        ...Object.fromEntries(query.groupBy.map((group, i) => [FIELD[group]!, values[i]])),
        calls: 0,
        unknownCalls: 0,
        tokens: {},
        costs: [],
        unpriced: { calls: 0, unknownCalls: 0, tokens: {} },
      };
      row = { key: values.map((value) => value ?? ''), start, point, units: new Map() };
      rows.set(key, row);
    }
    const { point, units } = row;
    point.calls++;
    if (tokens === null) point.unknownCalls++;
    for (const [kind, count] of Object.entries(tokens ?? {})) add(point.tokens, kind, count);
    const found = currencies
      .map((currency) => priceOf(event, prices, currency))
      .filter((price) => price !== undefined);
    let isIn = false;
    for (const price of found) {
      if (tokens === null && !isOfCallsAlone(price)) continue;
      isIn = true;
      let cost = unitsOf(price.unitPrices.call ?? '0');
      for (const [kind, count] of Object.entries(tokens ?? {})) cost += (rateOf(price, kind) ?? 0n) * count;
      units.set(price.currency, (units.get(price.currency) ?? 0n) + cost);
      let sum = point.costs.find(({ currency }) => currency === price.currency);
      if (!sum) {
        sum = { currency: price.currency, amount: '', calls: 0 };
        point.costs.push(sum);
      }
      sum.calls++;
    }
    if (!isIn) {
      point.unpriced.calls++;
      if (tokens === null) point.unpriced.unknownCalls++;
    }
    for (const [kind, count] of Object.entries(tokens ?? {})) {
      if (found.every((price) => rateOf(price, kind) === null)) add(point.unpriced.tokens, kind, count);
    }
  }
  return [...rows.values()]
    .sort((a, b) => a.start - b.start || compareKeys(a.key, b.key))
    .map(({ point, units }) => ({
      ...point,
      costs: point.costs
        .map((sum) => ({ ...sum, amount: decimal(units.get(sum.currency)!) }))
        .sort((a, b) => (a.currency < b.currency ? -1 : 1)),
    }));
}

/** Those that there are; null where none are known; undefined where it is no AI usage. */
function tokensOf({ metadata }: BruteEvent): Record<string, bigint> | null | undefined {
  const [input, output] = [countOf(metadata.inputTokens), countOf(metadata.outputTokens)];
  const all =
    countOf(metadata.tokens) ?? (input === null && output === null ? null : (input ?? 0n) + (output ?? 0n));
  if (all === null) {
    const isAi =
      typeof metadata.model === 'string' || /^un(known|recognised)$/.test(String(metadata.usageStatus));
    return isAi ? null : undefined;
  }
  const tokens: Record<string, bigint> = {};
  const take = (whole: bigint, parts: Record<string, unknown>, rest: string) => {
    let left = whole;
    for (const [kind, sent] of Object.entries(parts)) {
      const part = countOf(sent) ?? 0n;
      tokens[kind] = part < left ? part : left;
      left -= tokens[kind];
    }
    tokens[rest] = left;
  };
  const { cachedInputTokens, cacheWriteTokens, audioInputTokens, reasoningTokens, audioOutputTokens } =
    metadata;
  const inputs = {
    cachedInput: cachedInputTokens,
    cacheWrite: cacheWriteTokens,
    audioInput: audioInputTokens,
  };
  take(input ?? 0n, inputs, 'input');
  take(output ?? 0n, { reasoning: reasoningTokens, audioOutput: audioOutputTokens }, 'output');
  const unsplit = input === null || output === null ? all - (input ?? 0n) - (output ?? 0n) : 0n;
  if (unsplit > 0n) tokens.unsplit = unsplit;
  return Object.fromEntries(Object.entries(tokens).filter(([, count]) => count > 0n));
}

function countOf(value: unknown): bigint | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : null;
}

function priceOf(event: BruteEvent, prices: readonly BrutePrice[], currency: string): BrutePrice | undefined {
  const { model, provider } = event.metadata;
  const fitting = prices.filter(
    (price) =>
      price.currency === currency &&
      typeof model === 'string' &&
      (price.match === 'exact' ? model === price.model : model.startsWith(price.model)) &&
      (price.provider === null || price.provider === provider) &&
      (price.fromMicros === null || event.micros >= price.fromMicros) &&
      (price.toMicros === null || event.micros < price.toMicros),
  );
  const rank = (price: BrutePrice) =>
    (price.match === 'exact' ? 1_000_000 : price.model.length * 2) + (price.provider === null ? 0 : 1);
  return fitting.sort((a, b) => rank(b) - rank(a))[0];
}

function isOfCallsAlone({ unitPrices }: BrutePrice): boolean {
  return Object.entries(unitPrices).every(([unit, price]) => unit === 'call' || unitsOf(price) === 0n);
}

/** Null: the price says nothing of them. */
function rateOf({ unitPrices }: BrutePrice, kind: string): bigint | null {
  if (Object.keys(unitPrices).join() === 'call') return 0n;
  const price = unitPrices[kind] ?? unitPrices[FALLBACK[kind] ?? kind];
  return price === undefined ? null : unitsOf(price);
}

function unitsOf(price: string): bigint {
  const [whole, fraction = ''] = price.split('.');
  return BigInt(whole! + fraction.padEnd(SCALE, '0'));
}

function decimal(units: bigint): string {
  const text = units.toString().padStart(SCALE + 1, '0');
  return `${text.slice(0, -SCALE)}.${text.slice(-SCALE)}`.replace(/\.?0+$/, '');
}

function groupOf(group: string, event: BruteEvent): string | null {
  if (group === 'customer') return event.customerId;
  if (group === 'eventType') return event.eventType;
  if (group === 'endpoint') return event.apiEndpoint ?? null;
  const value = event.metadata[group];
  return typeof value === 'string' && value !== '' ? value : null;
}

function add(sums: Record<string, string>, kind: string, count: bigint): void {
  sums[kind] = (BigInt(sums[kind] ?? '0') + count).toString();
}

/** By their bytes in UTF-8. */
function compareKeys(a: readonly string[], b: readonly string[]): number {
  for (const [i, text] of a.entries()) {
    const order = Buffer.compare(Buffer.from(text), Buffer.from(b[i]!));
    if (order !== 0) return order;
  }
  return 0;
}
