import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { machine } from './machine.ts';

const RESULTS = fileURLToPath(new URL('../results', import.meta.url));

/**
 * Keeps what a run has found, and on which machine, as JSON in bench/results.
 *
 * @param room whose run it was.
 * @returns the file.
 */
export async function keepResults(room: string, started: Date, results: object): Promise<string> {
  const file = `${RESULTS}/${room}-${started.toISOString().replaceAll(':', '-')}.json`;
  const kept = { started: started.toISOString(), machine: machine(), ...results };
  await mkdir(RESULTS, { recursive: true });
  await writeFile(file, `${JSON.stringify(kept, null, 2)}\n`);
  return file;
}
