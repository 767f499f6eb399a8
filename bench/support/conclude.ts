import { machine } from './machine.ts';
import { keepResults } from './results.ts';
import { figure } from './table.ts';

/**
 * Ends a run: keeps what it has found in bench/results, and says of what extents and on which machine it was, how long it took
 * and where it is kept. The exit code is 1 where figures are invalid.
 *
 * @param room whose run it was.
 * @param options its extents, as it was asked for.
 * @param engines what was measured on each, with its verdicts.
 */
export async function conclude(
  room: string,
  started: Date,
  options: object,
  engines: readonly object[],
  isValid: boolean,
): Promise<void> {
  const minutes = (Date.now() - started.getTime()) / 60_000;
  const extents = Object.entries(options).map(([name, value]) => [
    name,
    value instanceof Set ? [...value] : value,
  ]);
  const kept = await keepResults(room, started, { minutes, options: Object.fromEntries(extents), engines });
  console.log(extents.map(([name, value]) => `${name} ${told(value)}`).join(', '));
  console.log(Object.entries(machine()).flat().join(' '));
  console.log(`${figure(minutes)} minutes, in ${kept}`);
  if (!isValid) process.exitCode = 1;
}

function told(value: unknown): string {
  if (typeof value === 'number') return value.toLocaleString('en-US');
  return Array.isArray(value) ? value.map(told).join(' ') : String(value);
}
