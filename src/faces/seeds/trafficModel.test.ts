import { describe, expect, test } from 'vitest';
import { toUsageEvent } from '../../intake/events/toUsageEvent.ts';
import { noise, Random } from './random.ts';
import { arrivals, intensity, type PostedEvent, tenantModels } from './trafficModel.ts';

const DAY_MS = 86_400_000;
const NOON = Date.UTC(2026, 10, 20, 12);

const RATE = 0.3;

function day(seed = 1) {
  const random = new Random(seed);
  let id = 0;
  const newId = () => `event-${++id}`;
  return tenantModels(5).map((tenant) => {
    const found = [];
    for (let at = NOON; at < NOON + DAY_MS; at += 60_000) {
      found.push(...arrivals(tenant, at, at + 60_000, { rate: RATE, seed, random, newId }));
    }
    return { tenant, arrivals: found };
  });
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('random numbers', () => {
  test('a seed repeats them', () => {
    const draw = (seed: number) =>
      Array.from(
        { length: 5 },
        (
          (r) => () =>
            r.next()
        )(new Random(seed)),
      );
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(noise(1, 2)).toBe(noise(1, 2));
    expect(noise(1, 2)).not.toBe(noise(2, 1));
  });

  test.each([0, 0.3, 8, 400])('poisson(%d) has that mean and variance', (expected) => {
    const random = new Random(3);
    const draws = Array.from({ length: 20_000 }, () => random.poisson(expected));
    expect(mean(draws)).toBeCloseTo(expected, expected > 100 ? -1 : 0);
    expect(mean(draws.map((n) => (n - expected) ** 2)) / (expected || 1)).toBeCloseTo(expected ? 1 : 0, 1);
  });

  test('a log-normal has its median', () => {
    const random = new Random(3);
    const draws = Array.from({ length: 9_999 }, () => random.logNormal(100, 1)).sort((a, b) => a - b);
    expect(draws[5_000]! / 100).toBeCloseTo(1, 1);
  });
});

describe('tenants', () => {
  test('have ids of their own and shares that add up', () => {
    const tenants = tenantModels(12);
    expect(new Set(tenants.map(({ id }) => id)).size).toBe(12);
    expect(tenants.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    expect(tenantModels(12)).toEqual(tenants);
  });

  test('have their peak at another time, and bursts', () => {
    const [first] = tenantModels(3);
    const at = (hour: number) => intensity(first!, Date.UTC(2026, 10, 20, hour, 0, 30), 2);
    expect(at(first!.peakHour)).toBeGreaterThan(2 * at((first!.peakHour + 12) % 24));
    const minutes = Array.from({ length: 14_400 }, (_, i) => intensity(first!, NOON + i * 60_000, 2));
    expect(mean(minutes)).toBeCloseTo(1, 1);
    const bursts = minutes.filter((value, i) => i > 0 && value > 3 * minutes[i - 1]!).length;
    expect(bursts / minutes.length).toBeCloseTo(0.02, 1);
  });
});

describe('a day of traffic', () => {
  const traffic = day();
  const all = traffic.flatMap((tenant) => tenant.arrivals);
  const events = all.map(({ event }) => event);

  test('has the rate that was asked for', () => {
    expect(all.length / 86_400 / RATE).toBeGreaterThan(0.85);
    expect(all.length / 86_400 / RATE).toBeLessThan(1.15);
  });

  test('is repeated by its seed', () => {
    expect(day()).toEqual(traffic);
    expect(day(2)).not.toEqual(traffic);
  });

  test('is in order of time, and some of it late', () => {
    for (const { arrivals: found } of traffic) {
      const times = found.map(({ event }) => event.timestamp);
      expect(times).toEqual(times.toSorted());
    }
    const lateness = all.map(({ event, sendAt }) => sendAt - Date.parse(event.timestamp));
    expect(Math.min(...lateness)).toBe(0);
    expect(Math.max(...lateness)).toBeLessThanOrEqual(600_000);
    expect(lateness.filter((ms) => ms > 0).length / all.length).toBeCloseTo(0.03, 2);
  });

  test('is made of valid events of several types, models, endpoints and customers', () => {
    const rules = {
      tenantId: 't',
      earliestMicros: Number.NaN,
      latestMicros: Number.POSITIVE_INFINITY,
      receivedMicros: Date.now() * 1_000,
      checkText: true,
    };
    for (const event of events) expect(toUsageEvent(event, rules, 0).faults).toBeUndefined();
    const distinct = (of: (event: PostedEvent) => unknown) => new Set(events.map(of)).size;
    expect(distinct((event) => event.eventType)).toBe(3);
    expect(distinct((event) => event.metadata.model)).toBe(6);
    expect(distinct((event) => event.apiEndpoint)).toBe(6);
    expect(distinct((event) => event.customerId)).toBeGreaterThan(10);
    expect(distinct((event) => event.eventId)).toBe(events.length);
  });

  test('differs by model in tokens and latency', () => {
    const of = (model: string) => events.filter(({ metadata }) => metadata.model === model);
    const latency = (model: string) => mean(of(model).map(({ metadata }) => metadata.latencyMs!));
    expect(latency('claude-sonnet')).toBeGreaterThan(10 * latency('text-embedding-3'));
    expect(of('text-embedding-3').every(({ metadata }) => metadata.outputTokens === undefined)).toBe(true);
  });
});
