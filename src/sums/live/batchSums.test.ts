import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { usageEvent } from '../../../test/support/usageEvent.ts';
import type { UsageEvent } from '../../model/usageEvent.ts';
import { WINDOW_MS } from '../../model/window.ts';
import { BatchSums } from './batchSums.ts';
import { emptySums, type LiveIncrement, type LiveSums } from './liveCounters.ts';

const WINDOW = Date.UTC(2026, 10, 21, 12, 0, 30);
const NOW = WINDOW + 12_345;

const event = (fields: Partial<UsageEvent> = {}) => usageEvent({ tsMicros: NOW * 1_000, ...fields });

function sum(events: UsageEvent[]): LiveIncrement[] {
  const sums = new BatchSums(NOW);
  for (const each of events) sums.add(each);
  return sums.increments();
}

function sumsOf(increments: LiveIncrement[], customerId: string | null, windowStart = WINDOW): LiveSums {
  const found = increments.filter((i) => i.customerId === customerId && i.windowStart === windowStart);
  expect(found).toHaveLength(1);
  return found[0]!.sums;
}

test('no events give no increments', () => {
  expect(sum([])).toEqual([]);
});

test('an event counts for its customer and for its tenant', () => {
  const increments = sum([
    event({ tokens: 15, inputTokens: 5, outputTokens: 10, latencyMs: 234, endpoint: '/a', model: 'm' }),
    event({ customerId: 'other', tokens: 1, endpoint: '/a' }),
    event({ customerId: 'other' }),
  ]);
  expect(increments).toHaveLength(3);
  expect(sumsOf(increments, 'customer')).toEqual({
    calls: 1,
    tokens: 15,
    inputTokens: 5,
    outputTokens: 10,
    latencySumMs: 234,
    latencyCount: 1,
    byEndpoint: { '/a': { calls: 1, tokens: 15 } },
    byModel: { m: { calls: 1, tokens: 15 } },
  });
  expect(sumsOf(increments, 'other')).toEqual({
    ...emptySums(),
    calls: 2,
    tokens: 1,
    byEndpoint: { '/a': { calls: 1, tokens: 1 } },
  });
  expect(sumsOf(increments, null)).toMatchObject({
    calls: 3,
    byEndpoint: { '/a': { calls: 2, tokens: 16 } },
  });
});

describe('windows', () => {
  const startsFor = (tsMs: number) => sum([event({ tsMicros: tsMs * 1_000 })]).map((i) => i.windowStart);

  test('a window holds its first microsecond and not that of the next', () => {
    const edge = WINDOW * 1_000;
    const starts = sum([event({ tsMicros: edge - 1 }), event({ tsMicros: edge })]).map((i) => i.windowStart);
    expect([...new Set(starts)]).toEqual([WINDOW - WINDOW_MS, WINDOW]);
  });

  test.each([0, 1, 2])('%i windows back is counted', (back) => {
    const start = WINDOW - back * WINDOW_MS;
    expect(startsFor(start)).toEqual([start, start]);
  });

  test('what no live read can ask for is not', () => {
    expect(startsFor(WINDOW - 2 * WINDOW_MS - 1)).toEqual([]);
    expect(startsFor(Date.UTC(2023, 10, 16))).toEqual([]);
  });

  test('events ahead are counted for the time when their window is the current one', () => {
    expect(startsFor(WINDOW + WINDOW_MS)).toEqual([WINDOW + WINDOW_MS, WINDOW + WINDOW_MS]);
    expect(startsFor(WINDOW + 600_000)).toEqual([WINDOW + 600_000, WINDOW + 600_000]);
    expect(startsFor(NOW + 86_400_001)).toEqual([]);
  });
});

test('latencies add up to the microsecond', () => {
  const increments = sum([0.1, 0.2, 0.7, 1_000_000.001].map((latencyMs) => event({ latencyMs })));
  expect(sumsOf(increments, 'customer').latencySumMs).toBe(1_000_001.001);
  expect(sumsOf(increments, null).latencySumMs).toBe(1_000_001.001);
});

test('names that objects have already are names like any other', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '0', ''];
  const increments = sum(names.map((name) => event({ endpoint: name, model: name, tokens: 2 })));
  for (const record of [sumsOf(increments, null).byEndpoint, sumsOf(increments, 'customer').byModel]) {
    expect(Object.keys(record).sort()).toEqual([...names].sort());
    for (const name of names) expect(record[name]).toEqual({ calls: 1, tokens: 2 });
  }
});

test('any batch gives the same sums as adding event by event', () => {
  const name = fc.constantFrom('a', 'b', '__proto__', '(other)');
  const count = fc.option(fc.nat(1_000_000));
  const anyEvent = fc
    .record({
      tenantId: name,
      customerId: name,
      tsMicros: fc.integer({ min: (WINDOW - 120_000) * 1_000, max: (WINDOW + 120_000) * 1_000 }),
      endpoint: fc.option(name),
      model: fc.option(name),
      tokens: count,
      inputTokens: count,
      outputTokens: count,
      latencyMs: fc.option(fc.nat(60_000_000).map((micros) => micros / 1_000)),
    })
    .map(event);
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
      const counted = events.filter((e) => e.tsMicros >= (WINDOW - 2 * WINDOW_MS) * 1_000);
      const increments = sum(events);
      const keys = increments.map((i) => JSON.stringify([i.tenantId, i.customerId, i.windowStart]));
      expect(new Set(keys).size).toBe(keys.length);
      expect(totalCalls(increments, (i) => i.customerId === null)).toBe(counted.length);
      expect(totalCalls(increments, (i) => i.customerId !== null)).toBe(counted.length);
      for (const { tenantId, customerId, windowStart, sums } of increments) {
        const own = counted.filter(
          (e) =>
            e.tenantId === tenantId &&
            (customerId === null || e.customerId === customerId) &&
            Math.floor(e.tsMicros / 1_000 / WINDOW_MS) * WINDOW_MS === windowStart,
        );
        expect(sums).toEqual(bruteForce(own));
      }
    }),
  );
});

function totalCalls(increments: LiveIncrement[], which: (increment: LiveIncrement) => boolean): number {
  return increments.filter(which).reduce((calls, increment) => calls + increment.sums.calls, 0);
}

function bruteForce(events: UsageEvent[]): LiveSums {
  const total = (field: 'tokens' | 'inputTokens' | 'outputTokens') =>
    events.reduce((all, e) => all + (e[field] ?? 0), 0);
  const by = (field: 'endpoint' | 'model') => {
    const cells = emptySums().byEndpoint;
    for (const e of events) {
      const name = e[field];
      if (name === null) continue;
      const { calls, tokens } = cells[name] ?? { calls: 0, tokens: 0 };
      cells[name] = { calls: calls + 1, tokens: tokens + (e.tokens ?? 0) };
    }
    return cells;
  };
  const latencies = events.flatMap((e) => (e.latencyMs === null ? [] : [Math.round(e.latencyMs * 1_000)]));
  return {
    calls: events.length,
    tokens: total('tokens'),
    inputTokens: total('inputTokens'),
    outputTokens: total('outputTokens'),
    latencySumMs: latencies.reduce((all, micros) => all + micros, 0) / 1_000,
    latencyCount: latencies.length,
    byEndpoint: by('endpoint'),
    byModel: by('model'),
  };
}
