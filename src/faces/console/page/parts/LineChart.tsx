import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { usePlace } from '../address/place.ts';
import { short } from '../format/numbers.ts';
import { clockOf, dayOf, stamp } from '../format/times.ts';
import { onTheme } from '../styles/theme.ts';
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

/** Quantities over time, with their values at the pointer, and as a table. */
export function LineChart(props: LineChartProps) {
  const { label, times, series, zone, format = short, bars = false, height = 220, zooms, tabled } = props;
  const place = usePlace();
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const [hidden, setHidden] = useState<readonly string[]>([]);
  const [theme, setTheme] = useState(0);
  const latest = useRef(props);
  latest.current = props;
  const data = [times.map((ms) => ms / 1_000), ...series.map(({ values }) => values)] as uPlot.AlignedData;
  const made = JSON.stringify([series.map((one) => [one.label, one.before]), zone, bars, height, theme]);

  useEffect(() => onTheme(() => setTheme((n) => n + 1)), []);
  useEffect(() => {
    const room = box.current!;
    const [ink, grid] = ['--muted', '--line'].map((name) => colourOf(room, name));
    const axis = {
      stroke: ink!,
      font: '11px system-ui',
      grid: { stroke: grid!, width: 1 },
      ticks: { show: false },
    };
    const drawn = new uPlot(
      {
        width: room.clientWidth,
        height,
        legend: { show: false },
        padding: [8, 22, 0, 0],
        cursor: { drag: { x: true, setScale: false }, y: false, points: { size: 6 } },
        tzDate: (s) => uPlot.tzDate(new Date(s * 1_000), zone),
        scales: { y: { range: (_, min, max) => [Math.min(0, min), max > 0 ? max * 1.08 : 1] } },
        axes: [
          { ...axis, values: (_, splits) => timesOf(splits, zone), incrs: STEPS_S, space: 70, size: 36 },
          {
            ...axis,
            values: (_, splits) => splits.map((value) => latest.current.format?.(value) ?? short(value)),
            size: 64,
          },
        ],
        series: [
          {},
          ...series.map((one, i) => ({
            label: one.label,
            stroke: colourOf(room, one.before ? '--muted' : `--c${i % 8}`),
            width: 1.5,
            points: { size: 4, ...(bars && !one.before && { show: false }) },
            ...(one.before && { dash: [4, 4] }),
            ...(bars && !one.before && BARS && { paths: BARS, fill: `${colourOf(room, `--c${i % 8}`)}` }),
          })),
        ],
        hooks: {
          setCursor: [(u) => setAt(u.cursor.idx ?? null)],
          setSelect: [
            (u) => {
              const { left, width } = u.select;
              if (width < 4) return;
              const [from, to] = [left, left + width].map((x) => new Date(1_000 * u.posToVal(x, 'x')));
              u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              if (zooms) place.set({ range: null, from: from!.toISOString(), to: to!.toISOString() });
            },
          ],
        },
      },
      data,
      room,
    );
    chart.current = drawn;
    const watch = new ResizeObserver(() => drawn.setSize({ width: room.clientWidth, height }));
    watch.observe(room);
    return () => {
      watch.disconnect();
      drawn.destroy();
      chart.current = null;
    };
  }, [made]);
  useEffect(() => chart.current?.setData(data), [data]);
  useEffect(() => {
    series.forEach((one, i) => void chart.current?.setSeries(i + 1, { show: !hidden.includes(one.label) }));
  }, [hidden, made]);

  const toggle = (name: string) =>
    setHidden((all) => (all.includes(name) ? all.filter((other) => other !== name) : [...all, name]));
  const shown = at ?? times.length - 1;
  return (
    <figure class="chart">
      <div
        ref={box}
        role="img"
        aria-label={`${label}: a chart; its values are in the table${tabled ? '' : ' below it'}`}
      />
      <figcaption>
        <span class="muted">{times[shown] === undefined ? '' : stamp(times[shown], zone)}</span>
        {series.map((one, i) => (
          <button
            type="button"
            class="quiet"
            aria-pressed={!hidden.includes(one.label)}
            onClick={() => toggle(one.label)}
          >
            <i {...(one.before ? { class: 'before' } : { style: { background: `var(--c${i % 8})` } })} />{' '}
            {one.label} <b>{format(one.values[shown] ?? null)}</b>
          </button>
        ))}
        {zooms && <small class="muted">Draw over the chart to look closer.</small>}
      </figcaption>
      {!tabled && (
        <details>
          <summary>As a table</summary>
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
        </details>
      )}
    </figure>
  );
}

/** Between times below the axis, in s: what a clock shows, and no parts of a second. */
const STEPS_S = [
  ...[1, 5, 10, 15, 30, 60, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200],
  ...[1, 2, 3, 5, 7, 10, 15, 30, 60, 90, 180, 365].map((days) => days * 86_400),
];
const BARS = uPlot.paths.bars?.({ size: [0.7, 40], align: 1 });

/** The colour that a custom property stands for now. */
function colourOf(place: HTMLElement, name: string): string {
  const probe = place.appendChild(document.createElement('i'));
  probe.style.color = `var(${name})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Clock times below the axis, with the day where it is another one. */
function timesOf(splits: number[], zone: string): string[] {
  const days = splits.map((s) => dayOf(s * 1_000, zone));
  const clocks = splits.map((s) => clockOf(s * 1_000, zone));
  const whole = clocks.every((clock) => clock === '00:00:00');
  const seconds = clocks.some((clock) => !clock.endsWith(':00'));
  return splits.map((_, i) => {
    const day = days[i] === days[i - 1] ? '' : days[i]!.slice(5);
    return whole ? day : `${clocks[i]!.slice(0, seconds ? 8 : 5)}\n${day}`;
  });
}
