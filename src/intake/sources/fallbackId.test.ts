import { expect, it } from 'vitest';
import { fallbackIds } from './fallbackId.ts';
import type { SourceEntry } from './source.ts';

const entry: SourceEntry = {
  id: '1790000000000-0',
  origin: '["usage","1790000000000-0"]',
  body: Buffer.from('{}'),
  type: null,
  tenantId: null,
  idempotencyKey: null,
  attributes: null,
  addedMs: 1_790_000_000_000,
  redelivered: false,
};

it('is a UUID that begins with the time', () => {
  expect(fallbackIds(entry)(0)).toMatch(/^01a0c450-6c00-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

it('is the same at every delivery', () => {
  const again = { ...entry, body: Buffer.from('{}'), redelivered: true };
  expect(fallbackIds(again)(3)).toBe(fallbackIds(entry)(3));
  // Never changes: entries are delivered again across releases.
  expect(fallbackIds(entry)(3)).toMatchInlineSnapshot(`"01a0c450-6c00-84e3-a673-382b3c616e7f"`);
});

it('differs by position, entry and body', () => {
  const ids = [
    fallbackIds(entry)(0),
    fallbackIds(entry)(1),
    fallbackIds({ ...entry, origin: '["usage","1790000000000-1"]' })(0),
    fallbackIds({ ...entry, body: Buffer.from('[]') })(0),
  ];
  expect(new Set(ids).size).toBe(4);
});

it.each([null, -1, Number.NaN, 2 ** 60])('does without the time where there is none: %s', (addedMs) => {
  expect(fallbackIds({ ...entry, addedMs })(0)).toMatch(/^00000000-0000-8/);
});
