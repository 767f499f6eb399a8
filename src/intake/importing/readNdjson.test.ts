import { expect, test } from 'vitest';
import { readLines } from './readLines.ts';
import { readNdjson } from './readNdjson.ts';

async function read(content: string) {
  async function* chunks() {
    yield Buffer.from(content);
  }
  const rows: unknown[] = [];
  for await (const block of readNdjson(readLines(chunks()))) {
    for (const row of block) rows.push([row.line, row.text, row.fault ? row.fault.code : row.values]);
  }
  return rows;
}

test('a value per line, with its line number', async () => {
  expect(await read('\uFEFF{"a":1}\r\n\n  [2] \n{"a":\n3')).toEqual([
    [1, '{"a":1}', { a: 1 }],
    [3, '[2]', [2]],
    [4, '{"a":', 'invalid_json'],
    [5, '3', 3],
  ]);
});

test('an empty file has no rows', async () => {
  expect(await read('')).toEqual([]);
});
