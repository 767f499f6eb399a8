import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toUsageEvent } from '../../../../../intake/events/toUsageEvent.ts';
import { parseMapping } from '../../../../../intake/importing/mapping.ts';
import { openSource } from '../../../../../intake/importing/openSource.ts';
import { parseJson } from '../../../../../model/json.ts';
import { formatTimestamp, parseTimestamp } from '../../../../../model/timestamp.ts';
import { EVENT_HEADER } from '../../../../../outbound/exporting/eventLines.ts';
import { eventMaker } from './event.ts';
import { isGuarded, KEPT, type Mapping, meaningOf } from './mapping.ts';
import { readCsv } from './reading/csv.ts';
import { filePrefix } from './reading/rowId.ts';
import { sha256 } from './reading/sha256.ts';
import { microsOf, type TimeFormat } from './times.ts';

const RULES = {
  tenantId: 'acme',
  earliestMicros: 0,
  latestMicros: Number.MAX_SAFE_INTEGER,
  receivedMicros: 0,
  checkText: true,
};
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'console-import-'));
});
afterAll(() => rm(folder, { recursive: true }));

interface Case {
  content: string | Buffer;
  header: string[];
  columns: string[];
  constants?: Record<string, string>;
  timeFormat?: TimeFormat;
  delimiter?: string;
  whole?: boolean;
  /** Bytes of each piece that the file comes in. */
  piece?: number;
}

/** Line by line the event, or the codes of its faults. */
type Told = [line: number, string | object][];

async function byBrowser({
  content,
  header,
  columns,
  constants = {},
  timeFormat = 'iso',
  ...rest
}: Case): Promise<Told> {
  const bytes = Buffer.from(content);
  const { piece = bytes.length } = rest;
  const file = {
    slice: (from: number, to: number) => new Blob([bytes.subarray(from, to)]),
    stream: () =>
      new ReadableStream({
        start(controller) {
          for (let at = 0; at < bytes.length; at += piece) {
            controller.enqueue(new Uint8Array(bytes.subarray(at, at + piece)));
          }
          controller.close();
        },
      }),
  } as unknown as Blob;
  const csv = await readCsv(file, rest.delimiter ?? ',', rest.whole ?? true);
  expect(csv.header).toEqual(header);
  const mapping: Mapping = { header, columns, constants, timeFormat };
  const told: Told = [];
  let toEvent: ReturnType<typeof eventMaker> | undefined;
  for await (const block of csv.rows) {
    for (const row of block) {
      const customer = columns.includes('customerId') ? null : (constants.customerId ?? null);
      toEvent ??= eventMaker(mapping, filePrefix(header, row.text, customer, meaningOf(mapping)));
      const verdict = toEvent(row);
      if (verdict.faults) {
        told.push([row.line, codes(verdict.faults)]);
        continue;
      }
      const { event, faults } = toUsageEvent(parseJson(verdict.json), RULES, 0);
      if (event) expect(verdict.micros).toBe(event.tsMicros);
      told.push([row.line, event ?? codes(faults!)]);
    }
  }
  return told;
}

async function byImport({
  content,
  header,
  columns,
  constants = {},
  timeFormat,
  ...rest
}: Case): Promise<Told> {
  const path = join(folder, 'file.csv');
  await writeFile(path, content);
  const written = (i: number) => `"${header[i]!.replaceAll('"', '""')}"`;
  const { apiEndpoint, ...others } = constants;
  const source = await openSource({
    path,
    format: 'csv',
    delimiter: rest.delimiter ?? ',',
    tenantId: 'acme',
    mapping: parseMapping(
      columns.flatMap((column, i) => (column === '' || column === KEPT ? [] : [`${column}=${written(i)}`])),
      columns.flatMap((column, i) => (column === KEPT ? [written(i)] : [])),
    ),
    constants: { ...others, ...(apiEndpoint !== undefined && { apiEndpoint }) },
    timeFormat,
    idPrefix: undefined,
    lastRow: (rest.whole ?? true) ? 'take' : 'leave',
    aheadMs: 1e15,
  });
  const told: Told = [];
  for await (const block of source.rows) {
    for (const row of block) {
      const { event, faults } = source.toEvent(row);
      told.push([row.line, event ?? codes(faults!)]);
    }
  }
  await source.input.close();
  return told;
}

const codes = (faults: { pointer: string; code: string }[]) =>
  [...new Set(faults.map(({ pointer, code }) => `${pointer} ${code}`))].sort().join();

async function expectSame(given: Case): Promise<Told> {
  const told = await byBrowser(given);
  const imported = await byImport(given);
  // The service tells what is wrong with the shape of an event before it looks at what is in it; the console tells all.
  const asTold = told.map(([line, mine], i) => {
    const its = imported[i]?.[1];
    const all = typeof mine === 'string' && typeof its === 'string' && mine !== its;
    return [line, all && its.split(',').every((code) => mine.split(',').includes(code)) ? its : mine];
  });
  expect(asTold).toEqual(imported);
  return told;
}

