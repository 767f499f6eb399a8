import { WORKING_DIRECTORY } from './serverProgram.ts';

/** Where the server that failed was to run. */
export interface FailureContext {
  dataDir: string;
  port: number;
}

const KNOWN: [pattern: RegExp, reason: (where: FailureContext, line: string) => string][] = [
  [/No space left on device|Disk quota exceeded/, (w) => `no space left on the device of ${w.dataDir}`],
  [
    /Address already in use/,
    (w) => `port ${w.port} is taken by another program: set EMBEDDED_PG_PORT to a free one`,
  ],
  [
    /initialized by PostgreSQL version|database files are incompatible with server/,
    (w) =>
      `${w.dataDir} was made by another version of PostgreSQL: move it away, or start the version that made it`,
  ],
  [
    /could not find the database system|checkpoint record|control file|PANIC|invalid magic number|incorrect checksum|page verification failed|is not a valid data directory|could not open directory "(base|global|pg_\w+)"/,
    (w, line) =>
      `the data in ${w.dataDir} is damaged (${line}): restore a copy, or move it away to start empty`,
  ],
  [/Cannot allocate memory/, () => 'not enough memory'],
  [/Permission denied|Operation not permitted/, (_, line) => `permission denied (${line})`],
  [/Read-only file system/, (w) => `the file system of ${w.dataDir} is read-only`],
];

/** The server before this one has died and its processes are still on their way out: trying again helps. */
export function isStillBusy(log: string): boolean {
  return /pre-existing shared memory block .* is still in use/.test(log);
}

/** One line that says why PostgreSQL, or initdb, ended with this output. */
export function explainFailure(log: string, where: FailureContext): string {
  const lines = log
    .replaceAll(WORKING_DIRECTORY, where.dataDir)
    .split('\n')
    .filter((line) => line.trim() !== '');
  const faults = lines.filter((line) => /(FATAL|PANIC|ERROR|initdb: error):/.test(line));
  for (const [pattern, reason] of KNOWN) {
    const line = lines.find((candidate) => pattern.test(candidate));
    if (line) return reason(where, message(line));
  }
  const line = faults[0] ?? lines.at(-1);
  return line ? message(line) : 'it ended without a word';
}

/** The line without time, process id and severity. */
function message(line: string): string {
  return line.replace(/^.*?\b(FATAL|PANIC|ERROR|LOG|WARNING|initdb: error|postgres):\s+/, '').trim();
}
