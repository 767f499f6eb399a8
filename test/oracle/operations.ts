import fc from 'fast-check';

/*
 * What may happen to the instances, as fast-check makes it up. Times are windows relative to where windows are closed
 * when the step begins.
 */

/** An event to be made; or, with `repeats`, one of those posted in an earlier step again, at this time. */
export interface EventPlan {
  window: number;
  /** Where in the window: exactly at its start or its end, or a part of it. */
  at: 'start' | 'end' | number;
  customer: number;
  /** What else it carries. */
  seed: number;
  repeats: number | null;
}

export type Operation =
  | { do: 'post'; instance: number; tenant: number; events: EventPlan[] }
  /** Of that many events that are settled, or void. One of a tenant in a step. */
  | {
      do: 'correct';
      instance: number;
      tenant: number;
      kind: 'void' | 'restore' | 'amend';
      events: number;
      /** What amended events become. */
      plans: EventPlan[];
      seed: number;
      afterMs: number;
    }
  /** One that is staged is closed or dropped, one that is closed is reverted; which, by the seed. One of a tenant in a step. */
  | {
      do: 'backfill';
      instance: number;
      tenant: number;
      kind: 'stage' | 'close' | 'revert' | 'drop';
      /** What is staged. */
      plans: EventPlan[];
      replaces: boolean;
      /** Only those customers that it has events of. */
      ofCustomers: boolean;
      seed: number;
      afterMs: number;
    }
  | { do: 'read'; instance: number; tenant: number }
  | { do: 'close'; instance: number; windows: number; afterMs: number; thenRefresh: boolean }
  | { do: 'refresh'; instance: number }
  | { do: 'pack'; instance: number; chunks: number }
  /** One for each seed, at once. */
  | { do: 'make meters'; instance: number; tenant: number; seeds: number[]; afterMs: number }
  | { do: 'add dimension'; instance: number; tenant: number; seed: number; afterMs: number }
  | { do: 'archive meter'; instance: number; tenant: number; seed: number; afterMs: number }
  | { do: 'read meter'; instance: number; tenant: number; seed: number; afterMs: number }
  /** One for each seed, in one request. */
  | { do: 'put prices'; instance: number; tenant: number; seeds: number[]; afterMs: number }
  | { do: 'end price'; instance: number; tenant: number; seed: number; afterMs: number }
  | { do: 'read costs'; instance: number; tenant: number; seed: number; afterMs: number }
  | { do: 'fold'; instance: number; parts: number; afterMs: number }
  /** Steps of so much time at most. */
  | { do: 'fill'; instance: number; windows: number; steps: number }
  | { do: 'kill'; instance: number; afterMs: number }
  | { do: 'freeze'; instance: number; ms: number }
  | { do: 'kill backends'; share: number; afterMs: number }
  | { do: 'hold batches'; ms: number }
  | { do: 'lose redis' };

/** Operations that happen at once. The summaries are compared after each step. */
export type Step = Operation[];

const HOUR = 120;
const DAY = 24 * HOUR;

/** Mostly around the edge of what is closed, some late, some ahead, few by a day. */
const windowOffset = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -6, max: 6 }) },
  { weight: 3, arbitrary: fc.integer({ min: -2 * HOUR, max: 0 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: HOUR }) },
  { weight: 1, arbitrary: fc.integer({ min: -DAY, max: DAY }) },
);

const eventPlan: fc.Arbitrary<EventPlan> = fc.record({
  window: windowOffset,
  at: fc.oneof(
    fc.constantFrom<'start' | 'end'>('start', 'end'),
    fc.integer({ min: 1, max: 29_998 }).map((ms) => ms / 30_000),
  ),
  customer: fc.nat({ max: 3 }),
  seed: fc.nat(),
  repeats: fc.oneof(
    { weight: 5, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.nat({ max: 10_000 }) },
  ),
});

/** From those that are written as rows, by way of those of which a part is, to those that are columns wholly. */
const batch = fc.oneof(
  { weight: 2, arbitrary: fc.array(eventPlan, { minLength: 1, maxLength: 5 }) },
  { weight: 4, arbitrary: fc.array(eventPlan, { minLength: 1, maxLength: 25 }) },
  { weight: 1, arbitrary: fc.array(eventPlan, { minLength: 25, maxLength: 60 }) },
);

