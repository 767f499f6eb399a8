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

/** What is planned by number ends after so many minutes all the same: a slow machine has run fewer by then. */
const MOST_MINUTES = 3;
/** Sequences that are run beyond those planned until a batch has gone both ways, which few of them may have missed. */
const MORE_SEQUENCES = 30;

/** `npm run test:oracle -- --minutes 20` sets these. */
const minutes = Number(process.env.TEST_ORACLE_MINUTES ?? 0);
const seed = Number(process.env.TEST_ORACLE_SEED ?? Date.now() % 2_147_483_647);

/** Transactions that have written columns as well as rows, as far as nothing has packed them since. */
async function writtenBothWays({ sql }: World): Promise<number> {
  const { rows: chunks } = await sql.query<{ chunk: string; segments: string | null }>(
    `select c.chunk, s.compress_relid::text as segments
     from retention_chunk c left join _timescaledb_catalog.compression_settings s on s.relid = c.chunk::regclass
     where c.relation = 'event'`,
  );
  const writers = async (relations: string[]) => {
    const each = relations.map((relation) => `select xmin::text as writer from only ${relation}`);
    if (each.length === 0) return [];
    return (await sql.query<{ writer: string }>(each.join(' union '))).rows.map(({ writer }) => writer);
  };
  const ofRows = new Set(await writers(chunks.map(({ chunk }) => chunk)));
  const ofColumns = await writers(chunks.flatMap(({ segments }) => segments ?? []));
  return ofColumns.filter((writer) => ofRows.has(writer)).length;
}

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
        let bothWays = 0;
        const property = fc.asyncProperty(steps(INSTANCES, TENANTS), async (plan) => {
          if (served++ === SEQUENCES_PER_WORLD) {
            await world.end();
            world = await World.make(INSTANCES);
            served = 1;
          }
          const sequence = await Sequence.begin(world, TENANTS);
          await sequence.run(plan);
          total++;
          if (world.database.engine === 'timescale')
            bothWays = Math.max(bothWays, await writtenBothWays(world));
        });
        await fc.assert(property, {
          seed,
          numRuns: sequences,
          endOnFailure: true,
          interruptAfterTimeLimit: (minutes || MOST_MINUTES) * 60_000,
          markInterruptAsFailure: false,
        });
        if (world.database.engine === 'timescale') {
          for (let more = 1; bothWays === 0 && more <= MORE_SEQUENCES; more++)
            await fc.assert(property, { seed: seed + more, numRuns: 1, endOnFailure: true });
          expect(bothWays, 'batches of both ways').toBeGreaterThan(0);
        }
        console.log(
          `oracle, ${world.database.engine}: ${total} sequences, up to ${bothWays} batches both ways, seed ${seed}`,
        );
        expect(total).toBeGreaterThan(0);
      },
      minutes > 0 ? (minutes + 2) * 60_000 : 840_000,
    );
  });
}
