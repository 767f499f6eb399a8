import { expect, it } from 'vitest';
import { loadConfig } from '../../../ground/config/loadConfig.ts';
import type { AttemptResult } from './outgoing.ts';
import { verdictOn } from './verdict.ts';

const { delivery: config } = loadConfig({});
const failed: AttemptResult = { ok: false, status: 500, error: 'x', response: null, durationMs: 1 };
const webhook = (attempts: number) => ({
  attempts,
  destination: { url: 'http://x/', stream: null, secrets: [] },
});
const stream = (attempts: number) => ({ attempts, destination: { url: null, stream: 's', secrets: [] } });
const [S, M, H] = [1_000, 60_000, 3_600_000];

it('follows the schedule of Standard Webhooks, then gives up', () => {
  const delays = [];
  for (let attempts = 0; ; attempts++) {
    const { outcome, retryInMs } = verdictOn(webhook(attempts), failed, config, () => 0.5);
    if (outcome === 'dead') break;
    delays.push(retryInMs);
  }
  expect(delays).toEqual([5 * S, 5 * M, 30 * M, 2 * H, 5 * H, 10 * H, 14 * H, 20 * H, 24 * H]);
});

it('spreads attempts by a tenth, and waits longer where it is asked to, up to a day', () => {
  const inMs = (result: AttemptResult, random: number) =>
    verdictOn(webhook(1), result, config, () => random).retryInMs;
  expect(inMs(failed, 0)).toBe(4.5 * M);
  expect(inMs(failed, 1)).toBeCloseTo(5.5 * M);
  expect(inMs({ ...failed, retryAfterMs: 2 * H }, 0.5)).toBe(2 * H);
  expect(inMs({ ...failed, retryAfterMs: S }, 0.5)).toBe(5 * M);
  expect(inMs({ ...failed, retryAfterMs: 1_000 * H }, 0.5)).toBe(24 * H);
});

it('asks our own Redis again and again, unless there is none', () => {
  expect(verdictOn(stream(1_000), failed, config, () => 0.5)).toEqual({
    outcome: 'failed',
    retryInMs: 5 * S,
  });
  expect(verdictOn(stream(0), { ...failed, final: true }, config)).toEqual({
    outcome: 'dead',
    retryInMs: null,
  });
  expect(verdictOn(stream(0), { ...failed, ok: true }, config)).toEqual({
    outcome: 'delivered',
    retryInMs: null,
  });
});
