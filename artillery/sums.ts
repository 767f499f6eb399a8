import type { Event } from './anEvent.ts';
import { entryOf } from './entryOf.ts';

const WINDOW_MS = 30_000;

/** What is added up, of events that are posted and of those that are counted. */
export interface Sums {
  calls: number;
  inputTokens: number;
  outputTokens: number;
  clicks: number;
  impressions: number;
  /** The first 32 bits of each id, added up: with one event missing and another there twice, it is another sum. */
  ids: number;
}

export const noSums = (): Sums => ({
  calls: 0,
  inputTokens: 0,
  outputTokens: 0,
  clicks: 0,
  impressions: 0,
  ids: 0,
});

export function add(sums: Sums, more: Partial<Sums>): void {
  for (const name of Object.keys(more) as (keyof Sums)[]) sums[name] += more[name]!;
}

export type CountedEvent = Pick<Event, 'eventId' | 'timestamp' | 'eventType'> & {
  metadata?: { inputTokens?: number; outputTokens?: number };
};

export function sumsOf({ eventId, eventType, metadata }: CountedEvent): Sums {
  return {
    calls: 1,
    inputTokens: metadata?.inputTokens ?? 0,
    outputTokens: metadata?.outputTokens ?? 0,
    clicks: eventType === 'click' ? 1 : 0,
    impressions: eventType === 'impression' ? 1 : 0,
    ids: Number.parseInt(eventId.slice(0, 8), 16),
  };
}

/** Sums by the start (ms) of each window. */
export type ByWindow = Map<number, Sums>;

export function addEvent(windows: ByWindow, event: CountedEvent): void {
  add(entryOf(windows, windowOf(Date.parse(event.timestamp)), noSums), sumsOf(event));
}

/** Start of the 30-second window that holds a moment, both in ms since the epoch. */
export function windowOf(ms: number): number {
  return Math.floor(ms / WINDOW_MS) * WINDOW_MS;
}
