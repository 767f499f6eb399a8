import { useEffect, useRef, useState } from 'preact/hooks';
import { usePlace } from '../address/place.ts';
import { short } from '../format/numbers.ts';
import { stamp } from '../format/times.ts';
import { timeTicks, valueTicks } from './scale.ts';
import { Table } from './Table.tsx';

export interface Series {
  label: string;
  /** One for each time; null: nothing is known. */
  values: (number | null)[];
  /** Of another time, to compare with. */
  before?: boolean;
}

interface LineChartProps {
  label: string;
  /** In ms, ascending. */
  times: number[];
  series: Series[];
  zone: string;
  /** Values as they are shown. */
  format?: (value: number | null) => string;
  /** Sums of buckets rather than a quantity that goes on. */
  bars?: boolean;
  height?: number;
  /** Whether a range that is drawn over the chart becomes that of the page. */
  zooms?: boolean;
  /** Whether the page has the values as a table already; else it is below the chart. */
  tabled?: boolean;
}

/** Room for what stands beside the lines, in px. */
const [LEFT, RIGHT, TOP, BOTTOM] = [58, 22, 8, 34];

const colourOf = (one: Series, i: number) => `var(${one.before ? '--muted' : `--c${i % 8}`})`;

/** Quantities over time, with their values at the pointer, and as a table. */
export function LineChart(props: LineChartProps) {
  const { label, times, series, zone, format = short, zooms, tabled } = props;
  const [at, setAt] = useState<number | null>(null);
  const [open, setOpen] = useState(false);
  const [hidden, setHidden] = useState<readonly string[]>([]);
  const toggle = (name: string) =>
    setHidden((all) => (all.includes(name) ? all.filter((other) => other !== name) : [...all, name]));
  const shown = at !== null && at < times.length ? at : times.length - 1;
  return (
    <figure class="chart">
      <Lines {...props} drawn={(one) => !hidden.includes(one.label)} at={at} onAt={setAt} />
      <figcaption>
        <span class="muted">{times[shown] === undefined ? '' : stamp(times[shown], zone)}</span>
        {series.map((one, i) => (
          <button
            type="button"
            class="quiet"
            aria-pressed={!hidden.includes(one.label)}
            onClick={() => toggle(one.label)}
          >
            <i class={one.before ? 'before' : ''} style={{ color: colourOf(one, i) }} /> {one.label}{' '}
            <b>{format(one.values[shown] ?? null)}</b>
          </button>
        ))}
        {zooms && <small class="muted">Draw over the chart to look closer.</small>}
      </figcaption>
      {!tabled && (
        <details onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
          <summary>As a table</summary>
          {/* Of what moves each second it is drawn for those who look at it. */}
          {open && (
            <Table
              label={label}
              rows={times.map((_, i) => i)}
              id={(i) => String(times[i])}
              columns={[
                { head: 'Time', cell: (i) => stamp(times[i]!, zone) },
                ...series.map((one) => ({
                  head: one.label,
                  num: true,
                  cell: (i: number) => format(one.values[i] ?? null),
                })),
              ]}
            />
          )}
        </details>
      )}
    </figure>
  );
}

interface LinesProps extends LineChartProps {
  drawn(one: Series): boolean;
  /** The time at the pointer, by its index. */
  at: number | null;
  onAt(index: number | null): void;
}

