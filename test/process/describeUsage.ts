import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildProgram } from '../support/buildProgram.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { RANGE } from './describeBigExport.ts';
import type { RunCommand } from './support/commandHere.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const METER = ['--tenant', 'big', '--event-type', 'egress', '--aggregation', 'sum', '--value', '$.gb'];
const COMMANDS = [
  'serve',
  'migrate',
  'seed',
  'import',
  'export',
  'keys',
  'void',
  'restore',
  'amend',
  'meters',
  'prices',
  'doctor',
];

/** What the program says of itself, and of a command line that is wrong. */
export function describeUsage(runCommand: RunCommand): void {
  describe('the command line', () => {
    let database: TestDatabase;
    beforeAll(async () => {
      await buildProgram();
      database = await createTestDatabase();
    });
    afterAll(() => database?.drop());

    const run = (args: string[]) => runCommand(args, { DATABASE_URL: database.url });

    test('help of the program and of each command, with its exit codes', async () => {
      const { code, out, err } = await run(['--help']);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      for (const command of COMMANDS) expect(out).toMatch(new RegExp(`^ {2}${command} `, 'm'));
      for (const args of [...COMMANDS.map((command) => [command, '--help']), ['help', 'export']]) {
        const help = await run(args);
        expect({ args, code: help.code, err: help.err }).toEqual({ args, code: 0, err: '' });
        expect(help.out).toContain('Exit codes:\n  0    done');
      }
      for (const args of [
        ['export', 'events'],
        ['export', 'usage'],
        ['keys', 'create'],
        ['keys', 'rotate'],
        ['meters', 'create'],
        ['meters', 'query'],
        ['prices', 'import'],
      ]) {
        expect(await run([...args, '--help'])).toMatchObject({ code: 0, err: '' });
      }
      const version = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')).version;
      expect(await run(['--version'])).toEqual({ code: 0, out: `${version}\n`, err: '' });
    });

    test('what cannot be meant: exit code 2, what is wrong, and nothing on standard output', async () => {
      const id = randomUUID();
      const cases: [string[], RegExp][] = [
        [[], /^Usage: tidemark COMMAND/],
        [['servee'], /unknown command 'servee'.*\n.*Did you mean serve\?/],
        [['serve', '--port', '1'], /unknown option '--port'/],
        [['migrate', 'now'], /too many arguments/],
        [['export'], /^Usage: tidemark export/],
        [['export', 'everything'], /unknown command|too many arguments|invalid/i],
        [['export', 'events', '--tenant', 'big'], /required option '--from <time>' not specified/],
        [['export', 'events', '--tenant', 'big', '--from', 'may'], /write it as 2026-11-01/],
        [
          ['export', 'events', '--tenant', 'big', '--from', '2026-01-02', '--to', '2026-01-01'],
          /--from must be before --to/,
        ],
        [['export', 'events', '--tenant', 'big', '--from', '2999-01-01'], /--from must not be in the future/],
        [['export', 'events', ...RANGE, '--format', 'xml'], /Allowed choices are csv, ndjson/],
        [['export', 'usage', ...RANGE, '--granularity', '2h'], /Allowed choices are 30s/],
        [['export', 'usage', ...RANGE, '--group-by', 'colour'], /--group-by: each of customer/],
        [['export', 'usage', ...RANGE, '--timezone', 'CET'], /--timezone: CET is not a time zone/],
        [['keys'], /^Usage: tidemark keys/],
        [['keys', 'create', '--scopes', 'read'], /say whose key/],
        [['keys', 'create', '--tenant', 'big'], /--scopes: some of ingest, read, correct, admin/],
        [['keys', 'create', '--tenant', 'big', '--scopes', 'write'], /--scopes: some of/],
        [['keys', 'create', '--tenant', 'big', '--platform', '--scopes', 'read'], /cannot be used with/],
        [
          ['keys', 'create', '--tenant', 'big', '--scopes', 'read', '--expires', '2020-01-01'],
          /must be in the future/,
        ],
        [['keys', 'rotate', '7'], /an id as "tidemark keys list" prints it/],
        [['keys', 'rotate', id, '--overlap', '91d'], /--overlap: 90d at most/],
        [['prices'], /^Usage: tidemark prices/],
        [['prices', 'import', 'x.csv'], /required option '--tenant <id>' not specified/],
        [['meters'], /^Usage: tidemark meters/],
        [['meters', 'list'], /required option '--tenant <id>' not specified/],
        [['meters', 'create', 'A b', ...METER], /slug: must be lower-case letters/],
        [['meters', 'create', 'gb', ...METER, '--value', 'gb'], /value: is no JSONPath/],
        [
          ['meters', 'create', 'gb', ...METER, '--dimension', 'region'],
          /--dimension: write it as name=value/,
        ],
        [['meters', 'create', 'gb', ...METER, '--filter', '{'], /--filter: a JSON array/],
        [['meters', 'query', 'gb', '--tenant', 'big', '--granularity', '2h'], /Allowed choices are 30s/],
        [['meters', 'query', 'gb', '--tenant', 'big', '--from', 'may'], /write it as 2026-11-01/],
        [['seed', '--rate', '0'], /a number above 0 is needed/],
        [['seed', '--tenants', '1001'], /at most 1000 are made/],
        [['seed', '--url', 'localhost'], /write it as http:/],
        [['doctor', '--timeout', 'soon'], /write it as 90s/],
      ];
      for (const [args, message] of cases) {
        const { code, out, err } = await run(args);
        expect({ args, code, out }).toEqual({ args, code: 2, out: '' });
        expect(err).toMatch(message);
        expect(err).not.toMatch(/\n\s+at /);
      }
    });
  });
}
