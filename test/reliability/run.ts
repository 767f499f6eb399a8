import { spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FAULTS } from './faults.ts';
import { faultTable, remarks } from './report.ts';
import type { Figures } from './trial.ts';

const USAGE = `npm run test:reliability -- [options]
  --engine postgres|timescale|both   default both, one after the other
  --fault ${FAULTS.map(({ name }) => name).join('|')}
  --short                            as in npm test: few and short faults`;

const VITEST = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
const RESULTS = fileURLToPath(new URL('results', import.meta.url));

/** All faults for as long as it takes, one engine after the other; prints the fault tables. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      engine: { type: 'string', default: 'both' },
      fault: { type: 'string' },
      short: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const engines = values.engine === 'both' ? ['postgres', 'timescale'] : [values.engine];
  const known =
    engines.every((engine) => ['postgres', 'timescale'].includes(engine)) &&
    (values.fault === undefined || FAULTS.some(({ name }) => name === values.fault));
  if (values.help || !known) {
    console.error(USAGE);
    return values.help ? 0 : 2;
  }
  const folder = join(RESULTS, new Date().toISOString().replaceAll(':', '-'));
  let failed = false;
  for (const engine of engines) {
    const args = [VITEST, 'run', '--project', engine, 'test/reliability/reliability.test.ts'];
    const { status } = spawnSync(process.execPath, args, {
      stdio: 'inherit',
      env: {
        ...process.env,
        TEST_RELIABILITY_RESULTS: folder,
        TEST_RELIABILITY_LONG: values.short ? '0' : '1',
        ...(values.fault && { TEST_RELIABILITY_FAULT: values.fault }),
      },
    });
    failed ||= status !== 0;
  }
  for (const engine of engines) {
    const rows = await readRows(folder, engine);
    console.log([`\n## ${engine} engine\n`, faultTable(rows), '', ...remarks(rows)].join('\n'));
    failed ||= rows.length === 0;
  }
  console.log(`\nin ${folder}`);
  return failed ? 1 : 0;
}

/** In the order of the faults. */
async function readRows(folder: string, engine: string): Promise<Figures[]> {
  const names = await readdir(folder).catch((): string[] => []);
  const files = FAULTS.map(({ name }) => `${engine}-${name}.json`).filter((name) => names.includes(name));
  return Promise.all(files.map(async (name) => JSON.parse(await readFile(join(folder, name), 'utf8'))));
}

process.exitCode = await main();
