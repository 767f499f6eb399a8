import { useRef, useState } from 'preact/hooks';
import { usePlace } from '../address/place.ts';
import type { Range } from '../address/range.ts';
import { fromLocal, minuteOf, toLocal } from '../format/times.ts';
import { Dialog } from './Dialog.tsx';
import { Field } from './Field.tsx';

const SPANS: Record<string, string> = {
  '15m': 'last 15 minutes',
  '1h': 'last hour',
  '6h': 'last 6 hours',
  '24h': 'last 24 hours',
  '7d': 'last 7 days',
  '30d': 'last 30 days',
  '90d': 'last 90 days',
};

/** The range in the address: `range=24h`, or `from=` and `to=`, chosen in the zone's own time. */
export function RangePicker({ range }: { range: Range }) {
  const place = usePlace();
  const [open, setOpen] = useState(false);
  const { from, to, span, zone } = range;
  const fixed = `${minuteOf(from, zone)} – ${minuteOf(to, zone)}`;
  const choose = (value: string) => {
    if (value === 'fixed') setOpen(true);
    else place.set({ range: value, from: null, to: null });
  };
  return (
    <>
      <label class="choice">
        <span>Range</span>
        <select value={span ?? 'now'} onChange={({ currentTarget }) => choose(currentTarget.value)}>
          {span === null && <option value="now">{fixed}</option>}
          {span !== null && SPANS[span] === undefined && <option value={span}>last {span}</option>}
          {Object.entries(SPANS).map(([value, text]) => (
            <option value={value}>{text}</option>
          ))}
          <option value="fixed">from … to …</option>
        </select>
      </label>
      {open && <FixedRange range={range} onClose={() => setOpen(false)} />}
    </>
  );
}

function FixedRange({ range: { from, to, zone }, onClose }: { range: Range; onClose(): void }) {
  const place = usePlace();
  const form = useRef<HTMLFormElement>(null);
  const [wrong, setWrong] = useState(false);
  const submit = (event: Event) => {
    event.preventDefault();
    const given = new FormData(form.current!);
    const [start, end] = ['from', 'to'].map((name) => fromLocal(String(given.get(name)), zone));
    if (!(start! < end!)) return setWrong(true);
    place.set({ range: null, from: start!.toISOString(), to: end!.toISOString() });
    onClose();
  };
  return (
    <Dialog title="Range" onClose={onClose}>
      <form ref={form} onSubmit={submit}>
        <Field label={`From (${zone})`}>
          <input type="datetime-local" name="from" required defaultValue={toLocal(from, zone)} />
        </Field>
        <Field label={`To (${zone})`} error={wrong ? 'must be after the start' : null}>
          <input type="datetime-local" name="to" required defaultValue={toLocal(to, zone)} />
        </Field>
        <div class="row end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="main">
            Show
          </button>
        </div>
      </form>
    </Dialog>
  );
}
