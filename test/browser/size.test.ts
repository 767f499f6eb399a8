import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { beforeAll, expect, it } from 'vitest';
import { buildProgram } from '../support/buildProgram.ts';

const PAGE = fileURLToPath(new URL('../../dist/faces/console/page', import.meta.url));
const MOST_BYTES = 80 * 1_024;

beforeAll(buildProgram, 180_000);

it('all files of the console together are at most 80 KB, as they are sent', () => {
  const files = readdirSync(PAGE, { recursive: true, encoding: 'utf8' }).filter(
    // What pages of others load is one file of its own: embed.test.ts.
    (name) => ['.js', '.css'].includes(extname(name)) && !name.startsWith('embed/'),
  );
  const sizes = files.map((name): [string, number] => [
    name,
    gzipSync(readFileSync(join(PAGE, name)), { level: 9 }).length,
  ]);
  const sum = sizes.reduce((total, [, bytes]) => total + bytes, 0);
  const largest = sizes.toSorted(([, a], [, b]) => b - a).slice(0, 12);
  expect(files).toEqual(expect.arrayContaining(['main.js', 'console.css']));
  expect(
    sum,
    `the largest: ${largest.map(([name, bytes]) => `${name} ${bytes}`).join(', ')}`,
  ).toBeLessThanOrEqual(MOST_BYTES);
});
