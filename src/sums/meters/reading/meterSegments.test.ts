import { expect, test } from 'vitest';
import { LEVEL_MS } from '../../rollups/segments.ts';
import { type MeterSegment, planMeter } from './meterSegments.ts';
import type { MeterMoment, SeriesState } from './seriesState.ts';

const HOUR = 3_600_000;
const DAY = 86_400_000;
const T = Date.UTC(2026, 10, 10);
const ALL = Number.NEGATIVE_INFINITY;

const series = (more: Partial<SeriesState> & { from?: number; distinct?: boolean } = {}): SeriesState => ({
  id: 1,
  definition: {
    eventType: 'x',
    eventFromMicros: more.from === undefined ? null : more.from * 1_000,
    filter: [],
    paths: [],
    value: null,
    distinct: more.distinct ?? false,
  },
  filledFrom: ALL,
  predecessor: null,
  ...more,
});
const moment = (of: SeriesState, more: Partial<MeterMoment> = {}): MeterMoment => ({
  series: of,
  eventsKeptFrom: ALL,
  membersUntil: { '1h': T + 10 * DAY, '1d': T + 10 * DAY },
  ...more,
});
const told = (segments: MeterSegment[]) =>
  segments.map(({ series: { id }, source, from, to }) => [id, source, from - T, to - T]);

/** What serves an event, and the part of its window, at a moment: exactly one of them must be there. */
function served(segments: MeterSegment[], at: number): string[] {
  return segments
    .filter(({ source, from, to }) => source !== 'parts' && from <= at && at < to)
    .map(({ series: { id }, source }) => `${id} ${source}`);
}

test('whole windows come from the levels and parts, what is cut from the events', () => {
  expect(told(planMeter(moment(series()), { from: T - 0.001, to: T + DAY + HOUR + 30_000.5 }, '1d'))).toEqual(
    [
      [1, 'raw', -0.0009765625, 0],
      [1, '1d', 0, DAY],
      [1, '1h', DAY, DAY + HOUR],
      [1, '30s', DAY + HOUR, DAY + HOUR + 30_000],
      [1, 'raw', DAY + HOUR + 30_000, DAY + HOUR + 30_000.5],
      [1, 'parts', 0, DAY + HOUR + 30_000],
    ],
  );
  expect(told(planMeter(moment(series()), { from: T + 5, to: T + 29_999 }, '1d'))).toEqual([
    [1, 'raw', 5, 29_999],
  ]);
});

test('what is not filled comes from the events, and its parts are not read', () => {
  const half = series({ filledFrom: T + 90_000 });
  expect(told(planMeter(moment(half), { from: T, to: T + 2 * HOUR }, '1d'))).toEqual([
    [1, '30s', 90_000, HOUR],
    [1, '1h', HOUR, 2 * HOUR],
    [1, 'parts', 90_000, 2 * HOUR],
    [1, 'raw', 0, 90_000],
  ]);
  const empty = series({ filledFrom: Number.POSITIVE_INFINITY });
  expect(told(planMeter(moment(empty), { from: T, to: T + DAY }, '1d'))).toEqual([[1, 'raw', 0, DAY]]);
});

test('nothing before it begins', () => {
  const late = series({ from: T + 0.5 });
  expect(told(planMeter(moment(late), { from: T - DAY, to: T + 60_000 }, '1d'))).toEqual([
    [1, 'raw', 0.5, 30_000],
    [1, '30s', 30_000, 60_000],
    [1, 'parts', 30_000, 60_000],
  ]);
  expect(planMeter(moment(late), { from: T - DAY, to: T }, '1d')).toEqual([]);
});

