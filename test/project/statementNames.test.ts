import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('../../src/', import.meta.url).pathname;

/** Names of prepared statements: of objects that have their `name` and then their `text`. */
const NAMED = /\bname: ('[^']*'|`[^`]*`),\s+text\b/g;

/** On one connection a name is that of one statement: another of the same name fails there, and only there. */
test('no two prepared statements have the same name', () => {
  const places = new Map<string, string[]>();
  for (const file of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.endsWith('.test.ts')) continue;
    for (const [, name] of readFileSync(join(root, file), 'utf8').matchAll(NAMED)) {
      places.set(name!, [...(places.get(name!) ?? []), file]);
    }
  }
  expect(places.size).toBeGreaterThan(20);
  expect([...places].filter(([, files]) => files.length > 1)).toEqual([]);
});
