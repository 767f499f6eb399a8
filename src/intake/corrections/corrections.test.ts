import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { TidemarkError } from '../../model/errors.ts';
import type { CorrectionRequest } from './correction.ts';
import { Corrections } from './corrections.ts';

it('are answered before the connection of who asked is closed, and go on', async () => {
  let fail = (_: Error): void => undefined;
  const connection = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const corrections = new Corrections({
    answerWithinMs: 20,
    connect: () => connection,
    registry: new Registry(),
  } as unknown as ConstructorParameters<typeof Corrections>[0]);
  const request = {
    kind: 'void',
    context: { tenantId: 't' },
    reason: 'r',
    events: [],
  } as unknown as CorrectionRequest;
  const answer = await corrections.correct(request).catch((error: unknown) => error);
  expect(answer).toMatchObject({ code: 'deadline_exceeded', retryAfterSeconds: 10 });
  const next = corrections.correct(request);
  fail(new TidemarkError('not_found', 'of the first, and of the next, which has waited for it'));
  await expect(next).rejects.toThrow('of the first');
});
