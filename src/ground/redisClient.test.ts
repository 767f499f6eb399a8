import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** Whether String.prototype has fast properties in a process of its own that has imported a module. */
function staysFast(module: string): boolean {
  const code = `await import(${JSON.stringify(module)});
    process.stdout.write(String(new Function('return %HasFastProperties(String.prototype)')()));`;
  const args = ['--allow-natives-syntax', '--import', 'tsx', '--input-type=module', '--eval', code];
  return execFileSync(process.execPath, args, { encoding: 'utf8' }) === 'true';
}

describe('ioredis', () => {
  it('leaves the strings of the process as fast as they are without it', () => {
    expect(staysFast('node:fs')).toBe(true);
    expect(staysFast(path('redisClient.ts'))).toBe(true);
  });
});

it('nothing else that the service is made of slows its strings down', () => {
  expect(staysFast(path('../faces/service/service.ts'))).toBe(true);
});
