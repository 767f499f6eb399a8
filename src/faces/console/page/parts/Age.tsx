import { useZone } from '../address/range.ts';
import { clockOf, lengthOf } from '../format/times.ts';
import { useNow } from './useNow.ts';

/** How old what is shown is: `as of 12:03:04, 3 s ago`. */
export function Age({ at }: { at: Date | null }) {
  const now = useNow();
  const zone = useZone();
  if (at === null) return null;
  return (
    <span class="age">
      as of <time dateTime={at.toISOString()}>{clockOf(at, zone)}</time>, {lengthOf(now - at.getTime())} ago
    </span>
  );
}
