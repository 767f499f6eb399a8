import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { OTHER_NAMES, providerNameOf } from './providerNames.ts';

it('docs/costs.md has all names', async () => {
  const page = await readFile(new URL('../../../docs/costs.md', import.meta.url), 'utf8');
  for (const [name, others] of Object.entries(OTHER_NAMES)) {
    expect(page).toContain(`| \`${name}\` | ${others.map((other) => `\`${other}\``).join(', ')} |\n`);
    for (const one of [name, ...others]) expect(providerNameOf(one)).toBe(name);
  }
});
