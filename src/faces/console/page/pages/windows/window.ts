import { negated } from '../../format/numbers.ts';
import { sumOf } from '../../format/sumOf.ts';
import type { Note } from '../../parts/note.ts';

export const WINDOW_MS = 30_000;

export interface Sums {
  calls: number;
  tokens: number;
  inputTokens: number;
  outputTokens: number;
  /** Exact decimal. */
  value: string;
}

interface Share {
  calls: number;
  tokens: number;
}

export interface Window {
  windowStart: string;
  windowEnd: string;
  customerId: string;
  state: 'open' | 'closed' | 'revised';
  revision: number;
  aggregations: {
    totalCalls: number;
    totalTokens: number;
    totalInputTokens: number;
    totalOutputTokens: number;
    avgLatencyMs: number | null;
    byEndpoint: Record<string, Share>;
    byModel: Record<string, Share>;
  };
  digest?: (Sums & { algorithm: string; sha256: string; events: number }) | null;
  digestUnavailable?: string;
}

export interface Revision {
  windowStart: string;
  customerId: string;
  revision: number;
  at: string;
  cause: string;
  events: number | null;
  difference: Sums | null;
  correction?: Note;
}

/** Of a window, for the address: which one is looked at. */
export const chosen = ({ windowStart, customerId }: { windowStart: string; customerId: string }) => ({
  window: windowStart,
  of: customerId,
});

/** The sums that are counts. */
export const COUNTED = ['calls', 'tokens', 'inputTokens', 'outputTokens'] as const;

export const SUMS: [name: keyof Sums, label: string][] = [
  ['calls', 'Calls'],
  ['tokens', 'Tokens'],
  ['inputTokens', 'Input'],
  ['outputTokens', 'Output'],
  ['value', 'Value'],
];

/** The sums of a window as they are; the value is known where its digest is. */
export function sumsOf({ aggregations, digest }: Window): Omit<Sums, 'value'> & { value: string | null } {
  return {
    calls: aggregations.totalCalls,
    tokens: aggregations.totalTokens,
    inputTokens: aggregations.totalInputTokens,
    outputTokens: aggregations.totalOutputTokens,
    value: digest?.value ?? null,
  };
}

/**
 * The sums after each revision, from those of now back; null from where a revision does not tell what it added.
 *
 * @param revisions all of them, the first one first.
 * @returns one more than there are revisions: the first are the sums before any.
 */
export function sumsAfter(now: ReturnType<typeof sumsOf>, revisions: Revision[]) {
  const all: (typeof now | null)[] = [now];
  for (const { difference } of revisions.toReversed()) {
    const after = all[0]!;
    all.unshift(
      after &&
        difference && {
          ...after,
          ...Object.fromEntries(COUNTED.map((name) => [name, after[name] - difference[name]])),
          value: after.value === null ? null : sumOf([after.value, negated(difference.value)]),
        },
    );
  }
  return all;
}
