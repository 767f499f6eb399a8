import { usePlace } from '../address/place.ts';
import { useZone } from '../address/range.ts';
import { fromLocal, toLocal } from '../format/times.ts';

/** A moment, kept in the address; none where it is left empty. */
export function Moment({ label, name }: { label: string; name: string }) {
  const place = usePlace();
  const zone = useZone();
  const at = new Date(place.get(name) ?? Number.NaN);
  return (
    <label class="choice">
      <span>{label}</span>
      <input
        type="datetime-local"
        value={Number.isNaN(at.getTime()) ? '' : toLocal(at, zone)}
        onChange={({ currentTarget: { value } }) =>
          place.set({ [name]: value === '' ? null : fromLocal(value, zone).toISOString() })
        }
      />
    </label>
  );
}
