import { lengthOf, stamp } from '../../format/times.ts';
import { Badge } from '../../parts/Badge.tsx';
import { Facts } from '../../parts/Facts.tsx';
import { When } from '../../parts/When.tsx';
import { conditionText, described, type Meter, reasonsText } from './meter.ts';

/** What a meter counts, what it has ignored, and how far its past is summed up. */
export function About({ meter, zone }: { meter: Meter; zone: string }) {
  const { slug, description, filter, dimensions, eventFrom, ignored = {}, createdAt } = meter;
  const named = Object.entries(dimensions);
  return (
    <Facts
      facts={{
        Slug: <code>{slug}</code>,
        Counts: described(meter),
        Description: description,
        'Only events with':
          filter.length > 0 && filter.map((one) => <code class="line">{conditionText(one)}</code>),
        'Only events from': eventFrom && <When at={eventFrom} />,
        Dimensions:
          named.length > 0 &&
          named.map(([name, path]) => (
            <span class="line">
              {name} <code class="muted">{path}</code>
            </span>
          )),
        'Ignored, of all that is summed up': reasonsText(ignored) || 'nothing',
        'Its past': <Fill meter={meter} zone={zone} />,
        Made: <When at={createdAt} />,
      }}
    />
  );
}

/** How far its past is summed up. */
function Fill({ meter: { fill, createdAt }, zone }: { meter: Meter; zone: string }) {
  const { state, from, goal } = fill;
  if (state === 'complete') {
    return (
      <>
        <Badge>summed up</Badge> {from ? `from ${stamp(from, zone)} on` : 'all of it'}
      </>
    );
  }
  const made = Date.parse(createdAt);
  const length = goal === null ? null : made - Date.parse(goal);
  const done = from === null ? 0 : Math.max(0, made - Date.parse(from));
  return (
    <>
      <Badge>filling</Badge>{' '}
      {length !== null && length > 0 && (
        <progress max={length} value={Math.min(done, length)} aria-label="Summed up of its past" />
      )}{' '}
      {from ? `back to ${stamp(from, zone)}, ${lengthOf(done)}` : 'nothing yet'}
      {goal && ` of ${lengthOf(length!)}`}. Its numbers are as exact meanwhile, and slower.
    </>
  );
}
