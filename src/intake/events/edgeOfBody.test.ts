import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { holdsLongNumber } from '../../model/json.ts';

/** Where the look at every sixteenth byte never ended, the run would not either: a context of its own is broken off. */
const look = (json: string): boolean =>
  runInNewContext('look()', { look: () => holdsLongNumber(Buffer.from(json)) }, { timeout: 20_000 });

it.each([
  ['1234567890123456', false],
  ['1234567890123456789', true],
  ['9007199254740993', true],
  ['{"timestamp":"2026-11-27T17:37:00', false],
  ['....////....////', true],
])('a body that begins, or breaks off, in digits is looked at to its end: %s', (json, long) => {
  expect(look(json)).toBe(long);
});

it('wherever it breaks off', () => {
  const json = `[{"n":1234567890123456789,"m":0.1,"t":"2026-11-27T17:37:00.123456/12345678901234567"},${'9'.repeat(40)}]`;
  for (let end = 0; end <= json.length; end++) expect(typeof look(json.slice(0, end))).toBe('boolean');
});

it.each([
  ['slashes', '/'.repeat(4_000_000)],
  ['digits', '7'.repeat(4_000_000)],
  ['digits and an exponent that is none', `a ${'7'.repeat(1_000_000)}ex b`],
  ['an exponent', `a 1e${'7'.repeat(4_000_000)}`],
  ['points', '1.'.repeat(2_000_000)],
  ['runs with exponents', '1234567890123456e1 '.repeat(200_000)],
])('a text of %s costs what its length does, not its square', (_case, text) => {
  expect(typeof look(`[{"text":"${text}"}]`)).toBe('boolean');
  expect(look(`[{"text":"${text}"},1234567890123456789]`)).toBe(true);
});
