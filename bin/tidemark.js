#!/usr/bin/env node
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/*
 * What `npx tidemark` runs. In a clone the program is built when it is missing or older than its sources; where there
 * are no sources it is there already. Everything else is in src/faces/cli/tidemark.ts.
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const program = join(root, 'dist', 'faces', 'cli', 'tidemark.js');
const buildInfo = join(root, 'dist', '.tsbuildinfo');
const PARENT_CHECK_MS = 250;

if (isStale()) build();
if (process.env.npm_command === 'exec') stopWithParent();
process.setSourceMapsEnabled(true);
await import(program);

function isStale() {
  if (!existsSync(program)) return true;
  const sources = join(root, 'src');
  if (!existsSync(sources)) return false;
  const built = changedAt(buildInfo);
  const files = readdirSync(sources, { recursive: true }).filter((name) =>
    /(?<!\.test)\.(tsx?|css)$/.test(name),
  );
  return files.some((name) => changedAt(join(sources, name)) > built);
}

function build() {
  process.stderr.write('tidemark: building …\n');
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  if (!existsSync(compiler))
    fail('dist/ is missing or old, and there is no compiler: run npm ci, or npm run build');
  // What `npm run build` does.
  const steps = [[compiler, '-p', 'tsconfig.build.json'], ['dist/faces/console/bundlePage.js']];
  for (const step of steps) {
    const { status } = spawnSync(process.execPath, step, {
      cwd: root,
      stdio: ['ignore', 2, 2], // standard output is for results
    });
    if (status !== 0) fail('the build has failed');
  }
  utimesSync(buildInfo, new Date(), new Date()); // the compiler leaves it alone where no text has changed
}

/** npm hands signals to the shell it has started, which dies of them and tells nobody. */
function stopWithParent() {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, PARENT_CHECK_MS).unref();
}

function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function fail(message) {
  process.stderr.write(`tidemark: ${message}\n`);
  process.exit(1);
}
