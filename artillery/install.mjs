/* Installs this package from its lock file, where that has not been done yet. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const here = import.meta.dirname;
if (!installed()) install();

/** npm writes down last what it has installed: it is all there when each version is that of the lock file. */
function installed() {
  const lock = packages('package-lock.json');
  const there = packages('node_modules/.package-lock.json');
  const { dependencies } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
  return (
    there !== null &&
    Object.keys(dependencies).every((name) => there[`node_modules/${name}`] !== undefined) &&
    Object.entries(there).every(([path, { version }]) => lock[path]?.version === version)
  );
}

function packages(file) {
  const path = join(here, file);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : null;
}

/** Without install scripts: none is needed, and one of them would download a browser. */
function install() {
  console.error('load: installing Artillery in artillery/, once: 590 MB, a minute or two');
  const { status } = spawnSync('npm ci --ignore-scripts --no-audit --no-fund --loglevel=error', {
    cwd: here,
    stdio: 'inherit',
    shell: true,
    env: { ...process.env, PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1' },
  });
  if (status === 0) return;
  console.error('load: Artillery could not be installed; see above');
  process.exitCode = 1;
}
