import fc from 'fast-check';
import { expect, test } from 'vitest';
import { StartupError } from '../../model/errors.ts';
import { readJson } from './readJson.ts';
import { MAX_LINE_BYTES } from './readLines.ts';
import type { LastRow } from './row.ts';

async function* chunksOf(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** `[element, value]`, or `[element, code]` for a fault. */
async function read(content: string | Buffer, { size = 262_144, last = 'leave' as LastRow } = {}) {
  const found: [number, unknown][] = [];
  for await (const block of readJson(chunksOf(Buffer.from(content), size), last)) {
    for (const row of block) found.push([row.line, row.fault ? row.fault.code : row.values]);
  }
  return found;
}

const VALUES = [{ a: 1, b: [{ c: ']},{["\\' }, [], [[1]]] }, { 'ä{': '😀"' }, {}];
const numbered = VALUES.map((value, i) => [i + 1, value]);

test('an array in whatever layout, cut into chunks anywhere', async () => {
  const layouts = [
    JSON.stringify(VALUES),
    JSON.stringify(VALUES, null, 2),
    JSON.stringify(VALUES, null, '\t').replaceAll('\n', '\r\n'),
    `\uFEFF \n[\n${VALUES.map((value) => JSON.stringify(value)).join(',\n')}\n]\n \n`,
    `[${VALUES.map((value) => JSON.stringify(value)).join('\n,')},]`,
  ];
  for (const content of layouts) {
    for (let size = 1; size < 20; size++) expect(await read(content, { size })).toEqual(numbered);
  }
});

test('objects by themselves, and several documents one after another', async () => {
  const pretty = VALUES.map((value) => JSON.stringify(value, null, 2)).join('\n');
  expect(await read(pretty)).toEqual(numbered);
  const [first, ...rest] = VALUES;
  expect(await read(`${JSON.stringify([first])}\n${JSON.stringify(rest)}`)).toEqual(numbered);
  expect(
    await read(`${JSON.stringify([first])}${JSON.stringify(rest[0])}\n[]${JSON.stringify(rest[1])}`),
  ).toEqual(numbered);
  expect(await read('[]')).toEqual([]);
  expect(await read(' \n')).toEqual([]);
});

test('an element has the same text in whatever layout, and its digits', async () => {
  const textsOf = async (content: string) => {
    const texts: string[] = [];
    for await (const block of readJson(chunksOf(Buffer.from(content), 5), 'leave')) {
      texts.push(...block.map(({ text }) => text));
    }
    return texts;
  };
  const compact = '{"id":1234567890123456789,"x":[1e400,1.50,"a b"],"y":{}}';
  const spread = '[ { "id" : 1234567890123456789 ,\n"x": [ 1e400,\t1.50 , "a b" ] , "y": { } } ]';
  expect(await textsOf(`[${compact}]`)).toEqual([compact]);
  expect(await textsOf(spread)).toEqual([compact]);
});

test('an element that is not JSON costs itself only', async () => {
  expect(await read('[{"a":1},{"a":,},nope,{"a":1 2},,{"a":2}},{"a":3}]')).toEqual([
    [1, { a: 1 }],
    [2, 'invalid_json'],
    [3, 'invalid_json'],
    [4, 'invalid_json'],
    [5, 'invalid_json'],
    [6, 'invalid_json'],
    [7, { a: 3 }],
  ]);
  expect(await read('[1 2,"a" "b",tr ue,3]')).toEqual([
    [1, 'invalid_json'],
    [2, 'invalid_json'],
    [3, 'invalid_json'],
    [4, 3],
  ]);
  expect(await read(Buffer.from('[{"a":"\xff"},{"a":2}]', 'latin1'))).toEqual([
    [1, 'invalid_encoding'],
    [2, { a: 2 }],
  ]);
});

test('an element that is too long, however it is cut', async () => {
  const long = JSON.stringify({ a: 'x'.repeat(MAX_LINE_BYTES) });
  const longest = JSON.stringify({ a: 'x'.repeat(MAX_LINE_BYTES - 8) });
  expect(longest).toHaveLength(MAX_LINE_BYTES);
  for (const size of [100_000, 10_000_000]) {
    const rows = await read(`[${long},{"a":2},${longest}]`, { size });
    expect(rows.slice(0, 2)).toEqual([
      [1, 'element_too_long'],
      [2, { a: 2 }],
    ]);
    expect((rows[2]![1] as { a: string }).a).toHaveLength(MAX_LINE_BYTES - 8);
  }
});

test('what the file ends in is left, or taken', async () => {
  for (const [content, whole, taken] of [
    ['[{"a":1},{"a":2', 1, [[2, 'invalid_json']]],
    ['[{"a":1},{"a":2}', 1, [[2, { a: 2 }]]],
    ['[{"a":1},', 1, []],
    ['[', 0, []],
    ['[{"a":1},"x', 1, [[2, 'invalid_json']]],
    ['{"a":1}\n{"a":', 1, [[2, 'invalid_json']]],
  ] as const) {
    const before = whole === 1 ? [[1, { a: 1 }]] : [];
    expect(await read(content)).toEqual([...before, [whole + 1, 'unfinished']]);
    expect(await read(content, { last: 'take' })).toEqual([...before, ...taken]);
  }
});

test.each(['hello', '12', '"text"', '[{"a":1}] x', '[{"a":1}],[{"a":2}]', '[]]', '{"a":1},{"a":2}'])(
  'neither an array nor an object: %s',
  (content) => expect(read(content)).rejects.toThrow(StartupError),
);

test('whatever JSON writes is read', async () => {
  const spaces = fc.constantFrom('', ' ', '\n', 1, 2, '\t');
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.jsonValue()),
      spaces,
      fc.integer({ min: 1, max: 40 }),
      async (values, space, size) => {
        const content = JSON.stringify(values, null, space);
        const expected = JSON.parse(content).map((value: unknown, i: number) => [i + 1, value]);
        expect(await read(content, { size })).toEqual(expected);
      },
    ),
  );
});

test('an array of any size: no more of it is read than is asked for', async () => {
  let read = 0;
  async function* endless(): AsyncGenerator<Buffer> {
    yield Buffer.from('[');
    for (;;) yield Buffer.from(`{"n":${++read}},\n`);
  }
  let rows = 0;
  for await (const [row, ...others] of readJson(endless(), 'leave')) {
    rows++;
    expect(others).toEqual([]);
    expect(row!.values).toEqual({ n: rows });
    expect(read).toBe(rows);
    if (rows === 10_000) break;
  }
});