function Lines(props: LinesProps) {
  const {
    label,
    times,
    series,
    zone,
    format = short,
    bars = false,
    height = 220,
    zooms,
    tabled,
    drawn,
    at,
    onAt,
  } = props;
  const place = usePlace();
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const [dragged, setDragged] = useState<[number, number] | null>(null);
  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
    watch.observe(box.current!);
    return () => watch.disconnect();
  }, []);

  const [inner, floor] = [Math.max(1, width - LEFT - RIGHT), height - BOTTOM];
  const first = times[0] ?? 0;
  // A bar is as wide as the time to the next one, the last as the one before.
  const length = bars ? (times.at(-1)! - first) / Math.max(1, times.length - 1) : 0;
  const last = (times.at(-1) ?? 0) + length;
  let [least, greatest] = [0, 0];
  for (const one of series) {
    if (!drawn(one)) continue;
    for (const value of one.values) {
      if (value === null) continue;
      if (value < least) least = value;
      if (value > greatest) greatest = value;
    }
  }
  if (greatest === least) greatest = least + 1;
  const x = (ms: number) => LEFT + ((ms - first) / (last - first || 1)) * inner;
  const y = (value: number) => floor - ((value - least) / ((greatest - least) * 1.06)) * (floor - TOP);
  const timeAt = (px: number) =>
    first + ((Math.min(inner, Math.max(0, px - LEFT)) / inner) * (last - first) || 0);
  const pixel = (event: PointerEvent) => event.clientX - box.current!.getBoundingClientRect().left;
  const indexAt = (ms: number) => {
    let [low, high] = [0, times.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (times[middle]! > ms) high = middle - 1;
      else low = middle;
    }
    return !bars && times[low + 1]! - ms < ms - times[low]! ? low + 1 : low;
  };

  const move = (event: PointerEvent) => {
    const px = pixel(event);
    if (times.length > 0) onAt(indexAt(timeAt(px)));
    if (dragged) setDragged([dragged[0], px]);
  };
  const release = () => {
    setDragged(null);
    if (!dragged || Math.abs(dragged[1] - dragged[0]) < 5) return;
    const [from, to] = dragged.map(timeAt).sort((a, b) => a - b);
    place.set({ range: null, from: new Date(from!).toISOString(), to: new Date(to!).toISOString() });
  };

  const dots = inner / Math.max(1, times.length) > 14;
  const pathsOf = ({ values, before }: Series) => {
    let [path, points] = ['', ''];
    values.forEach((value, i) => {
      if (value === null) return;
      const [px, py] = [x(times[i]!).toFixed(1), y(value).toFixed(1)];
      if (bars && !before) {
        const right = (x(times[i + 1] ?? last) - x(times[i]!)) * 0.72;
        path += `M${px} ${y(0)}V${py}h${right.toFixed(1)}V${y(0)}z`;
        return;
      }
      path += `${values[i - 1] == null ? 'M' : 'L'}${px} ${py}`;
      // A length of nothing with a round end is a dot.
      if (dots || (values[i - 1] == null && values[i + 1] == null)) points += `M${px} ${py}h0`;
    });
    return [path, points];
  };

  return (
    <div
      ref={box}
      role="img"
      aria-label={`${label}: a chart; its values are in the table${tabled ? '' : ' below it'}`}
      style={{ height: `${height}px` }}
      onPointerMove={move}
      onPointerLeave={() => onAt(null)}
      onPointerDown={(event) => {
        if (!zooms || event.button !== 0) return;
        event.preventDefault();
        event.currentTarget.setPointerCapture(event.pointerId);
        setDragged([pixel(event), pixel(event)]);
      }}
      onPointerUp={release}
      onPointerCancel={() => setDragged(null)}
    >
      {width > 0 && (
        <svg width={width} height={height} aria-hidden="true">
          {valueTicks(least, greatest * 1.06, (floor - TOP) / 42).map((value) => (
            <>
              <path class="line" d={`M${LEFT} ${y(value).toFixed(1)}h${inner}`} />
              <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">
                {format(value)}
              </text>
            </>
          ))}
          {times.length > 0 &&
            timeTicks(first, last, inner / 84, zone).map(({ at: time, text }) => (
              <>
                <path class="line" d={`M${x(time).toFixed(1)} ${TOP}V${floor}`} />
                {text.map((words, i) => (
                  <text x={x(time)} y={floor + 2 + 14 * (i + 1)} text-anchor="middle">
                    {words}
                  </text>
                ))}
              </>
            ))}
          {series.map((one, i) => {
            if (!drawn(one)) return null;
            const [path, points] = pathsOf(one);
            return (
              <g class={one.before ? 'before' : bars ? 'bars' : ''} style={{ color: colourOf(one, i) }}>
                <path d={path} />
                <path class="dots" d={points} />
                {at !== null && one.values[at] != null && (!bars || one.before) && (
                  <circle r="3.5" cx={x(times[at]!)} cy={y(one.values[at])} />
                )}
              </g>
            );
          })}
          {at !== null && times[at] !== undefined && (
            <path class="at" d={`M${(x(times[at]) + x(times[at] + length)) / 2} ${TOP}V${floor}`} />
          )}
          {dragged && (
            <rect
              x={Math.min(...dragged)}
              y={TOP}
              width={Math.abs(dragged[1] - dragged[0])}
              height={floor - TOP}
            />
          )}
        </svg>
      )}
    </div>
  );
}
