import { expect, it, test } from 'vitest';
import { readForm } from './readForm.ts';

it('reads names in brackets as members', () => {
  expect(
    JSON.parse(JSON.stringify(readForm('event_name=tokens&payload[a]=1&payload%5Bb%5D=x+y%26z&c[d][e]='))),
  ).toEqual({
    event_name: 'tokens',
    payload: { a: '1', b: 'x y&z' },
    c: { d: { e: '' } },
  });
});

it('reads whatever name as a member of its own', () => {
  const form = readForm('__proto__[a]=1&constructor=2');
  expect(Object.keys(form)).toEqual(['__proto__', 'constructor']);
  expect({}).not.toHaveProperty('a');
});

test.each([
  'a]=1',
  '[a]=1',
  'a[b=1',
  'a[b]c=1',
  'a[b][c][d][e][f][g]=1',
  'a=1&a[b]=2',
  'a[b]=2&a=1',
  'a=%ff',
  '%ff=1',
  'a=%ed%a0%80',
  'a=%zz',
])('refuses %s', (text) => {
  expect(() => readForm(text)).toThrow();
});
