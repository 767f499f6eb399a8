import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const USAGE = `npm run test:oracle -- [options]
  --minutes N                        how long, default 20
  --engine postgres|timescale|both   default both, at the same time
  --seed N                           of an earlier run`;

/** The oracle for as long as one likes. */
function main(): number {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '20' },
      engine: { type: 'string', default: 'both' },
      seed: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const engines = values.engine === 'both' ? ['postgres', 'timescale'] : [values.engine];
  const known = engines.every((engine) => ['postgres', 'timescale'].includes(engine));
  const numbers = [values.minutes, values.seed ?? '1'].every((text) => Number(text) > 0);
  if (values.help || !known || !numbers) {
    console.error(USAGE);
    return values.help ? 0 : 2;
  }
  const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
  const projects = engines.flatMap((engine) => ['--project', engine]);
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...projects, 'test/oracle/oracle.test.ts'], {
    stdio: 'inherit',
    env: {
      ...process.env,
      TEST_ORACLE_MINUTES: values.minutes,
      ...(values.seed && { TEST_ORACLE_SEED: values.seed }),
    },
  });
  return status ?? 1;
}

process.exitCode = main();
