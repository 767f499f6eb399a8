/*
 * npm run load -- …: starts run.ts. JavaScript without imports but Node's own, since it may be that nothing is
 * installed, neither here nor in the project; then this package is installed first, as it has all that run.ts needs.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const here = import.meta.dirname;
const places = [here, join(here, '..')].map((folder) => join(folder, 'node_modules/tsx/dist/cli.mjs'));
const find = () => places.find((place) => existsSync(place));

if (!find()) spawnSync(process.execPath, [join(here, 'install.mjs')], { stdio: 'inherit' });
const tsx = find();
if (!tsx) process.exit(1);
const run = spawn(process.execPath, [tsx, join(here, 'run.ts'), ...process.argv.slice(2)], {
  stdio: 'inherit',
});
// It ends in order, and this after it. Ctrl-C reaches both of them.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => run.kill('SIGTERM'));
run.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
