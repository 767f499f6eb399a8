import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { buildProgram } from '../support/buildProgram.ts';
import { installedTimescale } from '../support/timescaleServer.ts';
import type { Extent } from './fault.ts';
import { FAULTS } from './faults.ts';
import { faultTable, remarks } from './report.ts';
import { Site } from './site.ts';
import { NotPossible } from './smallDisk.ts';
import { type Fault, type Figures, LONG, SHORT, Trial } from './trial.ts';

/** `npm run test:reliability` sets these. */
const results = process.env.TEST_RELIABILITY_RESULTS;
const long = process.env.TEST_RELIABILITY_LONG === '1';
const chosen = process.env.TEST_RELIABILITY_FAULT;

const engine = inject('engine');
const pace = long ? LONG : SHORT;
const installed = (await installedTimescale()) !== undefined;
const missing = engine === 'timescale' && !installed;
if (missing) {
  console.warn(
    '\n  #### NO TIMESCALEDB THAT WE MAY STOP: the faults are NOT tried on the timescale engine. It takes one\n' +
      '  #### installed on this machine; TEST_TIMESCALE_URL and Docker do not do.\n',
  );
}

/**
 * Every fault once, those in which the engine has no part on the postgres engine only, or those again that the short
 * extent repeats. `npm run test:reliability` takes the long extents of all.
 */
export type Repeats = 'once' | 'short';

/**
 * Dependencies that die under load. What is acknowledged is written down and looked for after each fault; every
 * request has to settle in its time, and the service has to be back in seconds once the dependency is.
 */
export function describeReliability(repeats: Repeats): void {
  describe.skipIf(missing)('reliability', () => {
    const rows: Figures[] = [];
    let shared: Site;
    beforeAll(async () => {
      await buildProgram();
      shared = (await Site.make(engine))!;
    });
    afterAll(async () => {
      await shared?.end();
      console.log([`reliability, ${engine}`, faultTable(rows), ...remarks(rows)].join('\n'));
    });

    for (const fault of chosenFaults(repeats)) {
      const extent = extentOf(fault, repeats);
      const timeout = 300_000 + extent.times * (extent.holdMs + 30_000);
      it(fault.description, { timeout }, async ({ skip }) => {
        const site = fault.smallDisk
          ? await Site.make(engine, fault.smallDisk).catch(onlyImpossible)
          : shared;
        if (typeof site === 'string') {
          console.warn(`\n  #### ${fault.name} is NOT tried: ${site}\n`);
          return skip(site);
        }
        try {
          const figures = await Trial.run(fault, site!, pace, extent);
          rows.push(figures);
          await keep(figures);
          expect(figures.problems).toEqual([]);
        } finally {
          if (site !== shared) await site!.end();
        }
      });
    }
  });
}

function onceOf(fault: Fault): Extent {
  return { times: fault.once ?? 1, holdMs: fault.short.holdMs };
}

function extentOf(fault: Fault, repeats: Repeats): Extent {
  if (long) return fault.long;
  return repeats === 'once' ? onceOf(fault) : fault.short;
}

function chosenFaults(repeats: Repeats): Fault[] {
  if (chosen !== undefined) return FAULTS.filter(({ name }) => name === chosen);
  if (long) return FAULTS;
  const tried = FAULTS.filter((fault) => engine === 'postgres' || !fault.engineFree);
  return repeats === 'once' ? tried : tried.filter((fault) => fault.short.times > onceOf(fault).times);
}

function onlyImpossible(error: unknown): string {
  if (error instanceof NotPossible) return error.message;
  throw error;
}

async function keep(figures: Figures): Promise<void> {
  if (results === undefined) return;
  await mkdir(results, { recursive: true });
  const file = join(results, `${figures.engine}-${figures.fault}.json`);
  await writeFile(file, `${JSON.stringify(figures, null, 2)}\n`);
}
