import { describe, expect, test } from 'vitest';
import { toUsageEvent } from '../../intake/events/toUsageEvent.ts';
import { noise, Random } from './random.ts';
import { readSeeds, type Seeds } from './readSeeds.ts';
import { arrivals, intensity, type PostedEvent, type TenantModel, tenantModels } from './trafficModel.ts';

const DAY_MS = 86_400_000;
const NOON = Date.UTC(2026, 10, 20, 12);

const RATE = 0.3;
const SEEDS = await readSeeds();

function day(seed = 1) {
  const random = new Random(seed);
  let id = 0;
  const newId = () => `event-${++id}`;
  return tenantModels(SEEDS, 5).map((tenant) => {
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
    const tenants = tenantModels(SEEDS, 12);
    expect(new Set(tenants.map(({ id }) => id)).size).toBe(12);
    expect(tenants.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1);
    expect(tenantModels(SEEDS, 12)).toEqual(tenants);
  });

  test('have traffic by their weights; more than there are come again, as others and smaller', () => {
    const tenants = tenantModels(SEEDS, 7);
    const [first, second] = SEEDS.traffic;
    expect(tenants[1]!.share / tenants[0]!.share).toBeCloseTo(second!.weight / first!.weight);
    expect(tenants[5]).toMatchObject({ id: 'northwind-2', name: 'Northwind Assistants 2' });
    expect(tenants[5]!.customers).toEqual(first!.customers);
    expect(tenants[5]!.share / tenants[0]!.share).toBeCloseTo(1 / 2);
    const taken = { ...second!, id: 'northwind-2' };
    const ids = tenantModels({ ...SEEDS, traffic: [first!, taken] }, 5).map(({ id }) => id);
    expect(ids).toEqual(['northwind', 'northwind-2', 'northwind-3', 'northwind-2-2', 'northwind-4']);
  });

  test('have their peak at another time, and bursts', () => {
    const [first] = tenantModels(SEEDS, 3);
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

/*
 * Another profile than the one that comes with the program, so that no constant in the code can pass for it. With the
 * seeds of random numbers that stand here the outcome is always the same; the bounds are four standard deviations.
 */
describe('traffic follows the seeds', () => {
  const [tenant] = SEEDS.traffic;
  const feature = tenant!.features[0]!;
  const seeds: Seeds = {
    ...SEEDS,
    profile: {
      ...SEEDS.profile,
      day: { swing: 0, peakHour: 3 },
      bursts: { chance: 0.25, factor: 3 },
      late: { chance: 0.4, delayMs: { median: 5_000, sigma: 0.5 }, maxDelayMs: 9_000 },
      sessions: { chance: 0.7, count: 3 },
      browsing: { clicks: 0.8, pages: 2 },
      maxTokens: 900,
    },
    traffic: [
      {
        ...tenant!,
        browsing: 0.3,
        customers: [
          { id: 'half', name: null, weight: 5 },
          { id: 'third', name: null, weight: 3 },
          { id: 'fifth', name: null, weight: 2 },
          { id: 'none', name: null, weight: 0 },
        ],
        features: [
          {
            ...feature,
            name: 'a',
            weight: 9,
            endpoint: '/a',
            model: 'm-a',
            inputTokens: { median: 600, sigma: 0.5 },
            outputTokens: { median: 40, sigma: 0 },
            firstTokenMs: { median: 100, sigma: 0.2 },
            perTokenMs: { median: 2, sigma: 0 },
          },
          { ...feature, name: 'b', weight: 1, endpoint: '/b', model: 'm-b', outputTokens: null },
          { ...feature, name: 'c', weight: 0, endpoint: '/c', model: 'm-c' },
        ],
      },
    ],
  };
  const [model] = tenantModels(seeds, 1) as [TenantModel];
  let id = 0;
  const options = { rate: 3, seed: 5, random: new Random(5), newId: () => `e-${++id}` };
  const minutes = Array.from({ length: 600 }, (_, i) =>
    arrivals(model, NOON + i * 60_000, NOON + (i + 1) * 60_000, options),
  );
  const all = minutes.flat();
  const events = all.map(({ event }) => event);
  const calls = events.filter(({ apiEndpoint }) => apiEndpoint !== undefined);
  const ofA = calls.filter(({ apiEndpoint }) => apiEndpoint === '/a');

  /** A part of so many draws is the chance that it was drawn with, within four standard deviations. */
  const expectPart = (part: number, of: number, chance: number) => {
    expect(Math.abs(part / of - chance)).toBeLessThanOrEqual(4 * Math.sqrt((chance * (1 - chance)) / of));
  };
  const medianOf = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
  const count = (of: PostedEvent[], test: (event: PostedEvent) => boolean) => of.filter(test).length;

  test('customers', () => {
    expect(events.length).toBeGreaterThan(50_000);
    for (const { id, weight } of model.customers) {
      expectPart(
        count(events, ({ customerId }) => customerId === id),
        events.length,
        weight / 10,
      );
    }
  });

  test('calls, clicks and impressions, their pages', () => {
    const browsing = events.filter(({ eventType }) => eventType !== undefined);
    expect(browsing.length + calls.length).toBe(events.length);
    expectPart(browsing.length, events.length, 0.3);
    expectPart(
      count(browsing, ({ eventType }) => eventType === 'click'),
      browsing.length,
      0.8,
    );
    expect(new Set(browsing.map(({ metadata }) => metadata.page))).toEqual(new Set(['/page/1', '/page/2']));
  });

  test('endpoints and models by the weights of features', () => {
    expectPart(ofA.length, calls.length, 0.9);
    expect(new Set(calls.map(({ apiEndpoint, metadata }) => `${apiEndpoint} ${metadata.model}`))).toEqual(
      new Set(['/a m-a', '/b m-b']),
    );
  });

  test('tokens and latencies by their distributions, and no more than the most', () => {
    const inputs = ofA.map(({ metadata }) => metadata.inputTokens!);
    expect(medianOf(inputs) / 600).toBeCloseTo(1, 1);
    expect(Math.max(...inputs)).toBe(900);
    // Below 600 * e^-0.5 lies what is a deviation of the logarithm below its median.
    expectPart(inputs.filter((n) => n < 600 * Math.exp(-0.5)).length, inputs.length, 0.1587);
    expect(new Set(ofA.map(({ metadata }) => metadata.outputTokens))).toEqual(new Set([40]));
    expect(medianOf(ofA.map(({ metadata }) => metadata.latencyMs!)) / (100 + 40 * 2)).toBeCloseTo(1, 1);
    const ofB = calls.filter(({ apiEndpoint }) => apiEndpoint === '/b');
    expect(ofB.every(({ metadata }) => metadata.outputTokens === undefined)).toBe(true);
  });

  test('sessions', () => {
    const inSession = calls.filter(({ reference }) => reference !== undefined);
    expectPart(inSession.length, calls.length, 0.7);
    const sessions = new Set(inSession.map(({ reference }) => reference));
    expect(sessions).toEqual(new Set(['session-1', 'session-2', 'session-3']));
  });

  test('late events, by how much and at most', () => {
    const delays = all
      .map(({ event, sendAt }) => sendAt - Date.parse(event.timestamp))
      .filter((ms) => ms > 0);
    expectPart(delays.length, all.length, 0.4);
    expect(medianOf(delays) / 5_000).toBeCloseTo(1, 1);
    expect(Math.max(...delays)).toBe(9_000);
  });

  test('bursts, by their part of the minutes and their factor', () => {
    const mean = 180 / (1 + 0.25 * 2); // of a minute without a burst
    const bursts = minutes.filter(({ length }) => length > 2 * mean);
    expectPart(bursts.length, minutes.length, 0.25);
    const inBursts = bursts.reduce((sum, { length }) => sum + length, 0) / bursts.length;
    expect(inBursts / mean).toBeCloseTo(3, 0);
    expect(all.length / (600 * 180)).toBeCloseTo(1, 1);
  });

  test('the day and its peak', () => {
    expect(model.peakHour).toBe(3);
    const swung = {
      ...model,
      profile: { ...model.profile, day: { swing: 0.5, peakHour: 3 }, bursts: { chance: 0, factor: 1 } },
    };
    const at = (hour: number) => intensity(swung, Date.UTC(2026, 10, 20, hour), 5);
    expect([at(3), at(9), at(15), at(21)].map((value) => value.toFixed(3))).toEqual([
      '1.500',
      '1.000',
      '0.500',
      '1.000',
    ]);
  });
});
