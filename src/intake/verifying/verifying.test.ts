import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BARE } from '../../../test/support/exportedEvent.ts';
import {
  EVENT_HEADER,
  type ExportedEvent,
  eventCsvLine,
  eventJsonLine,
} from '../../outbound/exporting/eventLines.ts';
import { countedEvent } from '../../outbound/proof/countedEvent.ts';
import { WindowHasher } from '../../outbound/proof/windowDigest.ts';
import { type Comparison, compareWindows } from './compareWindows.ts';
import { exportedEvents } from './exportedEvents.ts';
import { toldWindows } from './toldWindows.ts';
import { type WindowOfEvents, windowsOfEvents } from './windowsOfEvents.ts';

const FULL: ExportedEvent = {
  ...BARE,
  ts_micros: '1763719200123456',
  event_id: '9d6a1b9e-0b38-5f15-8f0c-6c1a7f1c8c11',
  event_type: 'api.request',
  endpoint: '/a "b"\n',
  model: 'gpt-4',
  source_id: 's',
  reference: '=r',
  unit: 'EUR',
  value: '12345678901234567890.120000000000000000',
  tokens: '1500',
  input_tokens: '500',
  output_tokens: '1000',
  latency_ms: 0.1,
  metadata: '{"big": 12345678901234567890.50, "list": [1.0, {"b": null, "a": "ä"}], "__proto__": 1}',
};
/** Members of the names of columns: one that does not fit, beside none and beside a column. */
const MISFITS: ExportedEvent = {
  ...BARE,
  event_id: '5f0c7f0e-7d0e-4c38-8f5b-0c5f8f6f3b1d',
  tokens: '13',
  metadata: '{"model": 7, "tokens": "many", "latencyMs": -1}',
};
const START = 1763719200000;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidemark-verifying-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

let files = 0;
async function fileOf(text: string): Promise<string> {
  const path = join(folder, `${++files}`);
  await writeFile(path, text);
  return path;
}

const ndjson = (rows: ExportedEvent[]) => rows.map((row) => eventJsonLine('t', row)).join('');
const csv = (rows: ExportedEvent[]) => EVENT_HEADER + rows.map((row) => eventCsvLine('t', row)).join('');

async function windowsIn(text: string): Promise<WindowOfEvents[]> {
  const windows: WindowOfEvents[] = [];
  for await (const window of windowsOfEvents(exportedEvents(await fileOf(text)))) windows.push(window);
  return windows;
}

const digestIn = async (text: string) => (await windowsIn(text))[0]!.digest;

/** As the service makes it. */
function digestOf(rows: ExportedEvent[]) {
  const hasher = new WindowHasher({ tenantId: 't', customerId: 'acme', startMs: START });
  for (const row of [...rows].sort((a, b) => (a.event_id < b.event_id ? -1 : 1)))
    hasher.add(countedEvent('t', row));
  return hasher.finish();
}

