import { execFileSync } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { anchorOf } from '../../docs/tools/apiPage.ts';
import { ROOT, readMarkdown } from '../support/markdown.ts';

const pages = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], {
  cwd: ROOT,
  encoding: 'utf8',
})
  .trim()
  .split('\n');

/** Without code, whose brackets are no links. */
const proseOf = (markdown: string) =>
  markdown
    .replaceAll(/^ *```[\s\S]*?^ *```/gm, '')
    .replaceAll(/`[^`\n]+`/g, (code) => code.replaceAll(/[[\]()]/g, '·'));

/** Headings as GitHub names them, a number behind those that are there twice. */
function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>();
  const seen = new Map<string, number>();
  for (const [, heading] of markdown
    .replaceAll(/^ *```[\s\S]*?^ *```/gm, '')
    .matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const anchor = anchorOf(heading!.replaceAll(/\[([^\]]+)\]\([^)]*\)/g, '$1'));
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    anchors.add(times === 0 ? anchor : `${anchor}-${times}`);
  }
  return anchors;
}

it('finds the pages', () => {
  expect(pages).toEqual(
    expect.arrayContaining(['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/README.md']),
  );
});

describe.each(pages)('%s', (page) => {
  it('has no link that leads nowhere', async () => {
    const markdown = await readMarkdown(page);
    const broken: string[] = [];
    for (const [, target] of proseOf(markdown).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      const [path, anchor] = target!.split('#') as [string, string?];
      const file = path === '' ? page : normalize(join(dirname(page), path));
      const there = await stat(join(ROOT, file)).catch(() => undefined);
      const found =
        there &&
        (anchor === undefined || (file.endsWith('.md') && anchorsOf(await readMarkdown(file)).has(anchor)));
      if (!found) broken.push(target!);
    }
    expect(broken).toEqual([]);
  });
});

it('docs/README.md leads to every page of the documentation', async () => {
  const index = await readMarkdown('docs/README.md');
  const missing = pages
    .filter((page) => /^docs\/[\w-]+\.md$/.test(page) && page !== 'docs/README.md')
    .filter((page) => !index.includes(`](${page.replace('docs/', '')})`));
  expect(missing, 'add them to docs/README.md').toEqual([]);
});
