import { expect, it } from 'vitest';
import { type Revision, sumsAfter } from './window.ts';

const now = { calls: 3, tokens: 30, inputTokens: 20, outputTokens: 10, value: '0.3' };
const revision = (calls: number, value: string | null): Revision => ({
  windowStart: '2026-11-30T12:00:00.000Z',
  customerId: 'acme',
  revision: 1,
  at: '2026-11-30T12:01:00.000000Z',
  cause: 'late',
  events: 1,
  difference:
    value === null ? null : { calls, tokens: 10 * calls, inputTokens: calls, outputTokens: 0, value },
});

it('has the sums before any revision and after each, computed back from those of now, exactly', () => {
  const all = sumsAfter(now, [revision(1, '0.2'), revision(-2, '-0.000000000000000001')]);
  expect(all.map((sums) => [sums?.calls, sums?.tokens, sums?.value])).toEqual([
    [4, 40, '0.100000000000000001'],
    [5, 50, '0.300000000000000001'],
    [3, 30, '0.3'],
  ]);
  expect(sumsAfter({ ...now, value: null }, [revision(1, '0.2')])[0]).toMatchObject({
    calls: 2,
    value: null,
  });
});

it('does not know what was before a revision that does not tell what it added', () => {
  const all = sumsAfter(now, [revision(1, '0.1'), revision(0, null), revision(1, '0.1')]);
  expect(all.map((sums) => sums?.calls ?? null)).toEqual([null, null, 2, 3]);
});
