import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/ground/config/loadConfig.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { importFile } from '../../../src/intake/importing/importFile.ts';
import { type BadLine, ImportCounts } from '../../../src/intake/importing/importRows.ts';
import { parseMapping } from '../../../src/intake/importing/mapping.ts';
import { openSource, type SourceOptions } from '../../../src/intake/importing/openSource.ts';
import { StartupError } from '../../../src/model/errors.ts';
import { describeEngine } from '../../support/database.ts';
import { runFolder } from '../../support/runFolder.ts';
import { startTestService, type TestService } from '../../support/service.ts';

const MAP = 'timestamp=time,inputTokens=in,outputTokens=out';
const DAY = 'from=2023-11-16T00:00:00Z&to=2023-11-17T00:00:00Z';
const log = createLogger({ logLevel: 'silent' });

let service: TestService;
let folder: string;
let tenant: { id: string; key: string };

interface Options extends Partial<Omit<SourceOptions, 'mapping'>> {
  map?: string;
  metadata?: string;
  fromLine?: number;
  maxErrors?: number;
  signal?: AbortSignal;
  createTenant?: boolean;
}

/** Writes the content to a file of the given name. */
async function file(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function importPath(path: string, options: Options = {}) {
  const { map = MAP, metadata = '', fromLine = 1, maxErrors = 100, ...source } = options;
  const config = loadConfig({ TIDEMARK_PROFILE: 'test', DATABASE_URL: service.database.url });
  const tenantId = source.tenantId ?? tenant.id;
  const opened = await openSource({
    path,
    format: 'csv',
    delimiter: ',',
    mapping: parseMapping(map, metadata),
    constants: { customerId: 'acme', apiEndpoint: '/api/completion', model: 'gpt-4' },
    idPrefix: undefined,
    aheadMs: config.ingest.acceptAheadMs,
    ...source,
    tenantId,
  });
  const counts = new ImportCounts();
  const badLines: BadLine[] = [];
  try {
    const outcome = await importFile({
      config,
      url: service.database.url,
      source: opened,
      tenantId,
      createTenant: options.createTenant ?? false,
      fromLine,
      maxErrors,
      counts,
      onBadLine: (fault) => badLines.push(fault),
      onRefresh: () => undefined,
      log,
      signal: options.signal ?? new AbortController().signal,
    });
    return { ...outcome, counts, badLines, idPrefix: opened.idPrefix };
  } finally {
    await opened.input.close();
  }
}

const importText = async (content: string | Buffer, options?: Options) =>
  importPath(await file('rows.csv', content), options);

/** All rows of a list, page by page. */
async function list(path: string) {
  const rows = [];
  for (let cursor = ''; ; ) {
    const { status, body } = await service.call('GET', `${path}${cursor}`, { key: tenant.key });
    expect(status).toBe(200);
    rows.push(...body.data);
    if (body.nextCursor === null) return rows;
    cursor = `&cursor=${encodeURIComponent(body.nextCursor)}`;
  }
}

async function stored() {
  const { rows } = await service.sql.query(
    `select event_id, external_id, ts, customer_id, endpoint, model, event_type, reference, unit, value,
       tokens::int, input_tokens::int, output_tokens::int, latency_ms, metadata
     from event where tenant_id = $1 order by ts, event_id`,
    [tenant.id],
  );
  return rows;
}

/** `count` rows from 18:00 on, 700 ms apart, times as the Azure traces have them. */
function generated(count: number, from = 0): string {
  let rows = '';
  for (let i = from; i < from + count; i++) {
    const at = new Date(Date.UTC(2023, 10, 16, 18) + i * 700).toISOString();
    rows += `${at.slice(0, 23).replace('T', ' ')}4567,${i % 1_000},${i % 77}\r\n`;
  }
  return rows;
}

describeEngine('import', () => {
  beforeAll(async () => {
    service = await startTestService();
    folder = await mkdtemp(join(await runFolder(), 'import-'));
  });
  afterAll(async () => {
    await service.stop();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    tenant = await service.tenant();
  });

  test('increments add to their counters, once', async () => {
    const lines = Array.from({ length: 7_000 }, (_, i) => `2023-11-16T00:00:00Z,k${i % 2},0.${i % 10}`);
    const options = {
      map: 'timestamp=time,customerId=name,value=amount',
      constants: { eventType: 'counter.increment' },
    };
    for (const stored of [7_000, 0]) {
      const { counts } = await importText(`time,name,amount\n${lines.join('\n')}`, {
        maxErrors: 7_000,
        ...options,
      });
      expect(counts).toMatchObject({ rows: 7_000, stored: stored && 6_300, badLines: 700 });
      const { body } = await service.call('GET', '/v1/counters', { key: tenant.key });
      expect(body.data).toMatchObject([
        { key: 'k0', value: '1400' },
        { key: 'k1', value: '1750' },
      ]);
    }
  });

  test('every read gives the totals of the file, and a second import adds nothing', async () => {
    const count = 12_345;
    const content = `time,in,out\r\n${generated(count).trimEnd()}`; // no newline at the end
    const input = Array.from({ length: count }, (_, i) => i % 1_000).reduce((sum, n) => sum + n, 0);
    const output = Array.from({ length: count }, (_, i) => i % 77).reduce((sum, n) => sum + n, 0);

    const first = await importText(content);
    expect(first).toMatchObject({ stop: null, badLines: [], refreshCut: false });
    expect(first.counts).toMatchObject({ rows: count, stored: count, duplicates: 0 });
    const second = await importText(content);
    expect(second.stop).toBeNull();
    expect(second.counts).toMatchObject({ rows: count, stored: 0, duplicates: count });

    const sums = (rows: Record<string, number>[]) =>
      rows.reduce<number[]>(
        ([c, i, o, t], row) => [
          c! + row.calls!,
          i! + row.inputTokens!,
          o! + row.outputTokens!,
          t! + row.tokens!,
        ],
        [0, 0, 0, 0],
      );
    const expected = [count, input, output, input + output];
    for (const granularity of ['30s', '5m', '1h', '1d']) {
      expect(sums(await list(`/v1/usage?${DAY}&granularity=${granularity}&limit=50`))).toEqual(expected);
    }
    const windows = await list(`/v1/windows?${DAY}&limit=100`);
    expect(
      sums(
        windows.map(({ aggregations: a }) => ({
          calls: a.totalCalls,
          inputTokens: a.totalInputTokens,
          outputTokens: a.totalOutputTokens,
          tokens: a.totalTokens,
        })),
      ),
    ).toEqual(expected);
    for (const summary of ['hourly', 'daily']) {
      const rows = await list(`/v1/summaries/${summary}?${DAY}&limit=1`);
      expect(rows.reduce((sum, row) => sum + row.totalEvents, 0)).toBe(count);
    }
    for (const rollup of ['usage_30s', 'usage_1h', 'usage_1d']) {
      const { rows } = await service.sql.query(
        `select sum(calls)::int as calls, sum(input_tokens)::int as input, sum(output_tokens)::int as output
         from ${rollup} where tenant_id = $1`,
        [tenant.id],
      );
      expect(rows).toEqual([{ calls: count, input, output }]);
    }
  });

  test('it ends refreshed', async () => {
    const { refreshMs } = await importText(`time,in,out\n${generated(300)}`);
    expect(refreshMs === null).toBe(service.database.engine === 'postgres');
    const { rows } = await service.sql.query(
      `select count(*)::int as windows, count(*) filter (where stale)::int as stale
       from late_window where tenant_id = $1`,
      [tenant.id],
    );
    expect(rows).toEqual([{ windows: 7, stale: 0 }]);
  });

  test('the file is known by its content: renamed, compressed, grown, with other line ends', async () => {
    const content = `time,in,out\r\n${generated(10)}`;
    const path = await file('one.csv', content);
    const { idPrefix } = await importPath(path);
    await rename(path, `${path}.bak`);
    const again = [
      await importPath(`${path}.bak`),
      await importPath(await file('one.csv.gz', gzipSync(content))),
      await importText(content.replaceAll('\r\n', '\n')),
      await importText(`\uFEFF${content}`),
      await importText(content.replaceAll(/(?<=[,\n])(\d+)(?=[,\r])/g, '"$1"')),
    ];
    for (const { counts } of again) expect(counts).toMatchObject({ stored: 0, duplicates: 10 });

    const grown = await importText(content + generated(5, 10));
    expect(grown.counts).toMatchObject({ stored: 5, duplicates: 10 });
    expect(grown.idPrefix).toBe(idPrefix);
  });

  test('equal rows count each; a row corrected in place is a new event, its neighbours are not', async () => {
    const row = '2023-11-16 18:00:00,1,2';
    const content = ['time,in,out', row, row, '2023-11-16 18:00:01,x,2', row, ''].join('\n');
    const first = await importText(content);
    expect(first.counts).toMatchObject({ rows: 4, stored: 3, badLines: 1 });
    const corrected = await importText(content.replace('x', '5'));
    expect(corrected.counts).toMatchObject({ rows: 4, stored: 1, duplicates: 3, badLines: 0 });
  });

  test('other files and other customers are other events; --id-prefix makes it the same file', async () => {
    const content = `time,in,out\n${generated(3)}`;
    const { idPrefix } = await importText(content);
    const other = await importText(content, {
      constants: { customerId: 'other', apiEndpoint: '/x' },
    });
    expect(other.counts.stored).toBe(3);
    const changedFirstRow = content.replace(',0,0', ',9,9');
    expect((await importText(changedFirstRow)).counts.stored).toBe(3);
    expect((await importText(changedFirstRow, { idPrefix })).counts).toMatchObject({
      stored: 1, // the changed row itself
      duplicates: 2,
    });
  });

  test('resumes at a line, with the same ids', async () => {
    const content = `time,in,out\n${generated(20)}`;
    const tail = await importText(content, { fromLine: 16 });
    expect(tail.counts).toMatchObject({ rows: 6, stored: 6 });
    const whole = await importText(content);
    expect(whole.counts).toMatchObject({ rows: 20, stored: 14, duplicates: 6 });
    const past = await importText(content, { fromLine: 99 });
    expect(past).toMatchObject({ stop: null, counts: { rows: 0, range: null } });
  });

  test('bad lines are named by their line in the file, and cost nothing else', async () => {
    const content = [
      'time,in,out,note',
      '2023-11-16 18:00:00,1,2,"two',
      'lines"',
      'yesterday,1,2,',
      '2023-11-16 18:00:01,-1,2.5,',
      '2023-11-16 18:00:02,1,2',
      '',
      '2023-11-16 18:00:03,1,2,"ok',
      '',
      'so far"',
      '2099-01-01 00:00:00,1,2,',
      '1969-12-31 23:59:59,1,2,',
      '2023-11-16 18:00:04,1,2,nul\0',
      '2023-11-16 18:00:05,1,2,"x"y',
      '2023-11-16 18:00:06,3,4,',
    ].join('\r\n');
    const { stop, counts, badLines } = await importText(content, { metadata: 'note' });
    expect(stop).toBeNull();
    expect(badLines.map(({ line, pointer, code }) => [line, pointer, code])).toEqual([
      [4, '/timestamp', 'timestamp_invalid'],
      [5, '/metadata/inputTokens', 'out_of_range'],
      [5, '/metadata/outputTokens', 'type_invalid'],
      [6, '', 'column_count'],
      [11, '/timestamp', 'timestamp_too_new'],
      [12, '/timestamp', 'timestamp_too_old'],
      [13, '/metadata/note', 'text_invalid'],
      [14, '', 'quote_invalid'],
    ]);
    expect(counts).toMatchObject({ rows: 10, stored: 3, badLines: 7 });
    expect((await stored()).map(({ metadata, tokens }) => [metadata?.note, tokens])).toEqual([
      ['two\r\nlines', 3],
      ['ok\r\n\r\nso far', 3],
      [undefined, 7],
    ]);
  });

  test('one bad line too many stops, and says where to resume', async () => {
    const bad = 'never,1,2\n';
    const content = `time,in,out\n${bad}${generated(3)}${bad}${generated(3, 3)}${bad}${generated(3, 6)}`;
    const first = await importText(content, { maxErrors: 2 });
    expect(first.stop).toEqual({ reason: 'bad-lines', resumeLine: 10 });
    expect(first.counts).toMatchObject({ rows: 9, stored: 6, badLines: 3 });
    const rest = await importText(content, { maxErrors: 2, fromLine: first.stop!.resumeLine });
    expect(rest).toMatchObject({ stop: null, counts: { rows: 4, stored: 3, duplicates: 0, badLines: 1 } });
  });

  test('interrupted, it says where to resume, and nothing is lost or doubled', async () => {
    const count = 60_000;
    const path = await file('rows.csv', `time,in,out\n${generated(count)}`);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 150);
    const first = await importPath(path, { signal: controller.signal });
    if (first.stop === null) return; // a fast machine
    expect(first.stop.reason).toBe('interrupted');
    expect(first.counts.stored).toBe(first.stop.resumeLine - 2);
    const rest = await importPath(path, { fromLine: first.stop.resumeLine });
    expect(rest.stop).toBeNull();
    expect(first.counts.stored + rest.counts.stored).toBe(count);
    expect(rest.counts.duplicates).toBe(0);
  });

  test('a compressed file that ends too early stops with the line to resume from', async () => {
    const whole = gzipSync(`time,in,out\n${generated(30_000)}`);
    const { stop, counts } = await importPath(await file('cut.csv.gz', whole.subarray(0, whole.length / 2)));
    expect(stop).toMatchObject({ reason: 'failed', error: { message: 'unexpected end of file' } });
    expect(counts.stored).toBe(stop!.resumeLine - 2);
    expect(counts.stored).toBeGreaterThan(1_000);
  });

  test('times: without a zone UTC, with one what it says, digits beyond microseconds cut off', async () => {
    const content = `time,in,out
2023-11-16 18:15:46.6805900,1,1
2023-11-16T18:15:46.6805999+02:00,2,2
2023-11-16t18:15:46z,3,3
`;
    await importText(content);
    const { rows } = await service.sql.query(
      `select input_tokens::int as n, to_char(ts at time zone 'UTC', 'HH24:MI:SS.US') as at
       from event where tenant_id = $1 order by n`,
      [tenant.id],
    );
    expect(rows).toEqual([
      { n: 1, at: '18:15:46.680590' },
      { n: 2, at: '16:15:46.680599' },
      { n: 3, at: '18:15:46.000000' },
    ]);
  });

  test('every target, a delimiter of its own, ids from a column', async () => {
    const content = `id;when;who;path;kind;src;ref;u;v;t;ms;m;region
a-1;2023-11-16 18:00:00;bob;/b;click;web;order-1;EUR; -12.50 ;7;1.5e2;claude;eu
019AA3F2-7C1E-7B3A-9D55-3F1C2B4A5E60;2023-11-16 18:00:01;;;;;;;;;;;
a-1;2023-11-16 18:00:02;bob;/b;click;web;order-1;EUR;1;7;2;claude;eu
`;
    const map =
      'eventId=id,timestamp=when,customerId=who,endpoint=path,eventType=kind,sourceId=src,reference=ref,' +
      'unit=u,value=v,tokens=t,latencyMs=ms,model=m';
    const { counts } = await importText(content, { map, metadata: 'region', delimiter: ';' });
    expect(counts).toMatchObject({ rows: 3, stored: 2, duplicates: 1 });
    expect(await stored()).toMatchObject([
      {
        external_id: 'a-1',
        customer_id: 'bob',
        endpoint: '/b',
        event_type: 'click',
        model: 'claude',
        reference: 'order-1',
        unit: 'EUR',
        value: '-12.5',
        tokens: 7,
        latency_ms: 150,
        metadata: { region: 'eu' },
      },
      {
        event_id: '019aa3f2-7c1e-7b3a-9d55-3f1c2b4a5e60',
        external_id: null,
        customer_id: 'acme',
        endpoint: '/api/completion',
        event_type: 'api.request',
        model: 'gpt-4',
        tokens: null,
        metadata: null,
      },
    ]);
  });

  test('NDJSON: native events, completed by the constants', async () => {
    const lines = [
      { eventId: 'n-1', timestamp: '2023-11-16T18:00:00', metadata: { inputTokens: 5, colour: 'red' } },
      { timestamp: '2023-11-16T18:00:01Z', customerId: 'own', apiEndpoint: '/own', metadata: { model: 'm' } },
      { timestamp: '2023-11-16T18:00:02Z', tenantId: 'another' },
      { timestamp: '2023-11-16T18:00:03Z', colour: 'red' },
    ].map((line) => JSON.stringify(line));
    lines.push('{"timestamp":', '"text"', String.raw`{"timestamp":"2023-11-16T18:00:04Z","unit":"\u0000"}`);
    const options: Options = { format: 'ndjson', map: '' };
    const { badLines, counts } = await importText(lines.join('\n'), options);
    expect(badLines.map(({ line, pointer, code }) => [line, pointer, code])).toEqual([
      [3, '/tenantId', 'tenant_mismatch'],
      [4, '/colour', 'unknown_field'],
      [5, '', 'invalid_json'],
      [6, '', 'type_invalid'],
      [7, '/unit', 'text_invalid'],
    ]);
    expect(counts.stored).toBe(2);
    expect(await stored()).toMatchObject([
      { external_id: 'n-1', customer_id: 'acme', model: 'gpt-4', tokens: 5, metadata: { colour: 'red' } },
      { external_id: null, customer_id: 'own', endpoint: '/own', model: 'm' },
    ]);
    const again = await importText(gzipSync(`${lines.join('\r\n')}\r\n`), options);
    expect(again.counts).toMatchObject({ stored: 0, duplicates: 2 });
  });

  test('NDJSON of any shape, with a mapping', async () => {
    const content = '{"at":"2023-11-16 18:00:00","in":5,"metadata":{"out":"6","who":"eve"},"more":1}\n';
    const map = 'timestamp=at,inputTokens=in,outputTokens=out,customerId=who';
    const { counts } = await importText(content, { format: 'ndjson', map });
    expect(counts).toMatchObject({ stored: 1, badLines: 0 });
    expect(await stored()).toMatchObject([{ customer_id: 'eve', input_tokens: 5, tokens: 11 }]);
  });

  describe('refusals', describeRefusals);
});

