import { describe, expect, test } from 'vitest';
import { readCsv } from './readCsv.ts';
import { readLines } from './readLines.ts';
import { readNdjson } from './readNdjson.ts';
import type { LastRow, Row } from './row.ts';

/* A file may be read while it is written: what its end says of the last row. */

async function* chunksOf(content: string, size: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(content);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(blocks: AsyncIterable<Row<unknown>[]>) {
  const found: [number, unknown][] = [];
  for await (const rows of blocks) {
    for (const row of rows) {
      const what = row.fault ? row.fault.code : row.values;
      expect(row.unfinished === true).toBe(what === 'unfinished');
      found.push([row.line, what]);
    }
  }
  return found;
}

const csv = async (content: string, last: LastRow, size = 1_000) =>
  collect((await readCsv(readLines(chunksOf(content, size)), ',', last)).rows);
const ndjson = (content: string, last: LastRow, size = 1_000) =>
  collect(readNdjson(readLines(chunksOf(content, size)), last));

describe('CSV', () => {
  test.each<[string, [number, unknown][], [number, unknown][]]>([
    ['1,12', [], [[2, ['1', '12']]]],
    [
      '1,x\n2,12',
      [[2, ['1', 'x']]],
      [
        [2, ['1', 'x']],
        [3, ['2', '12']],
      ],
    ],
    [
      '1,x\r\n2,y\r',
      [[2, ['1', 'x']]],
      [
        [2, ['1', 'x']],
        [3, ['2', 'y']],
      ],
    ],
    [
      '1,x\n2',
      [[2, ['1', 'x']]],
      [
        [2, ['1', 'x']],
        [3, 'column_count'],
      ],
    ],
    [
      '1,x\n2,"y"',
      [[2, ['1', 'x']]],
      [
        [2, ['1', 'x']],
        [3, ['2', 'y']],
      ],
    ],
    [
      '1,x\n2,"y\n3,z',
      [[2, ['1', 'x']]],
      [
        [2, ['1', 'x']],
        [3, 'quote_invalid'],
        [4, ['3', 'z']],
      ],
    ],
    [
      '1,x\n2,"y\n3,z\n',
      [[2, ['1', 'x']]],
      [
        [2, ['1', 'x']],
        [3, 'quote_invalid'],
        [4, ['3', 'z']],
      ],
    ],
    [
      '1,x\n2,"y"z\n3,"w',
      [
        [2, ['1', 'x']],
        [3, 'quote_invalid'],
      ],
      [
        [2, ['1', 'x']],
        [3, 'quote_invalid'],
        [4, 'quote_invalid'],
      ],
    ],
  ])('%j', async (rows, before, taken) => {
    for (const size of [1, 3, 1_000]) {
      const all = await csv(`a,b\n${rows}`, 'leave', size);
      expect(all.slice(0, -1)).toEqual(before);
      expect(all.at(-1)).toEqual([before.length + 2, 'unfinished']);
      expect(await csv(`a,b\n${rows}`, 'take', size)).toEqual(taken);
    }
  });

  test('whole files, and blank ends, leave nothing', async () => {
    const rows = [[2, ['1', 'x']]];
    for (const end of ['\n', '\r\n', '\n\n', '\n\r\n', '\n\r'])
      expect(await csv(`a,b\n1,x${end}`, 'leave')).toEqual(rows);
  });

  test('a header that may go on is none', async () => {
    for (const header of ['a,b', 'a,"b', 'a,"b\n']) {
      await expect(csv(header, 'leave')).rejects.toThrow('the header may go on');
    }
  });
});

describe('NDJSON', () => {
  test('a last line is whole where it is an object', async () => {
    const whole = [[1, { a: 12 }]];
    for (const end of ['', ' ', '\n', '\r'])
      expect(await ndjson(`{"a":12}${end}`, 'leave', 3)).toEqual(whole);
  });

  test.each(['{"a":12', '{"a":"x', '12', '"tex', 'tru'])('else it is left: %s', async (text) => {
    const [, ...left] = await ndjson(`{"a":1}\n${text}`, 'leave', 3);
    expect(left).toEqual([[2, 'unfinished']]);
    const [, taken] = await ndjson(`{"a":1}\n${text}`, 'take', 3);
    expect(taken).toEqual([2, text === '12' ? 12 : 'invalid_json']);
  });
});
