import { valueTicks } from '../parts/scale.ts';
import { html, svg } from './dom.ts';
import type { Figures, Row } from './figures.ts';
import type { TimeTexts } from './times.ts';

const HEIGHT = 180;
const TOP = 8;
const BOTTOM = 20;
const LEFT = 44;
/** Groups that have a colour of their own; all others share one. */
const COLOURS = 6;
/** Between two labels of the time axis, in px. */
const LABEL_PX = 72;
/** Of the value axis, at most. */
const TICKS = 5;
/** Above the highest, a part of all. */
const ROOM = 0.06;

/** One group of the chart. Drawn in doubles: what is exact is in the table. */
interface Series {
  name: string;
  colour: number;
  total: number;
  /** By the beginning of a window. */
  values: Map<number, { end: number; value: number; text: string }>;
}

export interface ChartOptions {
  width: number;
  locale: string | undefined;
  texts: TimeTexts;
  /** ms since the epoch: all that is shown lies between them. */
  from: number;
  to: number;
  /** What it shows, in words. */
  label: string;
}

/** Bars by window, stacked where groups make a sum; else a line for each group. */
export function chartOf(figures: Figures, options: ChartOptions): Node[] {
  const { width, from, to, label, locale, texts } = options;
  const all = seriesOf(figures);
  const starts = [...new Set(figures.rows.map(({ start }) => start))].sort((a, b) => a - b);
  const stacked = figures.additive || all.length <= 1;
  const [low, high] = extentOf(all, starts, stacked);
  const x = (ms: number) => LEFT + ((clamp(ms, from, to) - from) / (to - from)) * (width - LEFT);
  const y = (value: number) => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const compact = new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 2 });
  const drawing = svg('svg', {
    part: 'chart',
    role: 'img',
    'aria-label': label,
    width,
    height: HEIGHT,
    viewBox: `0 0 ${width} ${HEIGHT}`,
  });
  for (const tick of valueTicks(low, high, TICKS)) {
    const at = y(tick);
    drawing.append(
      svg('line', { class: tick === 0 ? 'zero' : 'grid', x1: LEFT, x2: width, y1: at, y2: at }),
      svg('text', { class: 'tick', x: LEFT - 6, y: at + 4, 'text-anchor': 'end' }, compact.format(tick)),
    );
  }
  drawing.append(...timeLabels(starts.length > 0 ? starts : [from], x, texts, width));
  drawing.append(...(stacked ? bars(all, starts, x, y, texts) : lines(all, starts, x, y, texts)));
  return all.length > 1 ? [drawing, legendOf(all)] : [drawing];
}

function seriesOf({ rows, drawn, groupBy }: Figures): Series[] {
  const byName = new Map<string, Series>();
  for (const { groups, start, end, values } of rows) {
    const text = values[drawn];
    if (text === null || text === undefined) continue;
    const name = groupBy.length > 0 ? groups.join(' · ') : '';
    const series = byName.get(name) ?? { name, colour: 0, total: 0, values: new Map() };
    const value = Number(text);
    series.total += Math.abs(value);
    series.values.set(start, { end, value, text });
    byName.set(name, series);
  }
  const sorted = [...byName.values()].sort((a, b) => b.total - a.total);
  for (const [i, series] of sorted.entries()) series.colour = Math.min(i, COLOURS) + 1;
  return sorted;
}

/** From the lowest to somewhat above the highest that is drawn, 0 among them. */
function extentOf(all: Series[], starts: number[], stacked: boolean): [low: number, high: number] {
  let [low, high] = [0, 0];
  for (const start of starts) {
    let [down, up] = [0, 0];
    for (const { values } of all) {
      const value = values.get(start)?.value ?? 0;
      if (stacked) {
        if (value < 0) down += value;
        else up += value;
      } else {
        down = Math.min(down, value);
        up = Math.max(up, value);
      }
    }
    [low, high] = [Math.min(low, down), Math.max(high, up)];
  }
  return [low, high > low ? high + (high - low) * ROOM : low + 1];
}

function timeLabels(
  starts: number[],
  x: (ms: number) => number,
  texts: TimeTexts,
  width: number,
): SVGElement[] {
  const labels: SVGElement[] = [];
  let free = Number.NEGATIVE_INFINITY;
  for (const start of starts) {
    const at = x(start);
    if (at < free || at > width - LABEL_PX / 2) continue;
    free = at + LABEL_PX;
    labels.push(svg('text', { class: 'tick', x: at, y: HEIGHT - 5 }, texts.short(start)));
  }
  return labels;
}

/** What is told of a window when it is pointed at. */
function told(start: number, { name, values }: Series, texts: TimeTexts): SVGElement {
  const { text } = values.get(start)!;
  return svg('title', {}, `${texts.long(start)}: ${name === '' ? '' : `${name} `}${text}`);
}

function bars(
  all: Series[],
  starts: number[],
  x: (ms: number) => number,
  y: (value: number) => number,
  texts: TimeTexts,
): SVGElement[] {
  return starts.flatMap((start) => {
    let [down, up] = [0, 0];
    return all.flatMap((series) => {
      const point = series.values.get(start);
      if (point === undefined) return [];
      const base = point.value < 0 ? down : up;
      const end = base + point.value;
      if (point.value < 0) down = end;
      else up = end;
      const [top, bottom] = [Math.min(y(base), y(end)), Math.max(y(base), y(end))];
      const left = x(start);
      const room = x(point.end) - left;
      const bar = {
        class: `s${series.colour}`,
        x: left,
        y: top,
        width: Math.max(1, room - Math.min(2, room / 4)),
        height: Math.max(0, bottom - top),
      };
      return [svg('rect', bar, told(start, series, texts))];
    });
  });
}

function lines(
  all: Series[],
  starts: number[],
  x: (ms: number) => number,
  y: (value: number) => number,
  texts: TimeTexts,
): SVGElement[] {
  return all.flatMap((series) => {
    const points = starts.flatMap((start) => {
      const point = series.values.get(start);
      return point ? [{ start, at: x((start + point.end) / 2), y: y(point.value) }] : [];
    });
    const path = points.map(({ at, y }) => `${at},${y}`).join(' ');
    return [
      svg('polyline', { class: `l${series.colour}`, points: path }),
      ...points.map(({ start, at, y }) =>
        svg('circle', { class: `s${series.colour}`, cx: at, cy: y, r: 3 }, told(start, series, texts)),
      ),
    ];
  });
}

/** Groups that share a colour are one line of it. */
function legendOf(all: Series[]): HTMLElement {
  const own = all.slice(0, COLOURS);
  const items = own.map(({ name, colour }) => ({ name, colour }));
  const others = all.length - own.length;
  if (others > 0) items.push({ name: `${others} more`, colour: COLOURS + 1 });
  return html(
    'ul',
    { part: 'legend' },
    ...items.map(({ name, colour }) => html('li', {}, html('i', { class: `k${colour}` }), name)),
  );
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** The end of what the rows are of. */
export function endOf(rows: Row[]): number {
  return rows.reduce((latest, { end }) => Math.max(latest, end), Number.NEGATIVE_INFINITY);
}
