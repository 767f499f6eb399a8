import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { describeEngine } from '../support/database.ts';
import { startListeningService } from '../support/listening.ts';
import { blockNamed, blocksOf, readMarkdown } from '../support/markdown.ts';
import { answersOf } from '../support/pageCommands.ts';
import { installedProgram } from '../support/program.ts';

const EMBED = fileURLToPath(new URL('../../src/faces/console/page/embed/', import.meta.url));

describeEngine('the page about the portal', () => {
  beforeAll(() => installedProgram('curl'), 300_000);

  it('has a customer read its own, and no more, for as long as it may', async () => {
    const t = await startListeningService();
    onTestFinished(() => t.stop());
    const page = await readMarkdown('docs/portal.md');
    const [shownToken, shownMeters] = blocksOf(page)
      .filter(({ language }) => language === 'json')
      .map(({ code }) => JSON.parse(code));

    const [, posted, made] = await answersOf(t, blockNamed(page, 'token'));
    expect(posted).toEqual({ accepted: 3, duplicates: 0 });
    const { id, keyId, expiresAt, createdAt, token } = made;
    expect(made).toEqual({ ...shownToken, id, keyId, expiresAt, createdAt, token });
    expect(Date.parse(expiresAt) - Date.parse(createdAt)).toBe(3_600_000);

    const withToken = (name: string) => blockNamed(page, name).replace(/^export TOKEN=\S+$/m, '');
    const run = (name: string) => answersOf(t, `TOKEN=${token}\n${withToken(name)}`);
    const [meters, byRegion, total, usage, key] = await run('read');
    expect(meters).toEqual(shownMeters);
    expect(byRegion.data).toMatchObject([
      { dimensions: { region: 'eu' }, value: '1.25' },
      { dimensions: { region: 'us' }, value: '2.000000000000000001' },
    ]);
    expect(total.data).toMatchObject([{ value: '3.250000000000000001' }]);
    expect([usage.code, key.code]).toEqual(['portal_not_allowed', 'unauthenticated']);
    const [refused, revoked] = await run('revoke');
    expect(refused).toMatchObject({ status: 401, code: 'token_revoked' });
    expect(revoked.data).toMatchObject([{ id, state: 'revoked' }]);
  });
});

it('the page about the portal tells of every attribute, property and part that there is', async () => {
  const page = await readMarkdown('docs/portal.md');
  const source = ['element', 'styles', 'chart', 'table'].map((name) =>
    readFileSync(`${EMBED}${name}.ts`, 'utf8'),
  );
  const code = source.join('\n');
  const section = page.slice(page.indexOf('## `<tidemark-usage>`'));
  const attributes = new Set([...code.matchAll(/getAttribute\('([\w-]+)'\)/g)].map(([, name]) => name!));
  attributes.delete('lang');
  expect(attributes.size).toBeGreaterThan(8);
  for (const name of attributes) expect(section).toContain(`\`${name}\``);
  const parts = new Set([...code.matchAll(/part: '(\w+)'/g)].map(([, name]) => name!));
  expect(parts.size).toBeGreaterThan(6);
  for (const name of parts) expect(section).toContain(`\`${name}\``);
  for (const [, name] of code.matchAll(/(--tidemark-[a-z]+)\b(?!-)/g)) expect(section).toContain(name!);
  for (const [, name] of code.matchAll(/this\.tell\('([\w-]+)'/g)) expect(section).toContain(name!);
});
