import { describe, expect, it } from 'vitest';
import { usageEvent } from '../../../test/support/usageEvent.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { type ColumnsRule, type Layout, layOut, MOST_PARTS, PART_ROWS } from './layOut.ts';

const DAY = 86_400_000_000;
const TODAY = 20_000 * DAY;
const chunk = (day: number) => ({
  relation: `chunk_${day}`,
  fromMicros: day * DAY,
  toMicros: (day + 1) * DAY,
});
const RULE: ColumnsRule = {
  fromRows: 10,
  sinceMicros: TODAY - 7 * DAY,
  spanMicros: 120_000_000,
  chunkAt: (micros) => chunk(Math.floor(micros / DAY)),
};

let ids = 0;
function events(
  count: number,
  about: { tenantId?: string; day?: number; customers?: number } = {},
): UsageEvent[] {
  const { tenantId = 'a', day = 0, customers = 3 } = about;
  return Array.from({ length: count }, (_, i) =>
    usageEvent({
      tenantId,
      customerId: `c${i % customers}`,
      eventId: String(++ids),
      tsMicros: TODAY + day * DAY + i,
    }),
  );
}

it('gives columns only to chunks that are there, and says which, and that one is lacking', () => {
  const day = TODAY / DAY;
  const batch = [...events(30), ...events(40, { day: -1 })];
  const known = layOut(batch, RULE);
  expect(shape(known)).toEqual({ columns: [70], rows: 0 });
  expect([known.chunks.toSorted(), known.lacksChunk]).toEqual([[`chunk_${day - 1}`, `chunk_${day}`], false]);
  const one = layOut(batch, { ...RULE, chunkAt: (at) => (at >= TODAY ? chunk(day) : undefined) });
  expect(shape(one)).toEqual({ columns: [30], rows: 40 });
  expect([one.chunks, one.lacksChunk]).toEqual([[`chunk_${day}`], true]);
  const none = layOut(batch, { ...RULE, chunkAt: () => undefined });
  expect(shape(none)).toEqual({ columns: [], rows: 70 });
  expect([none.chunks, none.lacksChunk]).toEqual([[], true]);
  expect(layOut(events(9), { ...RULE, chunkAt: () => undefined }).lacksChunk).toBe(false);
});

const shape = ({ columns, rows }: Layout) => ({
  columns: columns.map((part) => part.length),
  rows: rows.length,
});
const places = ({ columns }: Layout) =>
  columns.map((part) => [
    ...new Set(part.map((row) => `${row.tsMicros >= TODAY ? 'today' : 'before'} ${row.tenantId}`)),
  ]);

describe('a batch is laid out', () => {
  it('by how many rows a tenant has on a day', () => {
    const few = events(9, { tenantId: 'few' });
    const many = events(10, { tenantId: 'many' });
    const more = events(11, { tenantId: 'more' });
    const mixed = [...few, ...many, ...more].sort((a, b) => a.tsMicros - b.tsMicros);
    const layout = layOut(mixed, RULE);
    expect(new Set(layout.columns.flat())).toEqual(new Set([...many, ...more]));
    expect(layout.rows).toEqual(mixed.filter((row) => few.includes(row)));
    expect(
      shape(layOut([...events(9), ...events(9, { day: -1 }), ...events(20, { tenantId: 'b' })], RULE)),
    ).toEqual({
      columns: [20],
      rows: 18,
    });
  });

  it('as rows where fewer than twice as many are worth columns', () => {
    for (const batch of [events(19), [...events(19), ...events(9, { tenantId: 'b' })], events(1), []]) {
      const layout = layOut(batch, RULE);
      expect(layout).toEqual({ columns: [], rows: batch, chunks: [], lacksChunk: false });
    }
    expect(shape(layOut(events(20), RULE))).toEqual({ columns: [20], rows: 0 });
  });

  it('as rows where there are no columns to be had', () => {
    expect(shape(layOut(events(5_000), { ...RULE, fromRows: Number.POSITIVE_INFINITY }))).toEqual({
      columns: [],
      rows: 5_000,
    });
  });

  it('as rows where the day has been packed', () => {
    const layout = layOut([...events(30, { day: -7 }), ...events(40, { day: -8 })], RULE);
    expect(shape(layout)).toEqual({ columns: [30], rows: 40 });
    const all = layOut(events(40, { day: -900 }), { ...RULE, sinceMicros: Number.NEGATIVE_INFINITY });
    expect(shape(all)).toEqual({ columns: [40], rows: 0 });
  });

  it('by day, and a tenant in one piece', () => {
    const groups = [
      events(20),
      events(20, { tenantId: 'b', day: -1 }),
      events(20, { tenantId: 'b' }),
      events(20, { day: -1 }),
    ];
    const mixed = groups[0]!.flatMap((_, i) => groups.map((group) => group[i]!));
    expect(places(layOut(mixed, RULE))).toEqual([['before b', 'before a', 'today a', 'today b']]);
    const runs = layOut(mixed, RULE).columns[0]!.filter(
      (row, i, all) => row.tenantId !== all[i - 1]?.tenantId || row.tsMicros - all[i - 1]!.tsMicros > DAY / 2,
    );
    expect(runs.length).toBe(4);
  });

  it('with the customers of a large tenant apart, each row in one place', () => {
    for (const [count, customers] of [
      [PART_ROWS, 50],
      [PART_ROWS + 1, 50],
      [5_000, 100],
      [50_000, 1_000],
    ] as const) {
      const batch = [
        ...events(count, { customers }),
        ...events(30, { tenantId: 'small' }),
        ...events(3, { tenantId: 'b' }),
      ];
      const { columns, rows } = layOut(batch, RULE);
      expect(columns.flat().length + rows.length).toBe(batch.length);
      expect(new Set([...columns.flat(), ...rows]).size).toBe(batch.length);
      expect(columns.length).toBe(Math.min(MOST_PARTS, Math.ceil(count / PART_ROWS)));
      const seen = columns.flatMap((part) => [
        ...new Set(part.filter(({ tenantId }) => tenantId === 'a').map(({ customerId }) => customerId)),
      ]);
      expect(seen.length).toBe(customers);
      for (const part of columns)
        expect(part.length).toBeLessThanOrEqual(Math.max(1_000, count / MOST_PARTS + 100));
    }
  });

  it('as rows where it lies further apart than a segment may be of', () => {
    const apart = (count: number, micros: number) =>
      events(count, { customers: 100 }).map((row, i) => ({ ...row, tsMicros: TODAY + i * micros }));
    expect(shape(layOut(apart(101, 1_200_000), RULE))).toEqual({ columns: [101], rows: 0 });
    expect(shape(layOut(apart(101, 1_200_001), RULE))).toEqual({ columns: [], rows: 101 });
    // Segments follow each other in time, as long as no customers are kept apart.
    expect(shape(layOut(apart(5_000, 100_000), RULE))).toEqual({ columns: [5_000], rows: 0 });
    expect(shape(layOut(apart(5_000, 130_000), RULE))).toEqual({ columns: [], rows: 5_000 });
    const imported = layOut(apart(5_000, 130_000), { ...RULE, spanMicros: Number.POSITIVE_INFINITY });
    expect(shape(imported)).toEqual({ columns: [5_000], rows: 0 });
  });

  it('in one part where one customer has it all', () => {
    expect(shape(layOut(events(5_000, { customers: 1 }), RULE))).toEqual({ columns: [5_000], rows: 0 });
  });
});
