import { formatTimestamp } from '../../src/model/timestamp.ts';
import type { BrutePrice } from './bruteCosts.ts';

/** The last one has no price of its own. */
export const COST_MODELS = [
  'gpt-4o',
  'gpt-4o-mini',
  'gpt-4o-2024-11-20',
  'claude-sonnet',
  'größe',
  'unheard-of',
];
const PREFIXES = ['gpt-', 'gpt-4o', 'gr', 'c', 'gpt-4o-2'];
const PROVIDERS = ['openai', 'azure.ai.openai'];
const UNITS = ['0', '0.0000025', '0.00001', '0.00000015', '0.000000000000000000000001', '3', '0.1'];
const KINDS = [
  'input',
  'output',
  'cachedInput',
  'cacheWrite',
  'reasoning',
  'audioInput',
  'audioOutput',
  'call',
];
/** What prices begin and end with, in µs. */
const ALIGNED = [1, 1, 30_000_000, 3_600_000_000, 86_400_000_000];

const choose =
  (random: () => number) =>
  <T>(values: readonly T[]): T =>
    values[Math.floor(random() * values.length)]!;

/** What a call of a model says of itself in its metadata, or leaves out: it may be no AI usage at all. */
export function randomUsage(random: () => number): Record<string, unknown> {
  const pick = choose(random);
  const metadata: Record<string, unknown> = {};
  const put = (probability: number, name: string, value: () => unknown) => {
    if (random() < probability) metadata[name] = value();
  };
  const upTo = (most: number) => () => Math.floor(random() * most);
  put(0.9, 'model', () => pick(COST_MODELS));
  put(0.5, 'provider', () => pick(PROVIDERS));
  put(0.8, 'inputTokens', upTo(2_000));
  put(0.8, 'outputTokens', upTo(500));
  put(0.1, 'tokens', upTo(3_000));
  put(0.4, 'cachedInputTokens', upTo(1_500));
  put(0.2, 'cacheWriteTokens', upTo(800));
  put(0.2, 'audioInputTokens', upTo(300));
  put(0.3, 'reasoningTokens', upTo(300));
  put(0.2, 'audioOutputTokens', upTo(300));
  put(0.1, 'usageStatus', () => pick(['unknown', 'unrecognised', 'counted']));
  return metadata;
}

/**
 * Any price of such calls.
 *
 * @param anywhere a moment at which it may begin or end, in µs since the epoch.
 * @param corrected what it is to take the place of: most are of the same then.
 */
export function randomPrice(
  random: () => number,
  anywhere: () => number,
  corrected?: BrutePrice,
): BrutePrice {
  const pick = choose(random);
  const [first, last] = [anywhere(), anywhere()].sort((a, b) => a - b) as [number, number];
  const length = pick(ALIGNED);
  const fromMicros = random() < 0.3 ? null : Math.floor(first / length) * length;
  const toMicros = random() < 0.4 ? null : Math.max(last, first + 1);
  const unitPrices = randomUnits(random);
  if (corrected && random() < 0.7) return { ...corrected, fromMicros, toMicros, unitPrices };
  const match = random() < 0.5 ? 'prefix' : 'exact';
  return {
    model: pick(match === 'exact' ? COST_MODELS.slice(0, -1) : PREFIXES),
    match,
    provider: random() < 0.5 ? pick(PROVIDERS) : null,
    currency: pick(['USD', 'USD', 'EUR']),
    fromMicros,
    toMicros,
    unitPrices,
  };
}

/** At least one. */
export function randomUnits(random: () => number): Record<string, string> {
  const pick = choose(random);
  const units = Object.fromEntries(
    KINDS.filter((kind) => random() < (kind === 'input' || kind === 'output' ? 0.8 : 0.25)).map((kind) => [
      kind,
      pick(UNITS),
    ]),
  );
  return Object.keys(units).length === 0 ? { call: pick(UNITS) } : units;
}

/** A price as `POST /v1/prices` takes it. @param supersedes the id of the one that it is to take the place of. */
export function priceBody({ fromMicros, toMicros, ...terms }: BrutePrice, supersedes?: string): object {
  return {
    ...terms,
    ...(fromMicros !== null && { effectiveFrom: formatTimestamp(fromMicros) }),
    ...(toMicros !== null && { effectiveTo: formatTimestamp(toMicros) }),
    ...(supersedes && { supersedes }),
  };
}
