import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { StartupError } from '../../model/errors.ts';
import { folderFault } from './folderFault.ts';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tidemark-'));
});
afterAll(() => rm(root, { recursive: true }));

test("a file system's refusal becomes one line", async () => {
  const file = join(root, 'file');
  await writeFile(file, '');
  const folder = join(file, 'data');
  const error = await mkdir(folder, { recursive: true }).catch((fault) => folderFault(folder, fault));
  expect(error).toBeInstanceOf(StartupError);
  expect(String(error)).toMatch(/^StartupError: cannot use the folder .*: there is a file where a folder/);
  expect(String(error)).not.toContain('\n');
});

test('other errors stay what they are', () => {
  for (const error of [new TypeError('x'), new StartupError('y')])
    expect(folderFault('/d', error)).toBe(error);
});
