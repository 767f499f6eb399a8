import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { runFolder } from './runFolder.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BUILD_MS = 110_000;

/** Compiles the service into dist/, once per run: test files run at once, and none may find it half written. */
export async function buildProgram(): Promise<void> {
  const folder = join(await runFolder(), 'build');
  const outcome = join(folder, 'outcome');
  const first = await mkdir(folder).then(
    () => true,
    () => false,
  );
  if (first) {
    const said = await run('npm', ['run', '--silent', 'build'], { cwd: ROOT }).then(
      () => 'built',
      (error) => `npm run build: ${error.stdout}${error.stderr}`,
    );
    await writeFile(outcome, said);
  }
  const deadline = Date.now() + BUILD_MS;
  for (;;) {
    const said = await readFile(outcome, 'utf8').catch(() => '');
    if (said === 'built') return;
    if (said !== '' || Date.now() > deadline) throw new Error(said || 'npm run build does not end');
    await sleep(50);
  }
}
