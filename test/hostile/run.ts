import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const USAGE = `npm run test:hostile -- [options]
  --requests N                       how many, default 100000
  --engine postgres|timescale|both   default both
  --seed N                           of an earlier run`;

/** As many bad requests as one likes. */
function main(): number {
  const { values } = parseArgs({
    options: {
      requests: { type: 'string', default: '100000' },
      engine: { type: 'string', default: 'both' },
      seed: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const engines = values.engine === 'both' ? ['postgres', 'timescale'] : [values.engine];
  const known = engines.every((engine) => ['postgres', 'timescale'].includes(engine));
  const numbers = [values.requests, values.seed ?? '1'].every((text) => Number(text) > 0);
  if (values.help || !known || !numbers) {
    console.error(USAGE);
    return values.help ? 0 : 2;
  }
  const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
  const projects = engines.flatMap((engine) => ['--project', engine]);
  const { status } = spawnSync(
    process.execPath,
    [vitest, 'run', ...projects, 'test/hostile/hostile.test.ts'],
    {
      stdio: 'inherit',
      env: {
        ...process.env,
        TEST_HOSTILE_REQUESTS: values.requests,
        ...(values.seed && { TEST_HOSTILE_SEED: values.seed }),
      },
    },
  );
  return status ?? 1;
}

process.exitCode = main();
