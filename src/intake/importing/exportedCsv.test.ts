import fc from 'fast-check';
import { expect, test } from 'vitest';
import { csvLine } from '../../outbound/exporting/csvLine.ts';
import { guard, unguard } from '../../outbound/exporting/formulaGuard.ts';
import { readCsv } from './readCsv.ts';
import { readLines } from './readLines.ts';

/** The texts of the rows below the header. */
async function readBack(csv: string): Promise<string[][]> {
  async function* bytes() {
    yield Buffer.from(csv);
  }
  const { rows } = await readCsv(readLines(bytes()), ',', 'leave');
  const found: string[][] = [];
  for await (const block of rows) found.push(...block.map((row) => row.values!.map(unguard)));
  return found;
}

test.each([
  ['=1', "'=1"],
  ["'=1", "''=1"],
  ["''=1", "'''=1"],
  ['+49', "'+49"],
  ['@x', "'@x"],
  ['\tx', "'\tx"],
  ['\r=1', "'\r=1"],
  ['\n=1', "'\n=1"],
  ['＝1', "'＝1"],
  ['-x', "'-x"],
  ["'-x", "''-x"],
  ['-12.5', '-12.5'],
  ["'-12.5", "'-12.5"],
  ["'s-Hertogenbosch", "'s-Hertogenbosch"],
  ["'", "'"],
  ['a=1', 'a=1'],
  ['', ''],
])('the cell of %j is %j, and is read back', (text, cell) => {
  expect(guard(text)).toBe(cell);
  expect(unguard(cell)).toBe(text);
});

test('no two texts have one cell, and none begins a formula', () => {
  const text = fc.string({
    unit: fc.constantFrom("'", '=', '+', '-', '@', '\t', '\r', '\n', '1', '.', 'a', '＝'),
  });
  fc.assert(
    fc.property(text, (value) => {
      const cell = guard(value);
      expect(unguard(cell)).toBe(value);
      expect(cell).not.toMatch(/^[=+@\t\r\n＝]|^-(?![\d.]+$)/);
    }),
    { numRuns: 2_000 },
  );
});

test('lines of any texts are read back', async () => {
  const text = fc.string({
    unit: fc.constantFrom("'", '=', '-', '1', ',', '"', '\n', ' ', 'ä', 'x', '\uFEFF'),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 10 }), async (rows) => {
      expect(await readBack([['a', 'b'], ...rows].map(csvLine).join(''))).toEqual(rows);
    }),
    { examples: [[[['\uFEFFa', '\uFEFF']]]] },
  );
});
