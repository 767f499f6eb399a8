import { execFile } from 'node:child_process';
import { readFile, realpath, stat } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * When process `pid` started, as an opaque text that differs when the pid is used again, also after a reboot.
 * Undefined when no such process runs; a zombie counts as not running.
 */
export async function processStart(pid: number): Promise<string | undefined> {
  return process.platform === 'linux' ? startFromProc(pid) : startFromPs(pid);
}

/** Whether `directory` is where process `pid` works; undefined where the system does not tell us. */
export async function worksIn(pid: number, directory: string): Promise<boolean | undefined> {
  try {
    if (process.platform === 'linux') {
      const [there, here] = await Promise.all([stat(`/proc/${pid}/cwd`), stat(directory)]);
      return there.dev === here.dev && there.ino === here.ino;
    }
    const { stdout } = await run('lsof', ['-a', '-d', 'cwd', '-p', String(pid), '-Fn']);
    return /^n(.+)$/m.exec(stdout)?.[1] === (await realpath(directory));
  } catch {
    return undefined;
  }
}

async function startFromProc(pid: number): Promise<string | undefined> {
  try {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The command name may hold spaces and parentheses; the fields after its last ')' begin with the state.
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
    return `${boot.trim()}/${fields[19]}`;
  } catch {
    return undefined;
  }
}

async function startFromPs(pid: number): Promise<string | undefined> {
  try {
    const { stdout } = await run('ps', ['-o', 'state=,lstart=', '-p', String(pid)]);
    const found = /^(\S+)\s+(.+)$/.exec(stdout.trim());
    return found && !found[1]!.startsWith('Z') ? found[2]! : undefined;
  } catch {
    return undefined;
  }
}
