import { expect, test } from 'vitest';
import { explainFailure, isStillBusy } from './postgresFailure.ts';

const where = { dataDir: '/data/postgres', port: 5555 };

test.each([
  [
    '2026-11-21 02:22:45 UTC [1] LOG:  could not bind IPv4 address "127.0.0.1": Address already in use\n2026-11-21 02:22:45 UTC [1] FATAL:  could not create any TCP/IP sockets',
    'port 5555 is taken by another program: set EMBEDDED_PG_PORT to a free one',
  ],
  [
    'FATAL:  could not write lock file "postmaster.pid": No space left on device',
    'no space left on the device of /data/postgres',
  ],
  [
    'FATAL:  database files are incompatible with server\nDETAIL:  The data directory was initialized by PostgreSQL version 17.',
    '/data/postgres was made by another version of PostgreSQL: move it away, or start the version that made it',
  ],
  [
    '2026-11-21 02:22:45.1 UTC [9] PANIC:  could not locate a valid checkpoint record at 0/174B630',
    'the data in /data/postgres is damaged (could not locate a valid checkpoint record at 0/174B630): restore a copy, or move it away to start empty',
  ],
  [
    'initdb: error: could not access directory "/data/postgres": Permission denied',
    'permission denied (could not access directory "/data/postgres": Permission denied)',
  ],
  [
    'postgres: could not find the database system\nExpected to find it in the directory "/proc/self/cwd",',
    'the data in /data/postgres is damaged (could not find the database system): restore a copy, or move it away to start empty',
  ],
  [
    'FATAL:  data directory "/proc/self/cwd" has invalid permissions',
    'data directory "/data/postgres" has invalid permissions',
  ],
  ['LOG:  starting\nFATAL:  something else entirely\n', 'something else entirely'],
  ['only this\n', 'only this'],
  ['', 'it ended without a word'],
])('explains %j', (log, reason) => {
  expect(explainFailure(log, where)).toBe(reason);
});

test('knows the predecessor that is still ending', () => {
  expect(
    isStillBusy('FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use\nHINT:  Terminate'),
  ).toBe(true);
  expect(isStillBusy('FATAL:  other')).toBe(false);
});