const HEADER = ['time', 'who', 'path', 'tokens', 'amount', 'note'];
const COLUMNS = ['timestamp', 'customerId', 'apiEndpoint', 'tokens', 'value', KEPT];
const rows = (...lines: string[]) => `${HEADER.join()}\n${lines.join('\n')}\n`;

describe('what the console makes of a file', () => {
  it('is what tidemark import makes of it: ids, numbers, lines and faults', async () => {
    const content = rows(
      '2026-03-01T00:00:00Z,acme,/a,1,0.1,x',
      '',
      '2026-03-01 00:00:00,acme,/a,1.50e2,12345678901234567890.123456789012345678,"a, ""b""',
      'and more"',
      '2026-03-01T00:00:00Z,acme,/a,1,0.1,x',
      ',acme,/a,1,1,',
      '2026-03-01T00:00:00Z,,/a,,,',
      '2026-03-01T00:00:00Z,acme,,-1,1e99,',
      '2026-03-01T00:00:00Z,acme,/a,1.5,one,',
      '2026-03-01T00:00:00Z,acme,/a,many',
      '2026-03-01T00:00:00Z,acme,"/a"b,1,1,',
      '2026-13-01T00:00:00Z,acme,/a,10000000001,0.0000000000000000001,',
      `2026-03-01T00:00:00Z,${'x'.repeat(257)},/a,many,1,\0`,
    );
    const told = await expectSame({ content, header: HEADER, columns: COLUMNS });
    expect(told.map(([line, of]) => [line, typeof of === 'string' ? of : 'event'])).toEqual([
      [2, 'event'],
      [4, 'event'],
      [6, 'event'],
      [7, '/timestamp required'],
      [8, '/customerId required'],
      [9, '/apiEndpoint required,/metadata/tokens out_of_range,/value value_invalid'],
      [10, '/metadata/tokens type_invalid,/value value_invalid'],
      [11, ' column_count'],
      [12, ' quote_invalid'],
      [13, '/metadata/tokens out_of_range,/timestamp timestamp_invalid,/value value_invalid'],
      [14, '/customerId too_long,/metadata/note text_invalid,/metadata/tokens type_invalid'],
    ]);
  });

  it.each(['iso', 's', 'ms', 'us', 'ns'] as const)('takes times in %s', async (timeFormat) => {
    const times = ['1772323200', '1772323200.5', '1772323200123', '1772323200123456', '1772323200123456789'];
    const more = [
      '2026-03-01T10:00:00+02:00',
      '20260301T100000Z',
      '2026-03-01',
      'soon',
      '1e3',
      '-5',
      '2026-06-30T23:59:60Z',
    ];
    const lines = [...times, ...more].map((time) => `${time},acme,/a,1,1,`);
    await expectSame({ content: rows(...lines), header: HEADER, columns: COLUMNS, timeFormat });
  });

  it('fills in what is the same for all rows, which is part of the ids', async () => {
    const header = ['t', 'n'];
    const columns = ['timestamp', 'inputTokens'];
    const content = 't,n\n2026-03-01T00:00:00Z,5\n2026-03-01T00:00:01Z,\n';
    const constants = {
      customerId: 'acme',
      apiEndpoint: '/a',
      model: 'gpt',
      reference: 'r',
      eventType: 'api.request',
    };
    const told = await expectSame({ content, header, columns, constants });
    const other = await expectSame({
      content,
      header,
      columns,
      constants: { ...constants, customerId: 'globex' },
    });
    expect((told[0]![1] as { eventId: string }).eventId).not.toBe(
      (other[0]![1] as { eventId: string }).eventId,
    );
  });

  it('keeps JSON to the last digit, and lets columns of their own come over it', async () => {
    const header = ['t', 'm', 'u', 'model'];
    const columns = ['timestamp', 'metadata', 'usage', 'model'];
    const cells = [
      ['{"a":1234567890123456789.25,"model":"b","usage":{"x":1}, "__proto__" : [1,{"}":"]"}]}', '', ''],
      ['{"a":"\\u0022,{", "a" : 2}', '{"prompt_tokens":3,"completion_tokens":4}', 'gpt'],
      ['[1]', '{', ''],
      ['null', 'null', ''],
      ['{}', '{}', ''],
    ].map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join());
    const content = `t,m,u,model\n${cells.map((cell) => `2026-03-01T00:00:00Z,${cell}`).join('\n')}\n`;
    await expectSame({ content, header, columns, constants: { customerId: 'acme', apiEndpoint: '/a' } });
  });

  it('reads exports back without the apostrophes that guard them', async () => {
    const header = EVENT_HEADER.trimEnd().split(',');
    expect([isGuarded(header), isGuarded(HEADER)]).toEqual([true, false]);
    const columns = header.map((name) => (['receivedAt', 'tenantId'].includes(name) ? '' : name));
    const id = '019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60';
    const line = `${id},2026-03-01T00:00:00Z,2026-03-01T00:00:01Z,acme,'=cmd,api.request,/a,'''=x,,,,-1.5,,,,,"{""k"":""v""}"`;
    const [[, event]] = (await expectSame({ content: `${EVENT_HEADER}${line}\n`, header, columns })) as [
      [number, object],
    ];
    expect(event).toMatchObject({ eventId: id, customerId: '=cmd', model: "''=x", value: '-1.5' });
  });

  it('leaves a row that the file ends in, or takes it', async () => {
    const open = rows('2026-03-01T00:00:00Z,acme,/a,1,1,').concat('2026-03-01T00:00:00Z,acme,/a,12,1,x');
    for (const content of [open, `${open}"`, `${rows()}2026-03-01T00:00:00Z,acme,/a,1,1,"open\nand on\n`]) {
      for (const whole of [true, false]) {
        const told = await expectSame({ content, header: HEADER, columns: COLUMNS, whole });
        expect(told.at(-1)![1] === ' unfinished').toBe(!whole);
      }
    }
  });

  it('takes lines that are too long, not UTF-8, or marked, as faults or as nothing', async () => {
    const good = '2026-03-01T00:00:00Z,acme,/a,1,1,';
    const content = Buffer.concat([
      Buffer.from(`\ufeff${HEADER.join()}\r\n`),
      Buffer.from(`${good}${'x'.repeat(1_048_576)}\n`),
      Buffer.from(`${good}\u00fc\u{1f600}\r\n`),
      Buffer.from([0xff, 0xfe, 10]),
      Buffer.from(`\ufeff${good}\n${good}`),
    ]);
    for (const piece of [1_000_000_000, 7_919]) {
      const told = await expectSame({ content, header: HEADER, columns: COLUMNS, piece });
      expect(told.map(([line, of]) => [line, typeof of === 'string' ? of : 'event'])).toEqual([
        [2, ' line_too_long'],
        [3, 'event'],
        [4, ' invalid_encoding'],
        [5, 'event'],
        [6, 'event'],
      ]);
    }
  });

  it('is the same for files at random', async () => {
    const cell = fc.oneof(
      fc.constantFrom(
        '2026-03-01T00:00:00Z',
        '2026-03-01 10:00',
        '1772323200',
        'acme',
        '/a',
        '',
        ' ',
        "'=x",
        '\0',
      ),
      fc.constantFrom(
        '12',
        '-1',
        '1e3',
        '1.50',
        '.5',
        '5.',
        '+7',
        '1e-1',
        '0x1',
        '9'.repeat(30),
        '12.000',
        '120e-1',
        '00',
      ),
      fc.string({
        unit: fc.constantFrom('a', '"', ',', '\n', '\r\n', '1', '.', '\u00e9', '\\'),
        maxLength: 6,
      }),
    );
    const line = fc
      .tuple(fc.array(cell, { minLength: 5, maxLength: 7 }), fc.boolean())
      .map(([cells, quoted]) =>
        cells.map((text) => (quoted ? `"${text.replaceAll('"', '""')}"` : text)).join(),
      );
    const likely = fc
      .tuple(cell, cell, cell, cell)
      .map(([who, tokens, value, note]) =>
        ['2026-03-01T00:00:00Z', who, '/a', tokens, value, note]
          .map((text) => `"${text.replaceAll('"', '""')}"`)
          .join(),
      );
    const file = fc.record({
      lines: fc.array(fc.oneof(line, likely), { minLength: 1, maxLength: 8 }),
      end: fc.constantFrom('\n', '\r\n'),
      last: fc.boolean(),
      whole: fc.boolean(),
      piece: fc.integer({ min: 1, max: 300 }),
    });
    await fc.assert(
      fc.asyncProperty(file, async ({ lines, end, last, whole, piece }) => {
        const content = [HEADER.join(), ...lines].join(end) + (last ? end : '');
        await expectSame({ content, header: HEADER, columns: COLUMNS, whole, piece });
      }),
      { numRuns: 150 },
    );
  });
});

