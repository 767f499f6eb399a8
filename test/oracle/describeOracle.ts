import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { World } from '../support/world.ts';
import { steps } from './operations.ts';
import { Sequence } from './sequence.ts';

const INSTANCES = 2;
const TENANTS = 2;
/** A database serves so many sequences; then a new one begins. */
const SEQUENCES_PER_WORLD = 40;

/** `npm run test:oracle -- --minutes 20` sets these. */
const minutes = Number(process.env.TEST_ORACLE_MINUTES ?? 0);
const seed = Number(process.env.TEST_ORACLE_SEED ?? Date.now() % 2_147_483_647);

/**
 * Random batches, closings, refreshes and faults on several instances at once, held against a brute-force sum over
 * what was acknowledged. Interleavings cannot be repeated exactly, so a failure is reported as it was found, not
 * shrunk.
 *
 * @param planned how many sequences, where no minutes are given.
 */
export function describeOracle(planned: number): void {
  const sequences = minutes > 0 ? 1_000_000 : planned;
  describeEngine(`the oracle (seed ${seed})`, () => {
    let world: World;
    let served = 0;
    beforeAll(async () => {
      world = await World.make(INSTANCES);
    });
    afterAll(() => world.end());

    it(
      `finds no difference in ${minutes > 0 ? `${minutes} minutes` : `${sequences} sequences`}`,
      async () => {
        let total = 0;
        const property = fc.asyncProperty(steps(INSTANCES, TENANTS), async (plan) => {
          if (served++ === SEQUENCES_PER_WORLD) {
            await world.end();
            world = await World.make(INSTANCES);
            served = 1;
          }
          const sequence = await Sequence.begin(world, TENANTS);
          await sequence.run(plan);
          total++;
        });
        await fc.assert(property, {
          seed,
          numRuns: sequences,
          endOnFailure: true,
          ...(minutes > 0 && { interruptAfterTimeLimit: minutes * 60_000, markInterruptAsFailure: false }),
        });
        console.log(`oracle, ${world.database.engine}: ${total} sequences, seed ${seed}`);
        expect(total).toBeGreaterThan(0);
      },
      minutes > 0 ? (minutes + 2) * 60_000 : 840_000,
    );
  });
}
