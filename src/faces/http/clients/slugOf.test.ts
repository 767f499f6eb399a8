import fc from 'fast-check';
import { expect, it } from 'vitest';
import { slugOf } from './slugOf.ts';

it('is the name itself where that is a slug', () => {
  for (const name of ['tokens', 'api_calls', '1', 'x'.repeat(64)]) expect(slugOf(name)).toBe(name);
});

it('is a slug of at most 64 characters, another for each name', () => {
  const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 90 }), { maxLength: 30 });
  fc.assert(
    fc.property(names, (some) => {
      const slugs = some.map(slugOf);
      expect(new Set(slugs).size).toBe(some.length);
      for (const slug of slugs) expect(slug).toMatch(/^(?=.{1,64}$)[a-z0-9]+(?:_[a-z0-9]+)*$/);
    }),
  );
  expect(slugOf('Storage-GB')).toMatch(/^storage_gb_[0-9a-f]{12}$/);
  expect(slugOf('Storage GB')).not.toBe(slugOf('Storage-GB'));
});
