import { expect, it } from 'vitest';
import { retryAfterMs } from './retryAfter.ts';

it('reads seconds and dates, and nothing else', () => {
  const now = Date.parse('2026-03-01T12:00:00Z');
  expect(retryAfterMs('120', now)).toBe(120_000);
  expect(retryAfterMs('Sun, 01 Mar 2026 12:01:00 GMT', now)).toBe(60_000);
  for (const nonsense of [undefined, '', '0', '-5', '1.5', 'soon', '1e9', 'Sun, 01 Mar 2026 11:00:00 GMT']) {
    expect([nonsense, retryAfterMs(nonsense, now)]).toEqual([nonsense, undefined]);
  }
});
