import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A compiled Tidemark. */
export interface Build {
  who: 'earlier' | 'present';
  /** Its programs, to be run by Node. */
  service: string;
  cli: string;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** That of this checkout. */
export function presentBuild(): Build {
  return buildIn(ROOT, 'present');
}

/**
 * An earlier one: built in a folder, or made of a commit in the temporary one. Its packages are those of this checkout
 * where both lock the same versions.
 *
 * @param against the folder, or whatever git takes for a commit.
 * @throws when it is neither, or does not build.
 */
export function earlierBuild(against: string, folder: string): Build {
  if (existsSync(against)) return buildIn(resolve(against), 'earlier');
  const checkout = join(folder, 'earlier');
  const tree = join(folder, 'earlier.tar');
  mkdirSync(checkout);
  run('git', ['archive', '--output', tree, `${against}^{commit}`], ROOT);
  run('tar', ['-xf', tree], checkout);
  if (lockOf(checkout) === lockOf(ROOT))
    symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
  else run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel', 'error'], checkout);
  run('npm', ['run', '--silent', 'build'], checkout);
  return buildIn(checkout, 'earlier');
}

/** Where the programs lie, today and until 0.1.0. */
function buildIn(root: string, who: Build['who']): Build {
  const dist = join(root, 'dist');
  const find = (...names: string[]) => {
    const found = names.map((name) => join(dist, name)).find(existsSync);
    if (found === undefined)
      throw new Error(`${root} holds no build: ${names.join(' or ')} is not in its dist/`);
    return found;
  };
  return {
    who,
    service: find('faces/service/main.js', 'main.js'),
    cli: find('faces/cli/tidemark.js', 'cli/tidemark.js'),
  };
}

function lockOf(folder: string): string {
  return readFileSync(join(folder, 'package-lock.json'), 'utf8');
}

function run(program: string, args: string[], cwd: string): void {
  execFileSync(program, args, { cwd, stdio: ['ignore', 2, 2] }); // standard output is for results
}