function operation(instances: number, tenants: number): fc.Arbitrary<Operation> {
  const instance = fc.nat({ max: instances - 1 });
  const tenant = fc.nat({ max: tenants - 1 });
  const afterMs = fc.nat({ max: 25 });
  const how = <Name extends Operation['do'], Fields>(
    name: Name,
    fields: { [K in keyof Fields]: fc.Arbitrary<Fields[K]> },
  ) => fc.record({ do: fc.constant(name), ...fields }) as unknown as fc.Arbitrary<Operation>;
  return fc.oneof(
    {
      weight: 40,
      arbitrary: how('post', {
        instance,
        tenant,
        events: batch,
      }),
    },
    { weight: 6, arbitrary: how('read', { instance, tenant }) },
    {
      weight: 14,
      arbitrary: how('correct', {
        instance,
        tenant,
        kind: fc.constantFrom<'void' | 'restore' | 'amend'>('void', 'void', 'restore', 'amend'),
        events: fc.integer({ min: 1, max: 30 }),
        plans: fc.array(eventPlan, { minLength: 1, maxLength: 10 }),
        seed: fc.nat(),
        afterMs,
      }),
    },
    {
      weight: 14,
      arbitrary: how('backfill', {
        instance,
        tenant,
        kind: fc.constantFrom<'stage' | 'close' | 'revert' | 'drop'>(
          ...(['stage', 'stage', 'stage', 'close', 'close', 'revert', 'drop'] as const),
        ),
        plans: fc.array(eventPlan, { minLength: 1, maxLength: 15 }),
        replaces: fc.boolean(),
        ofCustomers: fc.boolean(),
        seed: fc.nat(),
        afterMs,
      }),
    },
    {
      weight: 10,
      arbitrary: how('close', {
        instance,
        windows: fc.oneof(
          { weight: 12, arbitrary: fc.integer({ min: 1, max: 8 }) },
          { weight: 4, arbitrary: fc.integer({ min: 1, max: 2 * HOUR }) },
          { weight: 1, arbitrary: fc.integer({ min: HOUR, max: 6 * HOUR }) },
        ),
        afterMs,
        thenRefresh: fc.boolean(),
      }),
    },
    { weight: 10, arbitrary: how('refresh', { instance }) },
    { weight: 3, arbitrary: how('pack', { instance, chunks: fc.integer({ min: 1, max: 4 }) }) },
    {
      weight: 8,
      arbitrary: how('make meters', {
        instance,
        tenant,
        seeds: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
        afterMs,
      }),
    },
    { weight: 2, arbitrary: how('add dimension', { instance, tenant, seed: fc.nat(), afterMs }) },
    { weight: 2, arbitrary: how('archive meter', { instance, tenant, seed: fc.nat(), afterMs }) },
    { weight: 4, arbitrary: how('read meter', { instance, tenant, seed: fc.nat(), afterMs }) },
    {
      weight: 6,
      arbitrary: how('put prices', {
        instance,
        tenant,
        seeds: fc.array(fc.nat(), { minLength: 1, maxLength: 4 }),
        afterMs,
      }),
    },
    { weight: 1, arbitrary: how('end price', { instance, tenant, seed: fc.nat(), afterMs }) },
    { weight: 3, arbitrary: how('read costs', { instance, tenant, seed: fc.nat(), afterMs }) },
    {
      weight: 6,
      arbitrary: how('fold', {
        instance,
        parts: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constant(100_000)),
        afterMs,
      }),
    },
    {
      weight: 6,
      arbitrary: how('fill', {
        instance,
        windows: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 2 * DAY })),
        steps: fc.integer({ min: 1, max: 4 }),
      }),
    },
    { weight: 1, arbitrary: how('kill', { instance, afterMs }) },
    { weight: 2, arbitrary: how('freeze', { instance, ms: fc.integer({ min: 1, max: 60 }) }) },
    { weight: 2, arbitrary: how('kill backends', { share: fc.constantFrom(0.2, 1), afterMs }) },
    { weight: 4, arbitrary: how('hold batches', { ms: fc.integer({ min: 20, max: 150 }) }) },
    { weight: 1, arbitrary: how('lose redis', {}) },
  );
}

export function steps(instances: number, tenants: number): fc.Arbitrary<Step[]> {
  const step = fc.array(operation(instances, tenants), { minLength: 1, maxLength: 5 });
  return fc.array(step, { minLength: 2, maxLength: 6 });
}
