import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { buildProgram } from '../support/buildProgram.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runFolder } from '../support/runFolder.ts';
import type { RunCommand } from './support/commandHere.ts';

/** What `tidemark import` makes of files as they are found, what it says of them, and with which exit code. */
export function describeImportFiles(runCommand: RunCommand): void {
  let database: TestDatabase;
  let sql: pg.Client;
  let folder: string;
  let tenant: string;
  let tenants = 0;

  beforeAll(async () => {
    await buildProgram();
    database = await createTestDatabase();
    sql = new pg.Client(database.url);
    await sql.connect();
    folder = await mkdtemp(join(await runFolder(), 'files-'));
  });
  afterAll(async () => {
    await sql?.end();
    await database?.drop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    tenant = `t${++tenants}`;
  });

  const env = () => ({ DATABASE_URL: database.url, DATA_DIR: join(folder, 'data') });
  const flags = (...more: string[]) => [
    '--tenant',
    tenant,
    '--create-tenant',
    '--customer',
    'c',
    '--endpoint',
    '/x',
    ...more,
  ];
  const MAP = ['--map', 'timestamp=time,value=n'];

  /** Imports a file of that name and content. */
  async function run(name: string, content: string | Buffer, ...more: string[]) {
    const path = join(folder, name);
    await writeFile(path, content);
    return runCommand(['import', path, ...flags(...more)], env());
  }

  async function values(): Promise<string[]> {
    const { rows } = await sql.query(
      'select coalesce(value::text, tokens::text) as value from event where tenant_id = $1 order by ts, event_id',
      [tenant],
    );
    return rows.map((row) => row.value);
  }

  const event = (second: number, value: string) => ({
    timestamp: `2023-11-16T18:00:${String(second).padStart(2, '0')}Z`,
    value,
  });

  describe('a row that the file ends in', () => {
    test('CSV: is left, and counted once when it is whole', async () => {
      const begun = 'time,n\n2023-11-16 18:00:00,1\n2023-11-16 18:00:01,12';
      const first = await run('grows.csv', begun, ...MAP);
      expect(first.code).toBe(1);
      expect(first.err).toContain('NOT IMPORTED: the file ends within the row of line 3');
      expect(first.err).toContain('read on with --from-line 3');
      expect(first.out).toMatch(/rows read {2}1\n {2}stored {5}1\n/);
      expect(first.out).toContain('  left       the row of line 3\n');
      expect(await values()).toEqual(['1']);

      const grown = `${begun}34\n2023-11-16 18:00:02,5`;
      const second = await run('grows.csv', grown, ...MAP, '--from-line', '3', '--last-row', 'leave');
      expect(second.code).toBe(0);
      expect(second.err).toContain('read on with --from-line 4');
      expect(await values()).toEqual(['1', '1234']);

      const third = await run('grows.csv', grown, ...MAP, '--last-row', 'take');
      expect(third).toMatchObject({ code: 0 });
      expect(third.err).not.toContain('NOT IMPORTED');
      expect(await values()).toEqual(['1', '1234', '5']);
    });

    test('also where it is compressed, in quotes, or all there is', async () => {
      const begun = 'time,n\n2023-11-16 18:00:00,1\n2023-11-16 18:00:01,"1\n2\n';
      for (const [name, content] of [
        ['open.csv', begun],
        ['open.csv.gz', gzipSync(begun)],
      ] as const) {
        const { code, err } = await run(name, content, ...MAP);
        expect(code).toBe(1);
        expect(err).toContain('NOT IMPORTED: the file ends within the row of line 3');
      }
      expect(await values()).toEqual(['1']);
      const alone = await run('alone.csv', 'time,n\n2023-11-16 18:00:00,7', ...MAP);
      expect(alone.code).toBe(1);
      expect(await values()).toEqual(['1']);
    });

    test('NDJSON: half an object is left, a whole one is read, once', async () => {
      const lines = [event(0, '1'), event(1, '1234')].map((line) => JSON.stringify(line)).join('\n');
      const first = await run('grows.ndjson', lines.slice(0, -5));
      expect(first.code).toBe(1);
      expect(first.err).toContain('read on with --from-line 2');
      expect(first.out).toMatch(/bad lines {2}0\n/);
      expect(await run('grows.ndjson', lines)).toMatchObject({ code: 0 });
      expect(await run('grows.ndjson', `${lines}\n`)).toMatchObject({ code: 0 });
      expect(await values()).toEqual(['1', '1234']);
    });

    test('JSON: an array that is not closed', async () => {
      const array = JSON.stringify([event(0, '1'), event(1, '2'), event(2, '3')], null, 2);
      const first = await run('grows.json', array.slice(0, -10));
      expect(first.code).toBe(1);
      expect(first.err).toContain('the file ends before its JSON does: element 3');
      expect(await values()).toEqual(['1', '2']);
      expect(await run('grows.json', array, '--from-line', '3')).toMatchObject({ code: 0 });
      expect(await values()).toEqual(['1', '2', '3']);
    });
  });

  describe('JSON', () => {
    const events = [event(0, '1'), event(1, '2'), event(2, '3')];
    const lines = events.map((line) => JSON.stringify(line));

    test.each<[string, string]>([
      ['one object per line', `[\n${lines.join(',\n')}\n]\n`],
      ['all on one line', `[${lines.join(',')}]`],
      ['pretty-printed', JSON.stringify(events, null, 2)],
      ['with a byte order mark and blanks', `\uFEFF\r\n [ ${lines.join(' , ')} ] \r\n`],
      ['objects over several lines', events.map((line) => JSON.stringify(line, null, 2)).join('\n')],
      ['an array per line', `[${lines[0]},${lines[1]}]\n[${lines[2]}]\n`],
      ['NDJSON all the same', `${lines.join('\n')}\n`],
      ['NDJSON with a byte order mark', `\uFEFF${lines.join('\n')}\n`],
    ])('named .json: %s', async (_, content) => {
      for (const [name, bytes] of [
        ['events.json', content],
        ['events.JSON.gz', gzipSync(content)],
      ] as const) {
        const { code, out, err } = await run(name, bytes);
        expect({ code, out }, err).toMatchObject({ code: 0, out: expect.stringContaining('rows read  3') });
      }
      expect(await values()).toEqual(['1', '2', '3']);
    });

    test('one object is one event; an array under another name; a mapping', async () => {
      expect(await run('one.json', JSON.stringify(events[0], null, 2))).toMatchObject({ code: 0 });
      expect(await run('array.ndjson', `[${lines[1]}]`)).toMatchObject({ code: 0 });
      expect(await run('array.txt', `[${lines[2]}]`, '--format', 'json')).toMatchObject({ code: 0 });
      const mapped = await run(
        'mapped.json',
        '[{"at": "2023-11-16T18:00:03Z",\n"n": 4}]',
        '--map',
        'timestamp=at,value=n',
      );
      expect(mapped).toMatchObject({ code: 0 });
      expect(await values()).toEqual(['1', '2', '3', '4']);
    });

    test('bad elements are named by their number', async () => {
      const { code, err } = await run('bad.json', `[${lines[0]},\n{"a":,},\n${lines[1]},{"colour":1}]`);
      expect(code).toBe(0);
      expect(err).toContain('element 2: invalid_json: ');
      expect(err).toContain('element 4: /colour unknown_field: ');
      expect(await values()).toEqual(['1', '2']);
    });

    test.each([
      [
        '{"events":[{"timestamp":"2023-11-16T18:00:00Z"}]}',
        'in its member events: take the array out (jq .events)',
      ],
      [JSON.stringify({ count: 1, meta: { list: [{}] }, data: [{}] }, null, 2), 'in its member data'],
      ['hello\nworld\n', 'failed: nothing was stored, every one of the 2 rows is bad'],
      ['[1,2,3]\n', 'failed: nothing was stored'],
      ['[\n{"a":1}\n]', 'failed: nothing was stored'],
      ['[{"timestamp":"2023-11-16T18:00:00Z"}] tail', 'this is not JSON: element 1 is followed by neither'],
    ])('refused, with why: %s', async (content, message) => {
      const { code, err } = await run('refused.json', content);
      expect(code).toBe(1);
      expect(err).toContain(message);
      expect(err).not.toMatch(/^ {4}at /m);
    });
  });

  test('an import that stores nothing of what it reads fails; one that knows all of it does not', async () => {
    const bad = await run('bad.csv', 'time,n\nnever,1\n', ...MAP);
    expect(bad.code).toBe(1);
    expect(bad.err).toContain('failed: nothing was stored, every one of the 1 rows is bad');
    const good = 'time,n\n2023-11-16 18:00:00,1\n';
    expect((await run('good.csv', good, ...MAP)).err).toBe('');
    const again = await run('good.csv', good, ...MAP);
    expect(again.code).toBe(0);
    expect(again.err).toMatch(
      /^nothing is new: 1 row was known and not counted again: .* \(id prefix [0-9a-f]{12}\); .* an --id-prefix of your own$/m,
    );
    const other = await run('good.csv', good, ...MAP, '--id-prefix', '0123456789ab');
    expect(other).toMatchObject({ code: 0, err: '' });
    expect(await run('empty.ndjson', '')).toMatchObject({ code: 0 });
    expect(await values()).toEqual(['1', '1']);
  });

  describe('gzip', () => {
    const count = 30_000;
    const content = `time,n\n${Array.from({ length: count }, (_, i) => `2023-11-16 18:00:00,${(i * 7_919) % 104_729}\n`).join('')}`;
    const whole = gzipSync(content);
    const stored = async () => (await values()).length;

    test('a few bytes behind its end cost no row, and are told of', async () => {
      const { code, err, out } = await run(
        'tail.csv.gz',
        Buffer.concat([whole, Buffer.from('tail')]),
        ...MAP,
      );
      expect({ code, out }, err).toMatchObject({
        code: 0,
        out: expect.stringContaining('stored     30,000'),
      });
      expect(err).toContain('warning: 4 bytes behind the end of the compressed data were passed over');
    });

    test('several members are one file', async () => {
      const half = Math.floor(content.length / 2);
      const members = Buffer.concat([gzipSync(content.slice(0, half)), gzipSync(content.slice(half))]);
      expect(await run('members.csv.gz', members, ...MAP)).toMatchObject({ code: 0 });
      expect(await stored()).toBe(count);
    });

    test.each([
      [
        'ends too early',
        whole.subarray(0, whole.length / 2),
        'stopped: unexpected end of file; resume with --from-line ',
      ],
      [
        'is damaged',
        Buffer.concat([whole.subarray(0, -8), Buffer.alloc(8, 1)]),
        'stopped: the gzip data are damaged: ',
      ],
    ])('one that %s: what comes before is stored, and the rest later', async (_, file, message) => {
      const { code, err } = await run('cut.csv.gz', file, ...MAP);
      expect(code).toBe(1);
      expect(err).toContain(message);
      expect(err).not.toMatch(/^ {4}at /m);
      const line = Number(/--from-line (\d+)/.exec(err)?.[1]);
      expect(line).toBeGreaterThan(1_000);
      expect(await stored()).toBe(line - 2);
      expect(await run('cut.csv.gz', whole, ...MAP, '--from-line', String(line))).toMatchObject({
        code: 0,
      });
      expect(await stored()).toBe(count);
    });

    test('one that has nothing to read is one line', async () => {
      for (const file of [whole.subarray(0, 12), Buffer.from('\x1f\x8b\x08 and something else', 'latin1')]) {
        const { code, err } = await run('broken.csv.gz', file, ...MAP);
        expect(code).toBe(1);
        expect(err).toMatch(/^tidemark: .*broken\.csv\.gz: .*\n$/);
      }
    });
  });

  describe('columns and times', () => {
    test('a byte order mark, blanks and commas in names, several --map', async () => {
      const content = '\uFEFFtime, c,"tokens, total","say ""n"""\r\n2023-11-16 18:00:00,1,20,300\r\n';
      for (const map of ['value=" c"', 'tokens="tokens, total"', 'value="say ""n"""']) {
        const { code, err } = await run('columns.csv', content, '--map', 'timestamp=time', '--map', map);
        expect(code, err).toBe(0);
      }
      expect((await values()).sort()).toEqual(['1', '20', '300']);
      const { code, err } = await run('columns.csv', content, '--map', 'timestamp=time,value=c');
      expect(code).toBe(1);
      expect(err).toContain('the file has no column c; it has time, " c", "tokens, total", say "n"');
    });

    test('--time-format', async () => {
      const csv = await run('times.csv', 'time,n\n1700157600.5,1\n', ...MAP, '--time-format', 's');
      expect(csv.code, csv.err).toBe(0);
      const line = '{"timestamp":1700157600500000000,"value":"2"}\n';
      const json = await run('times.ndjson', line, '--time-format', 'ns');
      expect(json.code, json.err).toBe(0);
      const { rows } = await sql.query('select distinct ts from event where tenant_id = $1', [tenant]);
      expect(rows.map(({ ts }) => ts.toISOString())).toEqual(['2023-11-16T18:00:00.500Z']);
      expect(await values()).toHaveLength(2);
      const hint = await run('times.csv', 'time,n\n946684800,1\n', ...MAP);
      expect(hint.err).toContain('seconds since 1970 are read with --time-format s');
      const wrong = await run('times.csv', 'time,n\n2023-11-16,1\n', ...MAP, '--time-format', 's');
      expect(wrong.err).toContain('must be a number of seconds since 1970 (--time-format)');
    });
  });

  test('standard input, compressed or not', async () => {
    const program = fileURLToPath(new URL('../../dist/faces/cli/tidemark.js', import.meta.url));
    const content = 'time,n\n2023-11-16 18:00:00,1\n2023-11-16 18:00:01,2';
    for (const [bytes, code] of [
      [Buffer.from(content), 1],
      [gzipSync(content), 1],
      [Buffer.from(`${content}\n`), 0],
    ] as const) {
      const child: ChildProcess = spawn(process.execPath, [program, 'import', '-', ...flags(...MAP)], {
        env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env() },
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      child.stdin!.end(bytes);
      expect((await once(child, 'close'))[0]).toBe(code);
    }
    expect(await values()).toEqual(['1', '2']);
  });
}
