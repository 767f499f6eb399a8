import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const folder = new URL('../../findings/', import.meta.url);

/** CONTRIBUTING, "Findings". */
test.each(readdirSync(folder))('findings/%s has the form of a finding', (name) => {
  expect(name).toMatch(/^[a-z0-9-]+\.sh$/);
  const script = readFileSync(new URL(name, folder), 'utf8');
  const comment = script.split('\n').filter((line) => line.startsWith('#'));
  for (const part of ['With:', 'Input:', 'Seen:', 'So:']) {
    expect(comment.filter((line) => line.startsWith(`# ${part}`))).toHaveLength(1);
  }
  expect(script).toContain('set -euo pipefail');
  expect(script).toContain('dir=$(mktemp -d)');
  for (const [, packages] of script.matchAll(/npm install((?:\\\n|[^\n])*)/g)) {
    const named = packages!.split(/[\s\\]+/).filter((word) => word !== '' && !word.startsWith('--'));
    expect(named.length).toBeGreaterThan(0);
    for (const wanted of named) expect(wanted).toMatch(/.@\d+\.\d+\.\d+/);
  }
});
