import { expect, it } from 'vitest';
import { z } from 'zod';
import { issueMessage } from './issueMessage.ts';

const messages = (schema: z.ZodType, input: unknown) =>
  schema.safeParse(input).error?.issues.map((issue) => issueMessage(issue));

it('says what is left out or empty without the words of a type system', () => {
  const schema = z.object({ id: z.string().min(1), tags: z.array(z.string()), n: z.number() });
  expect(messages(schema, { id: '' })).toEqual(['must not be empty', 'is required', 'is required']);
});

it('leaves everything else as the schema says it', () => {
  const schema = z.object({
    own: z.string({ error: 'is required: three letters' }),
    long: z.string().min(2),
    list: z.array(z.string()).min(1),
    n: z.number(),
  });
  expect(messages(schema, { long: '', list: [], n: 'undefined' })).toEqual([
    'is required: three letters',
    'Too small: expected string to have >=2 characters',
    'Too small: expected array to have >=1 items',
    'Invalid input: expected number, received string',
  ]);
});
