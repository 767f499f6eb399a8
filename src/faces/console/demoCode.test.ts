import { expect, it } from 'vitest';
import type { TidemarkError } from '../../model/errors.ts';
import { DemoCode } from './demoCode.ts';

const KEY = 'tm_demo';

function refusal(code: DemoCode, shown: string): string {
  try {
    return code.exchange(shown);
  } catch (error) {
    return (error as TidemarkError).code;
  }
}

it('gives the key once, for the code and nothing else', () => {
  const code = new DemoCode(KEY);
  expect(Buffer.from(code.code, 'base64url')).toHaveLength(32);
  for (const wrong of ['', code.code.slice(1), `${code.code}x`, new DemoCode(KEY).code]) {
    expect(refusal(code, wrong)).toBe('code_unknown');
  }
  expect(code.exchange(code.code)).toBe(KEY);
  expect(refusal(code, code.code)).toBe('code_spent');
  expect(refusal(code, 'x')).toBe('code_unknown');
});

it('works for a quarter of an hour', () => {
  let ms = 1_000;
  const [kept, late] = [new DemoCode(KEY, () => ms), new DemoCode(KEY, () => ms)];
  ms += 15 * 60_000 - 1;
  expect(kept.exchange(kept.code)).toBe(KEY);
  ms += 1;
  expect(refusal(late, late.code)).toBe('code_spent');
});
