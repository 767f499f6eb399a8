import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MIGRATIONS } from './schemaState.ts';
import { FUNCTIONS, readFunctions, type SqlFunction } from './sqlFunctions.ts';

const ENGINES = ['postgres', 'timescale'] as const;
const both = ENGINES.map((engine) => ({ engine, functions: readFunctions(engine) }));
/** By their paths, without the suffix. */
const files = new Map<string, SqlFunction>();
for (const path of (await readdir(FUNCTIONS, { recursive: true })).filter((name) => name.endsWith('.sql'))) {
  const [name, folder] = path.slice(0, -'.sql'.length).split('/').reverse();
  const { functions } = both.find(({ engine }) => folder === undefined || engine === folder)!;
  files.set(path.slice(0, -'.sql'.length), functions.find((f) => f.name === name)!);
}

/** Without comments; `bodies`: and without what stands between dollars. */
const bare = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/--.*$/gm, '');
const withoutBodies = (text: string) => bare(text).replaceAll(/\$\$[\s\S]*?\$\$/g, '$$');

describe('migrations/functions', () => {
  it('has files of functions, and folders of engines, and nothing else', async () => {
    const entries = await readdir(FUNCTIONS, { recursive: true });
    expect(entries.filter((name) => !/^((postgres|timescale)\/)?[a-z0-9_]+\.sql$/.test(name)).sort()).toEqual(
      [...ENGINES],
    );
  });

  it.each([...files])('%s: the revision is that of the text', (_, { revision, digest, hash, name }) => {
    const next = `-- revision ${revision + 1}, ${hash.slice(0, 12)}`;
    expect(digest, `${name} has changed: its first line has to be "${next}"`).toBe(hash.slice(0, 12));
  });

  it.each([...files])(
    '%s: one function of that name, told what it does, and granted',
    (_, { name, text }) => {
      expect(text, 'a comment comes first').toMatch(
        /^\/\*[\s*]+\w((?!\*\/)[\s\S])+\*\/\ncreate or replace function /,
      );
      const made = [
        ...bare(text).matchAll(/\bcreate\s+(or\s+replace\s+)?function\s+(?:tenant_data\.)?(\w+)\(/gi),
      ];
      expect(made.map(([, replaces, made]) => [made, Boolean(replaces)])).toEqual([[name, true]]);
      const statements = withoutBodies(text)
        .split(';')
        .map((statement) => statement.trim())
        .filter((statement) => statement !== '');
      const others = statements.slice(1).filter((statement) => !/^do \$/.test(statement));
      const grants = new RegExp(`^(grant|revoke) execute on function (tenant_data\\.)?${name}\\(`);
      expect(others.filter((statement) => !grants.test(statement))).toEqual([]);
      expect(others.filter((statement) => /(from|to) public$/.test(statement))).toHaveLength(1);
    },
  );

  it.each([...files])('%s: is in lower case, and has no line of more than 130 characters', (_, { text }) => {
    const words = bare(text)
      .replaceAll(/'[^']*'/g, "''")
      .replaceAll(/"[^"]*"/g, '""')
      .replaceAll(/%(\d\$)?[IL]/g, '%');
    expect(words.match(/\S*[A-Z]\S*/g)).toBeNull();
    expect(text.split('\n').filter((line) => line.length > 130 || /\s$/.test(line))).toEqual([]);
    expect(text.endsWith(';\n')).toBe(true);
  });

  it.each([...files])('%s: with the rights of its owner only in the schema of the service', (_, { text }) => {
    expect(/security definer/.test(bare(text))).toBe(/set search_path from current/.test(bare(text)));
    expect(text).not.toMatch(/\bpublic\./);
  });

  it('a text that both engines share stands once', () => {
    const [postgres, timescale] = both.map(
      ({ functions }) => new Map(functions.map((f) => [f.name, f.text])),
    );
    const differ = [...postgres!]
      .filter(([name, text]) => timescale!.get(name) !== text)
      .map(([name]) => name);
    const own = readdir(join(FUNCTIONS, 'postgres'));
    return expect(own).resolves.toEqual(differ.map((name) => `${name}.sql`));
  });

  it('migrations leave functions to their files: one may be made first, and none replaced', async () => {
    const later = (await readdir(MIGRATIONS)).filter((name) => name > '0024' && name.endsWith('.js'));
    expect(later.length).toBeGreaterThan(0);
    const names = new Set([...files.values()].map(({ name }) => name));
    for (const migration of later) {
      const text = await readFile(join(MIGRATIONS, migration), 'utf8');
      expect(text, migration).not.toMatch(/create\s+or\s+replace\s+function|alter\s+function/i);
      for (const [, name] of text.matchAll(/create\s+function\s+(?:tenant_data\.)?(\w+)/gi)) {
        expect(names, `${migration} makes ${name}`).toContain(name);
      }
    }
  });
});

describe('readFunctions', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'functions-'));
    for (const engine of ENGINES) await mkdir(join(dir, engine));
  });
  afterEach(() => rm(dir, { recursive: true }));
  const line = '-- revision 12, 0a1b2c3d4e5f\n';

  it('takes what both engines share, and what is of one, by name', async () => {
    await writeFile(join(dir, 'b.sql'), `${line}select 1;\n`);
    await writeFile(join(dir, 'timescale', 'a.sql'), `${line}select 2;\n`);
    await writeFile(join(dir, 'postgres', 'c.sql'), `${line}select 3;\n`);
    const names = (engine: 'postgres' | 'timescale') =>
      readFunctions(engine, dir).map(({ name, revision, text }) => [name, revision, text]);
    expect(names('timescale')).toEqual([
      ['a', 12, 'select 2;\n'],
      ['b', 12, 'select 1;\n'],
    ]);
    expect(names('postgres')).toEqual([
      ['b', 12, 'select 1;\n'],
      ['c', 12, 'select 3;\n'],
    ]);
  });

  it('takes a checkout with the line ends of Windows for the same text', async () => {
    await writeFile(join(dir, 'a.sql'), `${line}select\n1;\n`);
    await writeFile(join(dir, 'b.sql'), `${line}select\n1;\n`.replaceAll('\n', '\r\n'));
    const [a, b] = readFunctions('postgres', dir);
    expect(b).toEqual({ ...a, name: 'b' });
  });

  it('refuses a file without a revision, and two of one name', async () => {
    await writeFile(join(dir, 'a.sql'), 'select 1;\n');
    expect(() => readFunctions('postgres', dir)).toThrow(/a\.sql does not begin with a line like/);
    await writeFile(join(dir, 'a.sql'), `${line}select 1;\n`);
    await writeFile(join(dir, 'postgres', 'a.sql'), `${line}select 1;\n`);
    expect(() => readFunctions('postgres', dir)).toThrow('two files of the function a for the postgres');
    expect(readFunctions('timescale', dir)).toHaveLength(1);
  });
});
