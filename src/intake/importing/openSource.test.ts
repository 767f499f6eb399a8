import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseMapping } from './mapping.ts';
import { openSource, type SourceOptions } from './openSource.ts';

/* What a file named .json is taken for, by its beginning. */

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-source-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function read(content: string, options: Partial<SourceOptions> = {}) {
  const path = join(folder, 'events.json');
  await writeFile(path, content);
  const source = await openSource({
    path,
    format: undefined,
    delimiter: ',',
    tenantId: 't',
    mapping: parseMapping('', ''),
    constants: { customerId: 'c', apiEndpoint: '/x' },
    lastRow: 'leave',
    idPrefix: undefined,
    aheadMs: 0,
    ...options,
  });
  const found: [number, string][] = [];
  for await (const block of source.rows) {
    for (const row of block) {
      const { event, faults } = source.toEvent(row);
      found.push([row.line, event ? event.value! : faults[0]!.code]);
    }
  }
  await source.input.close();
  return { format: source.format, found };
}

const line = (value: number) => `{"timestamp":"2023-11-16T18:00:00Z","value":"${value}"}`;

describe('an array', () => {
  test.each<[string, [number, string][]]>([
    [
      `[null,\n${line(2)}]`,
      [
        [1, 'type_invalid'],
        [2, '2'],
      ],
    ],
    [
      `["a, b", ${line(2)}]`,
      [
        [1, 'type_invalid'],
        [2, '2'],
      ],
    ],
    [
      `[-1.5e3\n,${line(2)}]`,
      [
        [1, 'type_invalid'],
        [2, '2'],
      ],
    ],
    ['[', [[1, 'unfinished']]],
    ['\uFEFF [\n  ', [[1, 'unfinished']]],
  ])('%j', async (content, found) => expect(await read(content)).toEqual({ format: 'json', found }));

  test('behind another one, joined to it with its byte order mark', async () => {
    const { found } = await read(`\uFEFF[${line(1)}]\n\uFEFF[${line(2)}]\uFEFF${line(3)}\n`);
    expect(found).toEqual([
      [1, '1'],
      [2, '2'],
      [3, '3'],
    ]);
    await expect(read(`[${line(1)}]\xEF`)).rejects.toThrow('this is not JSON');
  });
});

test.each([
  ['[INFO] started\n', 'invalid_json'],
  ['[2023-11-16] started\n', 'invalid_json'],
  ['{"timestamp":"2023-11-\n', 'invalid_json'],
])('lines, of which the first is none: %j', async (first, code) => {
  expect(await read(`${first}${line(2)}\n${line(3)}\n`)).toEqual({
    format: 'ndjson',
    found: [
      [1, code],
      [2, '2'],
      [3, '3'],
    ],
  });
});

test('an event may have a list before what is mapped', async () => {
  const mapping = parseMapping('timestamp=created,value=n', '');
  const answer = '{"choices":[{"text":"}"}],"created":"2023-11-16T18:00:00Z","n":1}';
  expect((await read(`${answer}\n${answer}\n`, { mapping })).found).toEqual([
    [1, '1'],
    [2, '1'],
  ]);
  await expect(read(`{"events":[${answer}],"page":{"created":1}}`, { mapping })).rejects.toThrow(
    'the events are within an object, in its member events',
  );
});

describe('CSV with a column of JSON', () => {
  const cell = (text: string) => `"${text.replaceAll('"', '""')}"`;
  async function verdicts(map: string, cells: string[]) {
    const path = join(folder, 'usage.csv');
    const rows = cells.map((text) => `2023-11-16T18:00:00Z,${text}\n`);
    await writeFile(path, `ts,u\n${rows.join('')}`);
    const source = await openSource({
      path,
      format: undefined,
      delimiter: ',',
      tenantId: 't',
      mapping: parseMapping(map, ''),
      constants: { customerId: 'c', apiEndpoint: '/x' },
      idPrefix: undefined,
      aheadMs: 0,
    });
    const found = [];
    for await (const rows of source.rows) found.push(...rows.map((row) => source.toEvent(row)));
    await source.input.close();
    return found;
  }

  test('counts the usage object of each row, and tells which rows have none', async () => {
    const usage = '{"prompt_tokens": 1000,\n "completion_tokens": 300, "note": "a, b"}';
    const [first, none, cut, list, negative, text, last] = await verdicts('timestamp=ts,usage=u', [
      cell(usage),
      '',
      cell('{"prompt_tokens": 1000'),
      cell('[]'),
      cell('{"prompt_tokens": -1, "completion_tokens": 0}'),
      cell('{"prompt_tokens": 1, "completion_tokens": 2, "note": "\\u0000"}'),
      cell('{"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 3}'),
    ]);
    expect(first!.event).toMatchObject({
      inputTokens: 1_000,
      outputTokens: 300,
      aiUsage: { status: 'counted', shape: 'openai_chat' },
    });
    expect(JSON.parse(first!.event!.metadata!)).toEqual({ usage: JSON.parse(usage), usageStatus: 'counted' });
    expect(none!.event).toMatchObject({ inputTokens: null, metadata: null });
    // Lines as an editor counts them: the first row takes two.
    expect(cut!.faults).toMatchObject([{ index: 5, pointer: '/metadata/usage', code: 'invalid_json' }]);
    expect(list!.faults).toMatchObject([{ index: 6, pointer: '/metadata/usage', code: 'type_invalid' }]);
    expect(negative!.faults).toMatchObject([
      { index: 7, pointer: '/metadata/usage/prompt_tokens', code: 'usage_invalid' },
    ]);
    expect(text!.faults).toMatchObject([{ index: 8, code: 'text_invalid' }]);
    expect(last!.event).toMatchObject({ inputTokens: 12, outputTokens: 3 });
  });

  test('all metadata, with the digits of its numbers', async () => {
    const metadata = '{"inputTokens":5,"model":"m","exact":12345678901234567890.5}';
    const [one] = await verdicts('timestamp=ts,metadata=u', [cell(metadata)]);
    expect(one!.event).toMatchObject({
      inputTokens: 5,
      model: 'm',
      metadata: '{"exact":12345678901234567890.5}',
    });
  });
});
