import type { UsageEvent } from '../../../model/usageEvent.ts';
import {
  MAX_PROVIDER,
  TOKEN_KINDS,
  USAGE_DIMENSIONS,
  type UsageDimension,
} from '../definition/usageSeries.ts';
import type { Outcome } from './outcome.ts';

/*
 * What an event says of AI usage. sqlOfUsage.ts says the same to PostgreSQL, and
 * test/integration/sums/meterRules.test.ts holds the two equal.
 */

/** Says that an AI call came without counts. */
const WITHOUT_COUNTS: ReadonlySet<unknown> = new Set(['unknown', 'unrecognised']);

const NO_USAGE: Outcome = { matches: false, because: 'filtered' };

const DIMENSIONS: Record<UsageDimension, (event: UsageEvent) => string | null> = {
  eventType: ({ eventType }) => eventType,
  apiEndpoint: ({ endpoint }) => endpoint,
  model: ({ model }) => model,
  provider: providerOf,
};

/** Which events are AI usage, and of how many tokens of each kind. */
export const USAGE_RULE = {
  /** @param event as it is stored. */
  evaluate(event: UsageEvent): Outcome {
    const counts = usageOf(event);
    if (counts === undefined) return NO_USAGE;
    const dims = USAGE_DIMENSIONS.map((name) => DIMENSIONS[name](event));
    const ignored = counts === null ? 'missing' : null;
    return { matches: true, dims, value: null, member: null, ignored, counts };
  },
};

/** Who served the call, as the event says. */
export function providerOf({ document }: UsageEvent): string | null {
  const provider = memberOf(document, 'provider');
  return typeof provider === 'string' && provider !== '' && isShort(provider) ? provider : null;
}

/** In characters, of which each may be two UTF-16 code units. */
function isShort(text: string): boolean {
  return text.length <= MAX_PROVIDER || (text.length <= 2 * MAX_PROVIDER && [...text].length <= MAX_PROVIDER);
}

/**
 * Tokens of an event, of each of `TOKEN_KINDS`. Parts beyond the whole that they are of do not count.
 *
 * @returns null where there was an AI call of which no tokens are known; undefined where there was none: the event has neither a
 * model nor tokens, and nobody says that they are unknown.
 */
export function usageOf(event: UsageEvent): number[] | null | undefined {
  const { inputTokens, outputTokens, tokens, model, document } = event;
  if (inputTokens === null && outputTokens === null && tokens === null) {
    return model !== null || WITHOUT_COUNTS.has(memberOf(document, 'usageStatus')) ? null : undefined;
  }
  let input = inputTokens ?? 0;
  let output = outputTokens ?? 0;
  const unsplit = inputTokens === null || outputTokens === null ? (tokens ?? 0) - input - output : 0;
  const part = (name: string, whole: number) => Math.min(whole, countOf(memberOf(document, name)));
  const counts = TOKEN_KINDS.map(() => 0);
  if (document !== null) {
    input -= counts[CACHED_INPUT] = part('cachedInputTokens', input);
    input -= counts[CACHE_WRITE] = part('cacheWriteTokens', input);
    input -= counts[AUDIO_INPUT] = part('audioInputTokens', input);
    output -= counts[REASONING] = part('reasoningTokens', output);
    output -= counts[AUDIO_OUTPUT] = part('audioOutputTokens', output);
  }
  counts[INPUT] = input;
  counts[OUTPUT] = output;
  counts[UNSPLIT] = Math.max(0, unsplit);
  return counts;
}

const [INPUT, OUTPUT, CACHED_INPUT, REASONING, CACHE_WRITE, AUDIO_INPUT, AUDIO_OUTPUT, UNSPLIT] = [
  0, 1, 2, 3, 4, 5, 6, 7,
] as const;

/** A whole number of at least 0 that a double holds; anything else counts as none. */
function countOf(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}

function memberOf(document: UsageEvent['document'], name: string): unknown {
  return document === null ? undefined : document[name];
}
