import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { homedir, tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { processStart, worksIn } from './processes.ts';

test('a running process has a start that stays the same', async () => {
  const start = await processStart(process.pid);
  expect(start).toBeTruthy();
  expect(await processStart(process.pid)).toBe(start);
});

test('a process that ended has none', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  expect(await processStart(child.pid!)).toBeUndefined();
});

test('two processes differ', async () => {
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 10_000)']);
  expect(await processStart(child.pid!)).not.toBe(await processStart(process.pid));
  child.kill();
  await once(child, 'exit');
});

test('tells where a process works', async () => {
  const cwd = tmpdir();
  const child = spawn(process.execPath, ['-e', 'console.log(1); setTimeout(() => {}, 10_000)'], { cwd });
  await once(child.stdout, 'data');
  expect(await worksIn(child.pid!, cwd)).toBe(true);
  expect(await worksIn(child.pid!, homedir())).toBe(false);
  child.kill();
  await once(child, 'exit');
  expect(await worksIn(child.pid!, cwd)).toBeUndefined();
});
