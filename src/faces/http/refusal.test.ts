import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from '@hono/zod-openapi';
import { expect, it } from 'vitest';
import { invalidRequest } from './invalidRequest.ts';
import { refusal, refuse } from './refusal.ts';
import { numeric, text } from './schemas.ts';

/** What a caller is told of a value: pointer and code of each fault. */
const faultsOf = (schema: z.ZodType, value: unknown) =>
  invalidRequest(schema.safeParse(value).error!.issues).errors!.map(({ pointer, code }) => [pointer, code]);

it('a rule of ours has a code of its own, at the field that it is about', () => {
  const schema = z
    .strictObject({ name: text(5), size: numeric(9, 'a number').optional(), other: z.string().optional() })
    .refine(({ size, other }) => size !== undefined || other !== undefined, refusal('required', 'one of two'))
    .superRefine(({ other }, context) => {
      if (other === 'x') refuse(context, ['other'], { code: 'not_allowed', message: 'not x' });
    });
  expect(faultsOf(schema, { name: 'a' })).toEqual([['', 'required']]);
  expect(faultsOf(schema, { name: 'a', other: 'x' })).toEqual([['/other', 'not_allowed']]);
  expect(faultsOf(schema, { name: '\0', size: 1 })).toEqual([['/name', 'text_invalid']]);
  expect(faultsOf(schema, { name: 7, size: 1 })).toEqual([['/name', 'invalid_type']]);
  expect(faultsOf(schema, { name: 'abcdef', size: 1 })).toEqual([['/name', 'too_big']]);
});

it('no caller is told custom, whoever forgets to say what', () => {
  expect(
    faultsOf(
      z.string().refine(() => false),
      'a',
    ),
  ).toEqual([['', 'value_invalid']]);
  const schema = z.string().superRefine((_, context) => context.addIssue('no'));
  expect(faultsOf(schema, 'a')).toEqual([['', 'value_invalid']]);
});

it('nobody forgets', async () => {
  const folder = import.meta.dirname;
  const names = await readdir(folder, { recursive: true });
  let rules = 0;
  for (const name of names.filter((one) => one.endsWith('.ts') && !one.endsWith('.test.ts'))) {
    if (name === 'refusal.ts') continue;
    const source = await readFile(join(folder, name), 'utf8');
    expect(source, name).not.toMatch(/\baddIssue\b|\bz\.(custom|check|instanceof)\(/);
    for (const { index } of source.matchAll(/\.refine\(/g)) {
      rules++;
      expect(argumentsAt(source, index + '.refine('.length), `${name}, at ${index}`).toMatch(/\brefusal\(/);
    }
  }
  expect(rules).toBeGreaterThan(5);
});

/** The text up to the parenthesis that closes. */
function argumentsAt(source: string, from: number): string {
  let open = 1;
  let at = from;
  for (; open > 0; at++) {
    if (source[at] === '(') open++;
    else if (source[at] === ')') open--;
  }
  return source.slice(from, at);
}