describe('the digest of a window', () => {
  test('never changes its form', () => {
    expect(countedEvent('t', FULL).line).toBe(
      '{"apiEndpoint":"/a \\"b\\"\\n","customerId":"acme","eventId":"9d6a1b9e-0b38-5f15-8f0c-6c1a7f1c8c11",' +
        '"eventType":"api.request","metadata":{"__proto__":1,"big":12345678901234567890.5,"inputTokens":500,' +
        '"latencyMs":0.1,"list":[1,{"a":"ä","b":null}],"model":"gpt-4","outputTokens":1000,"tokens":1500},' +
        '"reference":"=r","sourceId":"s","tenantId":"t","timestamp":"2025-11-21T10:00:00.123456Z","unit":"EUR",' +
        '"value":"12345678901234567890.12"}',
    );
    expect(countedEvent('t', MISFITS).line).toBe(
      '{"asSent":{"tokens":"many"},"customerId":"acme","eventId":"5f0c7f0e-7d0e-4c38-8f5b-0c5f8f6f3b1d",' +
        '"eventType":"click","metadata":{"latencyMs":-1,"model":7,"tokens":13},"tenantId":"t",' +
        '"timestamp":"2025-11-21T10:00:00.000Z"}',
    );
    expect(digestOf([])).toEqual({
      algorithm: 'tidemark-window-digest/1',
      sha256: 'b7b5e4f3b0af06f367b4b00f549e93f9411193128ce67bfc321fa393f24774cb',
      ...{ events: 0, tokens: 0, inputTokens: 0, outputTokens: 0, value: '0' },
    });
    expect(digestOf([BARE, FULL, MISFITS])).toEqual({
      algorithm: 'tidemark-window-digest/1',
      sha256: '74f2d0152fb5247140800f241ada3049e70f346c542721214f0073bde6f5caa9',
      ...{ events: 3, tokens: 1513, inputTokens: 500, outputTokens: 1000, value: '12345678901234567890.12' },
    });
  });

  test.each([
    ['NDJSON', ndjson],
    ['CSV', csv],
  ])('is the same of %s, in whatever order a window has its events', async (_, written) => {
    const rows = [BARE, FULL, MISFITS];
    expect(await digestIn(written(rows))).toEqual(digestOf(rows));
    expect(await digestIn(written(rows.toReversed()))).toEqual(digestOf(rows));
  });

  test('is another one where any field of any event is another, or an event is missing', async () => {
    const whole = await digestIn(ndjson([BARE, FULL, MISFITS]));
    const changes: Partial<ExportedEvent>[] = [
      { ts_micros: '1763719200123457' },
      { event_id: '9d6a1b9e-0b38-5f15-8f0c-6c1a7f1c8c12' },
      { event_type: 'negative' },
      { endpoint: '/a "b"' },
      { model: 'gpt-5' },
      { source_id: 't' },
      { reference: "'=r" },
      { unit: 'USD' },
      { value: '12345678901234567890.12000000000000001' },
      { tokens: '1501' },
      { input_tokens: '501' },
      { output_tokens: '1001' },
      { latency_ms: 0.10000000000000002 },
      { metadata: FULL.metadata!.replace('1.0', '1.1') },
      { metadata: FULL.metadata!.replace('.50', '.51') },
      { metadata: FULL.metadata!.replace('null', 'false') },
      { metadata: FULL.metadata!.replace('__proto__', '__proto') },
    ];
    const absent = (
      [
        'endpoint',
        'model',
        'source_id',
        'reference',
        'unit',
        'value',
        'tokens',
        'latency_ms',
        'metadata',
      ] as const
    ).map((name) => ({ [name]: null }));
    for (const change of [...changes, ...absent]) {
      const rows = [BARE, { ...FULL, ...change }, MISFITS];
      for (const text of [ndjson(rows), csv(rows)]) {
        const { sha256 } = await digestIn(text);
        expect([change, sha256 === whole.sha256]).toEqual([change, false]);
      }
    }
    for (const metadata of ['{"model": 8, "tokens": "many", "latencyMs": -1}', '{"tokens": "more"}']) {
      expect((await digestIn(ndjson([BARE, FULL, { ...MISFITS, metadata }]))).sha256).not.toBe(whole.sha256);
    }
    expect((await digestIn(ndjson([BARE, FULL]))).sha256).not.toBe(whole.sha256);
  });

  test('is of its customer, tenant and window', () => {
    const of = (key: object) =>
      new WindowHasher({ tenantId: 't', customerId: 'c', startMs: START, ...key }).finish().sha256;
    const others = [{}, { tenantId: 'u' }, { customerId: 'd' }, { startMs: START + 30_000 }].map(of);
    expect(new Set(others).size).toBe(4);
  });
});

describe('a file', () => {
  const later = { ...BARE, event_id: '119aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60', ts_micros: '1763719230000000' };

  test('has its windows by start and customer', async () => {
    const zoe = { ...BARE, event_id: '219aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60', customer_id: 'Zoë' };
    const windows = await windowsIn(ndjson([BARE, zoe, later]));
    expect(windows.map(({ windowStart, customerId }) => [windowStart, customerId])).toEqual([
      ['2025-11-21T10:00:00.000Z', 'Zoë'],
      ['2025-11-21T10:00:00.000Z', 'acme'],
      ['2025-11-21T10:00:30.000Z', 'acme'],
    ]);
    expect(await windowsIn('')).toEqual([]);
    expect(await windowsIn(EVENT_HEADER)).toEqual([]);
  });

  test.each([
    ['in another order', ndjson([later, BARE]), 'line 2: the event is earlier than those before it'],
    ['with an event twice', ndjson([BARE, FULL, BARE]), 'line 3: the event is there twice, as in line 1'],
    ['cut off', ndjson([BARE]).slice(0, -9), 'line 1: '],
    ['that is none', '{"a":1}\n', 'line 1: timestamp is no time'],
    ['of arrays', '[]\n', 'line 1: is no event'],
    ['with a value that is none', ndjson([FULL]).replace('"1234', '"x'), 'line 1: value is no decimal'],
    [
      'with a value twice',
      ndjson([FULL]).replace('"unit":', '"value":"1","unit":'),
      'line 1: a name is there twice',
    ],
    [
      'with a name twice',
      ndjson([FULL]).replace('"b": null', '"b": null, "b" : 1'),
      'line 1: a name is there twice',
    ],
    [
      'of CSV with a name twice',
      csv([FULL]).replace('""b"": null', '""b"": null, ""b"": 1'),
      'line 2: a name is there',
    ],
    ['of CSV with tokens that are none', csv([FULL]).replace('1500', 'x'), 'line 2: tokens is no number'],
    ['of CSV with a broken line', `${csv([BARE])}a,b\r\n`, 'line 3: has 2 fields'],
  ])('%s is refused', async (_, text, message) => {
    await expect(windowsIn(text)).rejects.toThrow(message);
  });
});

