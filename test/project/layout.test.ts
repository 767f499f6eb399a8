import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { ROOT, readMarkdown } from '../support/markdown.ts';

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .trim()
  .split('\n')
  .filter((file) => existsSync(join(ROOT, file)));

/** Every folder that has something in it, from the root. */
const folders = new Set<string>();
for (const file of files)
  for (let path = dirname(file); path !== '.'; path = dirname(path)) folders.add(path);

const pages = files.filter((file) => file.endsWith('.md') && file !== 'CHANGELOG.md');
const inside = (folder: string) =>
  [...folders].filter((path) => dirname(path) === folder).map((path) => path.slice(folder.length + 1));

/** Rows of the first table below a heading. */
async function tableBelow(page: string, heading: string): Promise<string[][]> {
  const [, below] = (await readMarkdown(page)).split(`\n## ${heading}\n`);
  const rows =
    /(?:^\|.*\n)+/m
      .exec(below ?? '')?.[0]
      .trim()
      .split('\n')
      .slice(2) ?? [];
  return rows.map((row) => row.split('|').slice(1, -1));
}
const quoted = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text!.replace(/\/$/, ''));

it('no folder stands in no document', async () => {
  const names = new Set<string>();
  for (const page of pages) {
    // In code or as the target of a link: a word of a sentence names no folder.
    const text = await readMarkdown(page);
    for (const [code] of text.matchAll(/^ *```[\s\S]*?^ *```|`[^`\n]+`|\]\([^)\s]+\)/gm))
      for (const name of code.match(/[\w.-]+/g) ?? []) names.add(name);
  }
  expect([...folders].filter((folder) => !names.has(folder.split('/').at(-1)!))).toEqual([]);
});

it('no document names a folder or a file that is gone', async () => {
  const top = [...folders].filter((path) => !path.includes('/'));
  const wings = inside('src').map((wing) => [wing, ...inside(`src/${wing}`)]);
  const gone: string[] = [];
  let named = 0;
  for (const page of pages) {
    for (const [, path] of (await readMarkdown(page)).matchAll(/`((?:\.?[\w-]+\/)+[\w.-]*)`/g)) {
      if (/NNNN|NAME/.test(path!)) continue;
      const [first] = path!.split('/');
      const places = top.includes(first!)
        ? [path!]
        : wings.flat().includes(first!) && /\/$|\.\w+$/.test(path!)
          ? paths(path!)
          : [];
      if (places.length === 0) continue;
      named++;
      if (!places.some((place) => existsSync(join(ROOT, place))) && !isIgnored(path!))
        gone.push(`${page}: ${path}`);
    }
  }
  expect(gone).toEqual([]);
  expect(named).toBeGreaterThan(100);
});

/** What a run or a build writes, and no clone has. */
function isIgnored(path: string): boolean {
  return spawnSync('git', ['check-ignore', '--quiet', path], { cwd: ROOT }).status === 0;
}

/** Where what is named by its wing or its room may be. */
function paths(path: string): string[] {
  return [`src/${path}`, ...inside('src').map((wing) => `src/${wing}/${path}`)];
}

it('CONTRIBUTING.md has the folders there are', async () => {
  const rows = (await tableBelow('CONTRIBUTING.md', 'Layout')).flatMap(([first]) => quoted(first!));
  const top = [...folders].filter((path) => !path.includes('/') && path !== 'src');
  const rooms = inside('src').flatMap((wing) => [
    `src/${wing}`,
    ...inside(`src/${wing}`).map((room) => `src/${wing}/${room}`),
  ]);
  expect(rows.toSorted()).toEqual([...top, ...rooms].toSorted());
});

it('docs/architecture.md and the rule of the linter have the same wings', async () => {
  const rows = await tableBelow('docs/architecture.md', 'Wings');
  const wings = rows.map(([wing]) => quoted(wing!)[0]!);
  expect(wings.toSorted()).toEqual(inside('src').toSorted());
  for (const [wing, rooms] of rows) {
    expect(quoted(rooms!).toSorted()).toEqual(inside(`src/${quoted(wing!)[0]}`).toSorted());
  }
  const { overrides, linter } = JSON.parse(await readMarkdown('biome.json'));
  expect(linter.rules.suspicious.noImportCycles).toEqual({ level: 'error', options: { ignoreTypes: false } });
  const rules = overrides.map((override: Override) => {
    const { level, options } = override.linter.rules.style.noRestrictedImports;
    expect(level).toBe('error');
    return [override.includes, options.patterns.flatMap(({ group }) => group)];
  });
  expect(rules).toEqual(
    wings
      .slice(1)
      .map((wing, i) => [[`src/${wing}/**/*.ts`], wings.slice(0, i + 1).map((above) => `**/${above}/**`)]),
  );
});

interface Override {
  includes: string[];
  linter: {
    rules: {
      style: { noRestrictedImports: { level: string; options: { patterns: { group: string[] }[] } } };
    };
  };
}
