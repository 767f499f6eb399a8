import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { TidemarkError } from '../../model/errors.ts';
import type { CorrectionRequest } from './correction.ts';
import { Corrections, type CorrectionsOptions } from './corrections.ts';

const options = (connect: () => Promise<unknown>) =>
  ({ answerWithinMs: 20_000, connect, registry: new Registry() }) as unknown as CorrectionsOptions;
const request = {
  kind: 'void',
  context: { tenantId: 't' },
  reason: 'r',
  events: [],
} as unknown as CorrectionRequest;

it('are answered before the connection of who asked is closed, and go on', async () => {
  let fail = (_: Error): void => undefined;
  const connection = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const corrections = new Corrections({ ...options(() => connection), answerWithinMs: 20 });
  const answer = await corrections.correct(request).catch((error: unknown) => error);
  expect(answer).toMatchObject({ code: 'deadline_exceeded', retryAfterSeconds: 10 });
  const next = corrections.correct(request);
  fail(new TidemarkError('not_found', 'of the first, and of the next, which has waited for it'));
  await expect(next).rejects.toThrow('of the first');
});

it('are told that they are too much for one transaction, and not tried again', async () => {
  let asked = 0;
  const client = {
    query: async () => {
      asked++;
      throw Object.assign(new Error('out of shared memory'), { code: '53200' });
    },
    end: async () => undefined,
  };
  const corrections = new Corrections(options(async () => client));
  await expect(corrections.correct(request)).rejects.toMatchObject({ code: 'transaction_too_large' });
  expect(asked).toBe(1);
});
