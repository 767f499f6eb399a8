import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ListeningService } from './listening.ts';

const run = promisify(execFile);

/** Each answer in a line of its own. */
const ONE_A_LINE = 'set -eo pipefail; curl() { command curl -sS "$@"; echo; }\n';

/** What the commands of a page are run with: the address of a service, and a key. */
export function pageEnvironment({ server, key }: ListeningService) {
  return { PATH: process.env.PATH, URL: server.address, KEY: key };
}

/** What the commands of a block of a page answer, but for the address and the key as they stand. */
// biome-ignore lint/suspicious/noExplicitAny: answers are looked at by what the test expects
export async function answersOf(t: ListeningService, block: string): Promise<any[]> {
  const code = block.replace(/^export URL=\S+ KEY=\S+.*$/m, '');
  const { stdout } = await run('bash', ['-c', ONE_A_LINE + code], { env: pageEnvironment(t) });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}
