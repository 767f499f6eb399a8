import { usePlace } from '../../address/place.ts';
import type { Range } from '../../address/range.ts';
import { useAnswer } from '../../api/useAnswer.ts';
import { whole } from '../../format/numbers.ts';
import { lengthOf, minuteOf, stamp } from '../../format/times.ts';
import { type HeatCell, HeatStrip } from '../../parts/HeatStrip.tsx';
import { Stat, Stats } from '../../parts/Stat.tsx';
import { View } from '../../parts/View.tsx';

/** Lengths of a cell in s, by the longest range (s) of which a strip of them is drawn. */
const STRETCHES: [name: string, seconds: number, most: number][] = [
  ['30s', 30, 3_600],
  ['1m', 60, 7_200],
  ['5m', 300, 43_200],
  ['15m', 900, 172_800],
  ['1h', 3_600, 604_800],
  ['6h', 21_600, Number.POSITIVE_INFINITY],
];

interface Counts {
  data: { start: string; windows: number; revisions: number; causes: Record<string, number> }[];
  closedUntil: string | null;
}

/** How far windows are closed, and how often those of the range have changed since. */
export function Strip({ range, customerId }: { range: Range; customerId: string | null }) {
  const place = usePlace();
  const { from, to, zone, span } = range;
  const [granularity, seconds] = STRETCHES.find(([, , most]) => +to - +from <= most * 1_000)!;
  const question = {
    path: '/v1/windows/history/counts',
    query: { ...range.params, granularity, customerId, limit: 1_000 },
  };
  const answer = useAnswer<Counts>(question, { everyMs: span === null ? undefined : 10_000 });
  const draw = ({ data, closedUntil }: Counts) => {
    const step = seconds * 1_000;
    const until = closedUntil === null ? 0 : Date.parse(closedUntil);
    const counts = new Map(data.map((count) => [Date.parse(count.start), count]));
    const starts: number[] = [];
    for (let at = Math.floor(+from / step) * step; at < +to; at += step) starts.push(at);
    const cells = starts.map((at): HeatCell => {
      const count = counts.get(at);
      const causes = Object.entries(count?.causes ?? {}).map(([cause, n]) => `${n} ${cause}`);
      const open = at + step > until;
      const told = count
        ? `${whole(count.revisions)} revisions of ${whole(count.windows)} windows (${causes.join(', ')})`
        : open
          ? 'not closed yet'
          : 'nothing has changed';
      return { label: `${stamp(at, zone)}, ${granularity}: ${told}`, value: count?.revisions ?? 0, open };
    });
    const sum = (of: (count: Counts['data'][number]) => number) => data.reduce((n, one) => n + of(one), 0);
    const causes = [...new Set(data.flatMap((count) => Object.keys(count.causes)))];
    return (
      <>
        <Stats>
          <Stat
            label="Closed through"
            value={closedUntil === null ? 'nothing yet' : stamp(until, zone).slice(11)}
            sub={closedUntil !== null && `${stamp(until, zone).slice(0, 10)}, ${behind(answer.at, until)}`}
          />
          <Stat label="Windows changed" value={whole(sum(({ windows }) => windows))} />
          <Stat
            label="Revisions"
            value={whole(sum(({ revisions }) => revisions))}
            sub={causes
              .map((cause) => `${whole(sum((count) => count.causes[cause] ?? 0))} ${cause}`)
              .join(', ')}
          />
        </Stats>
        <div>
          <HeatStrip
            label={`Revisions by ${granularity}`}
            cells={cells}
            onPick={(i) => {
              const [start, end] = [starts[i]!, starts[i]! + step].map((at) => new Date(at).toISOString());
              place.set({ range: null, from: start, to: end });
            }}
          />
          <div class="ends">
            <span>{minuteOf(from, zone)}</span>
            <span>{minuteOf(to, zone)}</span>
          </div>
          <small>
            Each {granularity}: the stronger, the more revisions; hollow: not closed yet. Press one to look
            closer.
          </small>
        </div>
      </>
    );
  };
  return (
    <View title="Closed, and changed since" question={question} answer={answer}>
      {draw}
    </View>
  );
}

const behind = (at: Date | null, until: number) => (at === null ? '' : `${lengthOf(+at - until)} before`);
