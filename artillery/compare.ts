import type { Counted, CountedWindow } from './counted.ts';
import { entryOf } from './entryOf.ts';
import type { Expected, Windows } from './ledger.ts';
import { add, noSums } from './sums.ts';

/** One sum that is not what was acknowledged. */
export interface Difference {
  customer: string;
  source: string;
  bucket: string;
  field: string;
  /** Equal, unless there were requests without an answer: then all of it between the two is right. */
  least: number;
  most: number;
  counted: number;
}

/** Where a path of the API does not count what was acknowledged: in its buckets, each of them, and in no other. */
export function differences(customer: string, windows: Windows, counted: Counted): Difference[] {
  const found: Difference[] = [];
  const expected = rolledUp(windows, counted.bucketMs);
  for (const bucket of new Set([...expected.keys(), ...counted.buckets.keys()])) {
    const { acknowledged, open } = expected.get(bucket) ?? NOTHING;
    const sums = counted.buckets.get(bucket);
    for (const field of counted.fields) {
      const value = sums?.[field] ?? 0;
      const least = acknowledged[field];
      const most = least + open[field];
      if (value >= least && value <= most) continue;
      const start = new Date(bucket).toISOString();
      found.push({ customer, source: counted.source, bucket: start, field, least, most, counted: value });
    }
  }
  return found;
}

/**
 * Where the revision of a window contradicts what was sent: a closed window with late events must be revised, once at
 * least, and once per request with new events for it at most. What only repeats known ids revises nothing.
 */
export function revisionFaults(
  customer: string,
  windows: Windows,
  counted: Map<number, CountedWindow>,
): Difference[] {
  const found: Difference[] = [];
  for (const [bucket, { acknowledged, requests, late }] of windows) {
    const window = counted.get(bucket);
    if (!window) continue; // without events it is not listed; with events the sums have told
    const least = late > 0 && acknowledged.calls > 0 ? 1 : 0;
    const consistent = (window.state === 'revised') === window.revision > 0;
    if (window.revision >= least && window.revision <= requests && consistent) continue;
    found.push({
      customer,
      source: `windows (${window.state})`,
      bucket: new Date(bucket).toISOString(),
      field: 'revision',
      least,
      most: requests,
      counted: window.revision,
    });
  }
  return found;
}

type Bounds = Pick<Expected, 'acknowledged' | 'open'>;
const NOTHING: Bounds = { acknowledged: noSums(), open: noSums() };

function rolledUp(windows: Windows, bucketMs: number): Map<number, Bounds> {
  const buckets = new Map<number, Bounds>();
  for (const [window, { acknowledged, open }] of windows) {
    const start = Math.floor(window / bucketMs) * bucketMs;
    const sums = entryOf(buckets, start, () => ({ acknowledged: noSums(), open: noSums() }));
    add(sums.acknowledged, acknowledged);
    add(sums.open, open);
  }
  return buckets;
}

export function describe({ customer, source, bucket, field, least, most, counted }: Difference): string {
  const due = least === most ? `${least}` : `${least} to ${most}`;
  return `${source} of ${customer} at ${bucket}: ${field} ${counted}, acknowledged ${due}`;
}
