import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StartupError } from '../../model/errors.ts';
import { processStart } from './processes.ts';
import { lockService } from './serviceLock.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'tidemark-'));
});
afterEach(() => rm(root, { recursive: true }));

test('a held lock is refused with the holder, a released one is free', async () => {
  const lock = await lockService(root);
  await expect(lockService(root)).rejects.toThrow(
    new StartupError(`another Tidemark (pid ${process.pid}) is running on ${root}`),
  );
  await lock.release();
  await (await lockService(root)).release();
  expect(await readdir(root)).toEqual([]);
});

test.each([
  ['of a dead process', '4194304\nlong/ago\n'],
  ['of a process whose pid was used again', `${process.pid}\nlong/ago\n`],
  ['that was never written', ''],
  ['that is no lock', 'hello'],
])('a lock %s is taken over', async (_, content) => {
  await writeFile(join(root, 'service.pid'), content);
  const lock = await lockService(root);
  expect(await readFile(join(root, 'service.pid'), 'utf8')).toBe(
    `${process.pid}\n${await processStart(process.pid)}\n`,
  );
  await lock.release();
});

test('of many at once, one gets a stale lock', async () => {
  await writeFile(join(root, 'service.pid'), '4194304\nlong/ago\n');
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockService(root)));
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
});
