import { useZone } from '../address/range.ts';
import { NOTHING } from '../format/numbers.ts';
import { stamp } from '../format/times.ts';

/** A moment in the zone that was chosen; nothing where there is none. */
export function When({ at }: { at: string | null | undefined }) {
  const zone = useZone();
  if (at == null) return <>{NOTHING}</>;
  return <time dateTime={at}>{stamp(at, zone)}</time>;
}