function describeRefusals(): void {
  afterEach(async () => {
    expect(await stored()).toEqual([]);
  });

  const content = `time,in,out\n${generated(1)}`;

  test.each<[string, string | null, Options]>([
    ['there is no such file', null, {}],
    ['the file has no column OUT; it has time, in, out', content, { map: 'timestamp=time,outputTokens=OUT' }],
    ['name the column of the timestamp: --map timestamp=COLUMN', content, { map: 'inputTokens=in' }],
    ['name the customer', content, { constants: { apiEndpoint: '/x' } }],
    ['api.request events need an endpoint', content, { constants: { customerId: 'c' } }],
    ['the file is empty', '', {}],
    ['is UTF-16', Buffer.from(`\uFEFF${content}`, 'utf16le'), {}],
  ] as [string, string | null, Options][])(
    'refused before anything is read: %s',
    async (message, text, options) => {
      const path = text === null ? join(folder, 'missing.csv') : await file('refused.csv', text);
      const refusal = await importPath(path, options).catch((error) => error);
      expect(refusal).toBeInstanceOf(StartupError);
      expect(refusal.message).toContain(message);
      expect(refusal.message).not.toContain('\n');
    },
  );

  test('an unknown tenant, unless it is to be made; an inactive one', async () => {
    const tenantId = `${tenant.id}-new`;
    await expect(importText(content, { tenantId })).rejects.toThrow(`there is no tenant ${tenantId}`);
    const made = await importText(content, { tenantId, createTenant: true });
    expect(made.counts.stored).toBe(1);
    await service.call('PATCH', `/v1/tenants/${tenantId}`, { body: { active: false } });
    await expect(importText(content, { tenantId, createTenant: true })).rejects.toThrow('is inactive');
  });
}

