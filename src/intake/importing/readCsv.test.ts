import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StartupError } from '../../model/errors.ts';
import { readCsv } from './readCsv.ts';
import { MAX_LINE_BYTES, readLines } from './readLines.ts';

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Header and rows as `[line, values]`, or `[line, code]` for a fault. */
async function read(content: string | Buffer, { size = 262_144, delimiter = ',' } = {}) {
  const { header, rows } = await readCsv(readLines(chunksOf(Buffer.from(content), size)), delimiter);
  const found: [number, string[] | string][] = [];
  for await (const block of rows) {
    for (const row of block) found.push([row.line, row.fault ? row.fault.code : row.values]);
  }
  return { header, rows: found };
}

describe('rows and their lines', () => {
  test('LF, CRLF, a byte order mark, no end on the last line', async () => {
    const expected = {
      header: ['a', 'b'],
      rows: [
        [2, ['1', 'x']],
        [3, ['2', '']],
      ],
    };
    expect(await read('a,b\n1,x\n2,\n')).toEqual(expected);
    expect(await read('a,b\r\n1,x\r\n2,\r\n')).toEqual(expected);
    expect(await read('\uFEFFa,b\n1,x\r\n2,')).toEqual(expected);
  });

  test('quoted fields with delimiters, quotes and line ends keep the line they begin in', async () => {
    expect(await read('a,b\n1,"x, ""y"""\n2,"one\ntwo\r\nthree"\n3,z\n')).toEqual({
      header: ['a', 'b'],
      rows: [
        [2, ['1', 'x, "y"']],
        [3, ['2', 'one\ntwo\r\nthree']],
        [6, ['3', 'z']],
      ],
    });
  });

  test('a row is known by the same text whatever the line ends of its file, those within its fields too', async () => {
    const texts = async (content: string) => {
      const { header, rows } = await readCsv(readLines(chunksOf(Buffer.from(content), 1_000)), ',');
      const found: string[] = [];
      for await (const block of rows) found.push(...block.map(({ text }) => text));
      return { header, found };
    };
    const content = '"a\nA",b\n1,"x\n\ny"\n2,"z"\n';
    const expected = { header: ['a\nA', 'b'], found: ['["1","x\\n\\ny"]', '["2","z"]'] };
    expect(await texts(content)).toEqual(expected);
    expect(await texts(content.replaceAll('\n', '\r\n'))).toEqual(expected);
  });

  test('a header of several lines, blank lines, an empty quoted field at the end', async () => {
    expect(await read('\n"a\nA",b\n\n1,""\n\n\n2,"x"\n')).toEqual({
      header: ['a\nA', 'b'],
      rows: [
        [5, ['1', '']],
        [8, ['2', 'x']],
      ],
    });
  });

  test('another delimiter', async () => {
    expect(await read('a;b\n1,5;"x;y"\n', { delimiter: ';' })).toEqual({
      header: ['a', 'b'],
      rows: [[2, ['1,5', 'x;y']]],
    });
  });

  test('a quote inside an unquoted field is text', async () => {
    expect((await read('a,b\n5" disk,x\n')).rows).toEqual([[2, ['5" disk', 'x']]]);
  });

  test('what is cut into chunks anywhere reads the same', async () => {
    const content = '\uFEFFa,b\r\n1,"ä,\r\n""ö"""\r\n\r\n2,"x"y\r\n3,€\r\n4,z';
    const whole = await read(content);
    expect(whole.rows).toEqual([
      [2, ['1', 'ä,\r\n"ö"']],
      [5, 'quote_invalid'],
      [6, ['3', '€']],
      [7, ['4', 'z']],
    ]);
    for (let size = 1; size < 20; size++) expect(await read(content, { size })).toEqual(whole);
  });

  test('what is written as RFC 4180 says is read back', async () => {
    const field = fc.string({ unit: fc.constantFrom('a', 'ä', ',', '"', '\n', ' ', '😀') });
    const records = fc.array(fc.tuple(field, field), { minLength: 1, maxLength: 20 });
    const quoted = (value: string) => `"${value.replaceAll('"', '""')}"`;
    await fc.assert(
      fc.asyncProperty(records, fc.integer({ min: 1, max: 50 }), async (rows, size) => {
        const content = [['h1', 'h2'], ...rows].map((row) => row.map(quoted).join(',')).join('\r\n');
        const found = await read(content, { size });
        expect(found.rows.map(([, values]) => values)).toEqual(rows);
      }),
    );
  });
});

describe('bad rows', () => {
  test('too few and too many fields', async () => {
    expect((await read('a,b\n1\n1,2\n1,2,3\n')).rows).toEqual([
      [2, 'column_count'],
      [3, ['1', '2']],
      [4, 'column_count'],
    ]);
  });

  test('a misplaced quote costs its own row only', async () => {
    expect((await read('a,b\n1,"x"y\n2,z\n3,"ok"\n')).rows).toEqual([
      [2, 'quote_invalid'],
      [3, ['2', 'z']],
      [4, ['3', 'ok']],
    ]);
  });

  test('a quote that is never closed costs its own row only', async () => {
    expect((await read('a,b\n1,"x\n2,z\n3,w')).rows).toEqual([
      [2, 'quote_invalid'],
      [3, ['2', 'z']],
      [4, ['3', 'w']],
    ]);
    const many = 40_000;
    const { rows } = await read(`a,b\n1,"x\n${`2,${'z'.repeat(50)}\n`.repeat(many)}`);
    expect(rows).toHaveLength(many + 1);
    expect(rows[0]).toEqual([2, 'quote_invalid']);
    expect(rows[many]![0]).toBe(many + 2);
  });

  test('a line that is not UTF-8, also inside quotes', async () => {
    const content = Buffer.from('a,b\n1,\xff\n2,x\n3,"y\n\xff\nz"\n4,w\n', 'latin1');
    for (const size of [3, 1_000]) {
      expect((await read(content, { size })).rows).toEqual([
        [2, 'invalid_encoding'],
        [3, ['2', 'x']],
        [4, 'quote_invalid'],
        [5, 'invalid_encoding'],
        [6, 'column_count'],
        [7, ['4', 'w']],
      ]);
    }
  });

  test('a line that is too long, however it is cut', async () => {
    const content = `a,b\n1,${'x'.repeat(MAX_LINE_BYTES)}\n2,y\n3,${'x'.repeat(MAX_LINE_BYTES)}`;
    for (const size of [100_000, 10_000_000]) {
      expect((await read(content, { size })).rows).toEqual([
        [2, 'line_too_long'],
        [3, ['2', 'y']],
        [4, 'line_too_long'],
      ]);
    }
  });

  test('a line of nothing but delimiters', async () => {
    expect((await read(`a,b\n${','.repeat(MAX_LINE_BYTES - 1)}\n1,2\n`)).rows).toEqual([
      [2, 'column_count'],
      [3, ['1', '2']],
    ]);
  });

  test('no header', async () => {
    await expect(read('')).rejects.toThrow(StartupError);
    await expect(read('\n\n')).rejects.toThrow('it needs a header line');
    await expect(read('a,"b\n')).rejects.toThrow('the header line cannot be read');
  });
});