test('members come from where they are', () => {
  const distinct = series({ distinct: true });
  const of = moment(distinct, { membersUntil: { '1h': T + DAY + 2 * HOUR, '1d': T + DAY } });
  expect(told(planMeter(of, { from: T, to: T + DAY + 3 * HOUR }, '1d'))).toEqual([
    [1, '1d', 0, DAY],
    [1, '1h', DAY, DAY + 2 * HOUR],
    [1, '30s', DAY + 2 * HOUR, DAY + 3 * HOUR],
    [1, 'parts', 0, DAY + 3 * HOUR],
  ]);
  expect(told(planMeter(of, { from: T, to: T + DAY }, '30s')).map(([, source]) => source)).toEqual([
    '30s',
    'parts',
  ]);
});

test('what has no events any more comes from the series before, and from the one before that', () => {
  const first = series({ id: 3, filledFrom: ALL });
  const second = series({ id: 2, filledFrom: T - 10 * DAY, predecessor: first });
  const third = series({ id: 1, filledFrom: T + DAY, predecessor: second });
  const of = moment(third, { eventsKeptFrom: T - DAY });
  expect(told(planMeter(of, { from: T - 20 * DAY, to: T + 2 * DAY }, '1d'))).toEqual([
    [1, '1d', DAY, 2 * DAY],
    [1, 'parts', DAY, 2 * DAY],
    [1, 'raw', -DAY, DAY],
    [2, '1d', -10 * DAY, -DAY],
    [2, 'parts', -10 * DAY, -DAY],
    [3, '1d', -20 * DAY, -10 * DAY],
    [3, 'parts', -20 * DAY, -10 * DAY],
  ]);
  // Without one before it, events are asked for that are not kept: the read is refused.
  const alone = moment(series({ filledFrom: T }), { eventsKeptFrom: T - DAY });
  expect(told(planMeter(alone, { from: T - 2 * DAY, to: T + DAY }, '1d')).at(-1)).toEqual([
    1,
    'raw',
    -2 * DAY,
    0,
  ]);
});

test('every moment is served once, whatever the range and however far it is filled', () => {
  let state = 7;
  const random = (n: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state % n;
  };
  for (let i = 0; i < 500; i++) {
    const windows = (n: number) => T + random(n) * 30_000;
    const before = series({ id: 2, filledFrom: random(2) ? ALL : windows(3_000), predecessor: null });
    const of = series({
      filledFrom: [ALL, Number.POSITIVE_INFINITY, windows(6_000)][random(3)]!,
      predecessor: random(2) ? before : null,
      distinct: random(2) === 1,
      ...(random(3) === 0 && { from: T + random(DAY) + 0.123 }),
    });
    const kept = random(2) ? ALL : Math.floor(windows(3_000) / DAY) * DAY;
    const hour = Math.floor(windows(8_000) / HOUR) * HOUR;
    const membersUntil = { '1h': hour, '1d': Math.floor(hour / DAY) * DAY };
    const from = T + random(2 * DAY) + random(1_000) / 1_000;
    const to = from + 0.001 + random(2 * DAY);
    const segments = planMeter(
      moment(of, { eventsKeptFrom: kept, membersUntil }),
      { from, to },
      (['30s', '1h', '1d'] as const)[random(3)]!,
    );
    const begins = (of.definition.eventFromMicros ?? 0) / 1_000;
    for (let n = 0; n < 50; n++) {
      const at = from + ((to - from) * n) / 50;
      expect(served(segments, at), `${i} ${n}`).toHaveLength(at >= begins ? 1 : 0);
    }
    for (const { source, from: start, to: end } of segments) {
      expect(start).toBeLessThan(end);
      if (source === 'raw') continue;
      const size = LEVEL_MS[source === 'parts' ? '30s' : source];
      expect([start % size, end % size]).toEqual([0, 0]);
    }
    const ofLevels = segments.filter(({ source }) => source !== 'parts' && source !== 'raw');
    const sum = (list: MeterSegment[]) =>
      list.reduce((total, segment) => total + segment.to - segment.from, 0);
    expect(sum(segments.filter(({ source }) => source === 'parts'))).toBe(sum(ofLevels));
  }
});