describeEngine('import beside messages', () => {
  beforeAll(async () => {
    service = await startTestService();
    folder = await mkdtemp(join(await runFolder(), 'import-'));
    tenant = await service.tenant();
  });
  afterAll(async () => {
    await service.stop();
    await rm(folder, { recursive: true, force: true });
  });

  test('tells nobody of what is imported, and later messages count it', async () => {
    const { key } = tenant;
    const messageTypes = ['record.processed', 'usage.threshold', 'alert.triggered'];
    await service.call('POST', '/v1/subscriptions', { key, body: { stream: 'out', messageTypes } });
    const rules = [
      { kind: 'usage', measure: 'value', period: 'day', threshold: '6' },
      { kind: 'event', field: 'value', threshold: '1.9' },
    ];
    for (const body of rules) await service.call('POST', '/v1/alert-rules', { key, body });
    const day = new Date(Math.floor(Date.now() / 86_400_000) * 86_400_000).toISOString();
    const post = (value: string) =>
      service.call('POST', '/v1/events', {
        key,
        body: {
          eventId: crypto.randomUUID(),
          timestamp: day,
          customerId: 'acme',
          eventType: 'positive',
          value,
        },
      });
    expect((await post('1')).status).toBe(200);
    const rows = `time,value\n${`${day},2\n`.repeat(3)}`;
    const options = {
      map: 'timestamp=time,value=value',
      constants: { customerId: 'acme', eventType: 'positive' },
    };
    expect((await importText(rows, options)).counts.stored).toBe(3);
    expect((await post('1')).status).toBe(200);
    const found = await service.sql.query(
      'select type, payload from outbox where tenant_id = $1 order by id',
      [tenant.id],
    );
    expect(found.rows.map(({ type, payload }) => [type, payload.summary?.count ?? payload.total])).toEqual([
      ['record.processed', 0],
      ['record.processed', 4],
      ['usage.threshold', '8'],
    ]);
  });
});
