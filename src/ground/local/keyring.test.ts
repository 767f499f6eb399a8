import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StartupError } from '../../model/errors.ts';
import { loadKeyring } from './keyring.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tidemark-'));
});
afterEach(() => rm(root, { recursive: true }));

test('keys are made once, in a folder that need not exist, for their owner only', async () => {
  const dataDir = join(root, 'a', 'b');
  const made = await loadKeyring(dataDir);
  expect(made.adminKey).toMatch(/^tm_[A-Za-z0-9_-]{43}$/);
  expect(made.demoKey).not.toBe(made.adminKey);
  expect(await loadKeyring(dataDir)).toEqual(made);
  expect((await stat(join(dataDir, 'keys.json'))).mode & 0o777).toBe(0o600);
});

test('a damaged file is named, and kept', async () => {
  const path = join(root, 'keys.json');
  await writeFile(path, '{"adminKey":"tm_short"}');
  await expect(loadKeyring(root)).rejects.toThrow(`${path} is damaged`);
  expect(await readFile(path, 'utf8')).toBe('{"adminKey":"tm_short"}');
});

test('a folder that cannot be made is a startup error', async () => {
  await writeFile(join(root, 'file'), '');
  await expect(loadKeyring(join(root, 'file', 'data'))).rejects.toBeInstanceOf(StartupError);
});