describe('comparing', () => {
  const told = async (changes: object = {}, digest: object = {}) => {
    const rows = [BARE, FULL, MISFITS];
    const of = digestOf(rows);
    return {
      windowStart: '2025-11-21T10:00:00.000Z',
      ...{ tenantId: 't', customerId: 'acme', revision: 0 },
      aggregations: {
        ...{
          totalCalls: 3,
          totalTokens: 1513,
          totalInputTokens: 500,
          totalOutputTokens: 1000,
          avgLatencyMs: 0.1,
        },
        byEndpoint: { '/a "b"\n': { calls: 1, tokens: 1500 } },
        byModel: { 'gpt-4': { calls: 1, tokens: 1500 } },
      },
      digest: { ...of, ...digest },
      ...changes,
    };
  };
  const compare = async (text: string, rows = [BARE, FULL, MISFITS]) => {
    const comparison: Comparison = { agree: 0, differ: 0, untold: new Map() };
    const made = windowsOfEvents(exportedEvents(await fileOf(ndjson(rows))));
    const lines: string[] = [];
    for await (const line of compareWindows(await toldWindows(await fileOf(text)), made, comparison))
      lines.push(line);
    return { lines, ...comparison };
  };

  test('takes pages, windows and messages, in one document or by lines; of a window the last revision', async () => {
    const window = await told();
    const agree = { lines: [], agree: 1, differ: 0, untold: new Map() };
    const page = { data: [window], nextCursor: null };
    const message = { type: 'window.closed', timestamp: '', data: window };
    for (const document of [window, page, message, [window], [page, message]]) {
      expect(await compare(JSON.stringify(document, null, 2))).toEqual(agree);
    }
    const older = await told({}, { sha256: 'x' });
    const newer = { ...window, revision: 1 };
    for (const windows of [
      [older, newer],
      [newer, older],
    ]) {
      expect(await compare(windows.map((one) => JSON.stringify(one)).join('\n'))).toEqual(agree);
    }
  });

  test('knows groups by whatever name', async () => {
    const rows = ['__proto__', 'constructor'].map((name, i) => ({
      ...BARE,
      event_id: BARE.event_id.replace(/.$/, String(i)),
      ...{ endpoint: name, model: name },
    }));
    const groups = JSON.parse('{"__proto__":{"calls":1,"tokens":0},"constructor":{"calls":1,"tokens":0}}');
    const sums = { totalCalls: 2, totalTokens: 0, totalInputTokens: 0, totalOutputTokens: 0 };
    const aggregations = { ...sums, byEndpoint: groups, byModel: groups };
    const window = JSON.stringify(await told({ aggregations, digest: digestOf(rows) }));
    expect(await compare(window, rows)).toMatchObject({ lines: [], agree: 1 });
    const changed = window.replace('"calls":1', '"calls":2');
    expect(await compare(changed, rows)).toMatchObject({ agree: 0, differ: 1 });
  });

  test('says in a line each what differs', async () => {
    const window = await told({}, { tokens: 1514, value: '1' });
    window.aggregations.byModel = { 'gpt-4': { calls: 2, tokens: 1500 } };
    expect(await compare(JSON.stringify(window))).toMatchObject({
      differ: 1,
      agree: 0,
      lines: [
        '2025-11-21T10:00:00.000Z "t" "acme": tokens was told as 1514, of the events it is 1513\n',
        '2025-11-21T10:00:00.000Z "t" "acme": value was told as 1, of the events it is 12345678901234567890.12\n',
        '2025-11-21T10:00:00.000Z "t" "acme": byModel was told as [["gpt-4",2,1500]], of the events it is [["gpt-4",1,1500]]\n',
      ],
    });
    expect((await compare(JSON.stringify(await told()), [BARE, FULL])).lines[0]).toContain(
      'sha256 was told as',
    );
    expect(await compare(JSON.stringify(await told({}, { algorithm: 'other/2' })))).toMatchObject({
      differ: 1,
    });
  });

  test('tells what is on one side only, and of what there is no digest', async () => {
    const missing = await told({ customerId: 'other' });
    expect(await compare(JSON.stringify([await told(), missing]))).toMatchObject({ agree: 1, differ: 1 });
    expect(await compare(JSON.stringify({ data: [] }))).toMatchObject({
      ...{ agree: 0, differ: 1 },
      lines: [
        '2025-11-21T10:00:00.000Z "t" "acme": events of it are there (3), and nothing was told of it\n',
      ],
    });
    const open = await told({ digest: null, digestUnavailable: 'open' });
    expect(await compare(JSON.stringify(open))).toEqual({
      lines: [],
      agree: 0,
      differ: 0,
      untold: new Map([['open', 1]]),
    });
  });

  test.each([
    ['{', 'JSON'],
    ['{"data":[{"windowStart":"2025-11-21T10:00:00.000Z"}]}', 'ask with digest=true'],
    ['{"events":[]}', 'is no answer of GET /v1/windows'],
    ['{"data":[]}\n{', 'line 2'],
  ])('refuses %s', async (text, message) => {
    await expect(compare(text)).rejects.toThrow(message);
  });
});
