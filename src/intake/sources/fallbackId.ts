import { hash } from 'node:crypto';
import type { SourceEntry } from './source.ts';

const MAX_MS = 2 ** 48;

/**
 * The identity of an input without one: a UUIDv8 (RFC 9562 §5.8) of the time its entry was put into the queue (48 bits) and
 * of a digest of the entry's origin, its body and the input's position in it. So
 * - an entry that is delivered again has the same ids, and is counted once;
 * - equal inputs in two entries, or in one, have different ids, and so have different bodies under the same origin: a
 *   queue that was removed and begun anew may give a name away again;
 * - ids ascend with time, which is the order an index is cheapest to fill in.
 */
export function fallbackIds({ origin, body, addedMs }: SourceEntry): (index: number) => string {
  const ms = addedMs !== null && addedMs >= 0 && addedMs < MAX_MS ? addedMs : 0;
  const time = ms.toString(16).padStart(12, '0');
  let content: string | undefined; // most inputs bring their identity
  return (index) => {
    content ??= hash('sha256', body);
    const digest = hash('sha256', JSON.stringify([origin, content, index]));
    const variant = ((Number.parseInt(digest[3]!, 16) & 3) | 8).toString(16);
    const parts = [
      time.slice(0, 8),
      time.slice(8),
      `8${digest.slice(0, 3)}`,
      variant + digest.slice(4, 7),
      digest.slice(7, 19),
    ];
    return parts.join('-');
  };
}
