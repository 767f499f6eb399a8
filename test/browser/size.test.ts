import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { beforeAll, expect, it } from 'vitest';
import { moduleGraph } from '../../src/faces/console/moduleGraph.ts';
import { buildProgram } from '../support/buildProgram.ts';

const PAGE = fileURLToPath(new URL('../../dist/faces/console/page', import.meta.url));
const MOST_BYTES = 80 * 1_024;

beforeAll(buildProgram, 180_000);

const files = () =>
  readdirSync(PAGE, { recursive: true, encoding: 'utf8' }).filter((name) =>
    ['.js', '.css'].includes(extname(name)),
  );
const textOf = (name: string) => readFileSync(join(PAGE, name), 'utf8');
/** As it is sent. */
const sizeOf = (name: string) => gzipSync(textOf(name), { level: 9 }).length;
const sum = (names: string[]) => names.reduce((total, name) => total + sizeOf(name), 0);
const largest = (names: string[]) =>
  names
    .map((name): [string, number] => [name, sizeOf(name)])
    .sort(([, a], [, b]) => b - a)
    .slice(0, 12)
    .map(([name, bytes]) => `${name} ${bytes}`)
    .join(', ');

it('all files of the console together are at most 80 KB, as they are sent', () => {
  const all = files();
  expect(all).toEqual(expect.arrayContaining(['main.js', 'vendor/uplot.js', 'styles/console.css']));
  expect(sum(all), `the largest: ${largest(all)}`).toBeLessThanOrEqual(MOST_BYTES);
});

it('each page of it is at most so much, with all that it loads', () => {
  const all = files();
  const pages = all.filter((name) => /^pages\/\w+\/\w+Page\.js$/.test(name));
  expect(pages).toEqual(expect.arrayContaining(['pages/now/NowPage.js', 'pages/usage/UsagePage.js']));
  const styles = all.filter((name) => name.endsWith('.css'));
  const read = (name: string) => (all.includes(name) ? textOf(name) : undefined);
  for (const page of pages) {
    const loaded = [...moduleGraph(['main.js', page], read), ...styles];
    expect(loaded.length).toBeGreaterThan(20);
    expect(sum(loaded), `${page}, the largest: ${largest(loaded)}`).toBeLessThanOrEqual(MOST_BYTES);
  }
});