it('reads times as the service does', () => {
  const two = fc.integer({ min: 0, max: 62 }).map((n) => String(n).padStart(2, '0'));
  const parts = fc.record({
    date: fc.tuple(fc.constantFrom('2024', '2026', '0000', '9999', '1900'), two, two),
    clock: fc.tuple(two, two, two),
    fraction: fc.constantFrom('', '.5', ',123456789', '.'),
    zone: fc.constantFrom('Z', 'z', '+02:00', '-0530', '+24', '\u221205:00', ''),
    between: fc.constantFrom('T', ' ', 't', '_'),
    form: fc.constantFrom('-:', '', '-'),
  });
  fc.assert(
    fc.property(parts, ({ date, clock, fraction, zone, between, form }) => {
      const text = date.join(form[0] ?? '') + between + clock.join(form[1] ?? '') + fraction + zone;
      expect([text, microsOf(text)]).toEqual([text, parseTimestamp(text)]);
    }),
    { numRuns: 2_000 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e15 }), (micros) => {
      expect(microsOf(formatTimestamp(micros))).toBe(micros);
    }),
  );
});

it('makes the digests of FIPS 180-4', () => {
  expect(sha256('')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  expect(sha256('a'.repeat(1_000_000))).toBe(
    'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0',
  );
});
