import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LEVELS, type Level, planSegments } from './segments.ts';

const WINDOW = 30_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const SIZE: Record<Level, number> = { raw: 1, '30s': WINDOW, '1h': HOUR, '1d': DAY };
const MONDAY = Date.UTC(2026, 0, 5);

/** Moments of ten days, often on the edge of a bucket or next to it. */
const moment = fc
  .tuple(
    fc.integer({ min: 0, max: 10 * DAY }),
    fc.constantFrom(1, WINDOW, HOUR, DAY),
    fc.constantFrom(-1, 0, 0, 1),
  )
  .map(([ms, size, off]) => MONDAY + Math.floor(ms / size) * size + off);
const staleWindow = moment.map((ms) => Math.floor(ms / WINDOW) * WINDOW);
const plan = fc.record({
  ends: fc.tuple(moment, moment).map((ends) => ends.sort((a, b) => a - b)),
  coarsest: fc.constantFrom<Level>(...LEVELS),
  stale: fc.oneof(
    fc.array(staleWindow, { maxLength: 6 }),
    fc.array(staleWindow, { minLength: 30, maxLength: 100 }),
  ),
});

describe('planSegments', () => {
  it('covers each millisecond once, in order, with whole buckets no coarser than asked for', () => {
    fc.assert(
      fc.property(plan, ({ ends: [from, to], coarsest, stale }) => {
        let at = from!;
        for (const segment of planSegments(from!, to!, coarsest, stale)) {
          expect(segment.from).toBe(at);
          expect(segment.to).toBeGreaterThan(segment.from);
          expect(segment.from % SIZE[segment.level]).toBe(0);
          expect(segment.to % SIZE[segment.level]).toBe(0);
          expect(LEVELS.indexOf(segment.level)).toBeLessThanOrEqual(LEVELS.indexOf(coarsest));
          at = segment.to;
        }
        expect(at).toBe(to!);
      }),
      { numRuns: 1_000 },
    );
  });

  it('reads the windows that a rollup lacks a late event of from the events', () => {
    fc.assert(
      fc.property(plan, ({ ends: [from, to], coarsest, stale }) => {
        for (const segment of planSegments(from!, to!, coarsest, stale)) {
          if (segment.level === 'raw') continue;
          for (const start of stale) {
            const overlaps = segment.from < start + WINDOW && segment.to > start;
            expect([segment, start, overlaps]).toEqual([segment, start, false]);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it('reads coarse what it can: without stale windows at most seven stretches', () => {
    fc.assert(
      fc.property(plan, ({ ends: [from, to], coarsest }) => {
        expect(planSegments(from!, to!, coarsest, []).length).toBeLessThanOrEqual(7);
      }),
    );
    expect(planSegments(MONDAY - 1, MONDAY + 2 * DAY + HOUR + WINDOW + 1, '1d', [])).toEqual([
      { level: 'raw', from: MONDAY - 1, to: MONDAY },
      { level: '1d', from: MONDAY, to: MONDAY + 2 * DAY },
      { level: '1h', from: MONDAY + 2 * DAY, to: MONDAY + 2 * DAY + HOUR },
      { level: '30s', from: MONDAY + 2 * DAY + HOUR, to: MONDAY + 2 * DAY + HOUR + WINDOW },
      {
        level: 'raw',
        from: MONDAY + 2 * DAY + HOUR + WINDOW,
        to: MONDAY + 2 * DAY + HOUR + WINDOW + 1,
      },
    ]);
  });

  it('stays short however many windows are stale', () => {
    fc.assert(
      fc.property(plan, ({ ends: [from, to], coarsest, stale }) => {
        expect(planSegments(from!, to!, coarsest, stale).length).toBeLessThanOrEqual(40);
      }),
    );
  });

  it('takes only the stale bucket from the finer level', () => {
    const stale = [MONDAY + 5 * HOUR + WINDOW];
    expect(planSegments(MONDAY, MONDAY + DAY, '1d', stale)).toEqual([
      { level: '1h', from: MONDAY, to: MONDAY + 5 * HOUR },
      { level: '30s', from: MONDAY + 5 * HOUR, to: MONDAY + 5 * HOUR + WINDOW },
      { level: 'raw', from: MONDAY + 5 * HOUR + WINDOW, to: MONDAY + 5 * HOUR + 2 * WINDOW },
      { level: '30s', from: MONDAY + 5 * HOUR + 2 * WINDOW, to: MONDAY + 6 * HOUR },
      { level: '1h', from: MONDAY + 6 * HOUR, to: MONDAY + DAY },
    ]);
  });

  it('plans for a year that an import has made stale', () => {
    const stale = Array.from({ length: 500_000 }, (_, i) => MONDAY + 2 * i * WINDOW);
    expect(planSegments(MONDAY, MONDAY + 366 * DAY, '1d', stale).length).toBeLessThanOrEqual(40);
  });

  it('reads a stretch that holds stale windows from the events, and nothing else', () => {
    const stale = { earliest: MONDAY + HOUR, latest: MONDAY + 3 * HOUR };
    expect(planSegments(MONDAY, MONDAY + 5 * HOUR, '1h', stale)).toEqual([
      { level: '1h', from: MONDAY, to: MONDAY + HOUR },
      { level: 'raw', from: MONDAY + HOUR, to: MONDAY + 3 * HOUR + WINDOW },
      { level: '30s', from: MONDAY + 3 * HOUR + WINDOW, to: MONDAY + 4 * HOUR },
      { level: '1h', from: MONDAY + 4 * HOUR, to: MONDAY + 5 * HOUR },
    ]);
    expect(planSegments(MONDAY + HOUR + 1, MONDAY + 2 * HOUR, '1h', stale)).toEqual([
      { level: 'raw', from: MONDAY + HOUR + 1, to: MONDAY + 2 * HOUR },
    ]);
  });

  it('of nothing is nothing', () => {
    expect(planSegments(MONDAY, MONDAY, '1d', [])).toEqual([]);
    expect(planSegments(MONDAY + 1, MONDAY, '1d', [])).toEqual([]);
  });
});
