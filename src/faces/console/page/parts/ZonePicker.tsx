import { usePlace } from '../address/place.ts';
import { useZone } from '../address/range.ts';
import { localZone } from '../format/times.ts';

const others = Intl.supportedValuesOf('timeZone').map((zone) => <option value={zone}>{zone}</option>);

/** The zone in which times are shown and days begin: `zone=` in the address. */
export function ZonePicker() {
  const place = usePlace();
  const zone = useZone();
  return (
    <label class="choice">
      <span>Zone</span>
      <select
        value={zone}
        onChange={({ currentTarget: { value } }) => place.set({ zone: value === localZone() ? null : value })}
      >
        {[...new Set([zone, localZone(), 'UTC'])].map((near) => (
          <option value={near}>{near}</option>
        ))}
        <optgroup label="All">{others}</optgroup>
      </select>
    </label>
  );
}
