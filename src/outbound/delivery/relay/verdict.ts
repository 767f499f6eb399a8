import type { DeliveryConfig } from '../../../ground/config/delivery.ts';
import type { AttemptResult, Outgoing } from './outgoing.ts';

/** What an attempt's result means for its delivery. */
export interface Verdict {
  outcome: 'delivered' | 'failed' | 'dead';
  /** Until the next attempt, in ms; null unless it failed. */
  retryInMs: number | null;
}

const LONGEST_RETRY_AFTER_MS = 86_400_000;

/**
 * Delivered, to be tried again, or dead.
 *
 * A webhook is tried on the schedule of Standard Webhooks, ±10 %, later where the receiver asks for it (Retry-After, up
 * to a day). A stream is tried every few seconds for as long as a delivery may be pending, since it is our own Redis.
 *
 * @param random 0 ≤ n < 1.
 */
export function verdictOn(
  sent: Pick<Outgoing, 'attempts' | 'destination'>,
  result: AttemptResult,
  config: Pick<DeliveryConfig, 'scheduleMs' | 'streamRetryMs'>,
  random: () => number = Math.random,
): Verdict {
  if (result.ok) return { outcome: 'delivered', retryInMs: null };
  if (result.final) return { outcome: 'dead', retryInMs: null };
  const made = sent.attempts + 1;
  const delayMs = sent.destination.stream === null ? config.scheduleMs[made] : config.streamRetryMs;
  if (delayMs === undefined) return { outcome: 'dead', retryInMs: null };
  const askedMs = Math.min(result.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS);
  return { outcome: 'failed', retryInMs: Math.max(delayMs * (0.9 + random() * 0.2), askedMs) };
}
