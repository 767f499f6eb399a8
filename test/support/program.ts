import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const INSTALL_TIMEOUT_MS = 300_000;

/**
 * A server program that the tests need, from PATH or the system's folders; installed with apt-get where it is missing.
 *
 * @param name of the program and of its Debian package.
 * @returns what to spawn.
 * @throws when it is not there and cannot be installed.
 */
export async function installedProgram(name: string): Promise<string> {
  const found = await find(name);
  if (found) return found;
  if (await installPackage(name)) {
    const installed = await find(name);
    if (installed) return installed;
  }
  throw new Error(`the tests need a real ${name}: put it on PATH (apt-get install ${name})`);
}

/** Installs a Debian package, where apt-get is there and may be used. @returns whether it did. */
export async function installPackage(name: string): Promise<boolean> {
  const sudo = process.getuid?.() === 0 ? [] : ['sudo', '-n'];
  if (sudo.length > 0 && !(await runs('sudo', '-n', 'true'))) return false;
  if (!(await runs('apt-get', '--version'))) return false;
  console.log(`tests: installing ${name} with apt-get`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  let installed = false;
  for (const args of [['update'], ['install', '-y', '--no-install-recommends', name]]) {
    const [command, ...rest] = [...sudo, 'apt-get', ...args];
    installed = await run(command!, rest, { env, timeout: INSTALL_TIMEOUT_MS }).then(
      () => true,
      (error: Error) => {
        console.error(`tests: apt-get ${args[0]} failed: ${error.message.split('\n')[0]}`);
        return false;
      },
    );
  }
  return installed;
}

/** Debian keeps servers in /usr/sbin, which is not on everybody's PATH. */
async function find(name: string): Promise<string | undefined> {
  for (const program of [name, `/usr/sbin/${name}`]) {
    if (await runs(program, '--version')) return program;
  }
  return undefined;
}

async function runs(program: string, ...args: string[]): Promise<boolean> {
  return run(program, args, { timeout: 10_000 }).then(
    () => true,
    () => false,
  );
}
