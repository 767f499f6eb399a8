import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { filePrefix } from '../../../src/intake/importing/rowId.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { type ImportOptions, importInto } from '../../support/importing.ts';
import { runFolder } from '../../support/runFolder.ts';

/* What makes an event of a row is part of its identity. */

const WIDE = 'time,a,b\n2023-11-16 18:00:00,1,10\n2023-11-16 18:00:01,2,20\n2023-11-16 18:00:02,3,30\n';
/** What the versions before made of the file, its header and first row, and of customer acme. */
const EARLIER_PREFIX = 'a477397c71f0';
const EARLIER_IDS = [
  'a477397c-71f0-8000-8000-00026796dfb9',
  'a477397c-71f0-8000-8000-00030a3438fb',
  'a477397c-71f0-8000-8000-00044f74641f',
];

const LINES_PREFIX = filePrefix(['time', 'a', 'note'], '["2023-11-16 18:00:00","1","x\\ny"]', 'acme');

let database: TestDatabase;
let sql: pg.Client;
let folder: string;
let tenantId: string;
let files = 0;

async function run(content: string | Buffer, options: Partial<ImportOptions> & { name?: string } = {}) {
  const { name = 'rows.csv', ...rest } = options;
  const path = join(folder, name);
  await writeFile(path, content);
  return importInto({ url: database.url, path, tenantId, map: 'timestamp=time,value=a', ...rest });
}

async function stored() {
  const { rows } = await sql.query(
    'select event_id, customer_id, value::text, model, metadata from event where tenant_id = $1 order by ts, event_id',
    [tenantId],
  );
  return rows;
}

describeEngine('ids of imported rows', () => {
  beforeAll(async () => {
    database = await createTestDatabase();
    sql = new pg.Client(database.url);
    await sql.connect();
    folder = await mkdtemp(join(await runFolder(), 'meaning-'));
  });
  afterAll(async () => {
    await sql?.end();
    await database?.drop();
    await rm(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    tenantId = `t${++files}`;
  });

  test('a wide table is imported once per measure, each once', async () => {
    const passes: Partial<ImportOptions>[] = [
      { map: 'timestamp=time,value=a' },
      { map: 'timestamp=time,value=b' },
      { map: 'timestamp=time,tokens=b' },
      { map: 'timestamp=time', metadata: 'a' },
      { constants: { customerId: 'acme', apiEndpoint: '/x', model: 'm' } },
      { constants: { customerId: 'acme', apiEndpoint: '/y' } },
      { constants: { customerId: 'acme', eventType: 'click' } },
      { constants: { customerId: 'acme', apiEndpoint: '/x', unit: 'EUR' } },
      { constants: { customerId: 'acme', apiEndpoint: '/x', reference: 'r' } },
      { constants: { customerId: 'acme', apiEndpoint: '/x', sourceId: 's' } },
      { constants: { customerId: 'other', apiEndpoint: '/x' } },
    ];
    for (const pass of passes)
      expect((await run(WIDE, pass)).counts).toMatchObject({ stored: 3, duplicates: 0 });
    for (const pass of passes) {
      expect((await run(WIDE, pass)).counts).toMatchObject({ stored: 0, duplicates: 3, knownRows: 3 });
    }
    expect(await stored()).toHaveLength(passes.length * 3);
  });

  test('empty cells are those of the customer who is named for them', async () => {
    const content = 'time,who,a\n2023-11-16 18:00:00,,1\n2023-11-16 18:00:01,x,2\n';
    const map = 'timestamp=time,customerId=who,value=a';
    for (const customerId of ['acme', 'other']) {
      const constants = { customerId, apiEndpoint: '/x' };
      expect((await run(content, { map, constants })).counts.stored).toBe(2);
      expect((await run(content, { map, constants })).counts.stored).toBe(0);
    }
    expect((await stored()).map((row) => row.customer_id).sort()).toEqual(['acme', 'other', 'x', 'x']);
  });

  describe('of a file that an earlier version has imported', () => {
    beforeEach(async () => {
      const { counts } = await run(WIDE, { idPrefix: EARLIER_PREFIX });
      expect(counts.stored).toBe(3);
      expect((await stored()).map((row) => row.event_id)).toEqual(EARLIER_IDS);
      await sql.query(`update event_key set received_at = received_at - interval '1 day'`);
    });

    test('the same again adds nothing, and what was appended keeps its ids', async () => {
      const again = await run(WIDE);
      expect(again).toMatchObject({ idPrefix: EARLIER_PREFIX, counts: { stored: 0, duplicates: 3 } });
      const row = '2023-11-16 18:00:03,4,40\n';
      for (const fromLine of [5, 1]) {
        const grown = await run(gzipSync(WIDE + row), { fromLine, name: 'other.csv.gz' });
        expect(grown).toMatchObject({
          idPrefix: EARLIER_PREFIX,
          counts: { stored: fromLine === 5 ? 1 : 0, duplicates: fromLine === 5 ? 0 : 4 },
        });
      }
    });

    test('another meaning is other events', async () => {
      for (const again of [3, 0]) {
        const { counts, idPrefix } = await run(WIDE, { map: 'timestamp=time,value=b' });
        expect(counts.stored).toBe(again);
        expect(idPrefix).not.toBe(EARLIER_PREFIX);
      }
      expect((await run(WIDE, { metadata: 'b' })).counts.stored).toBe(3);
      expect((await run(WIDE)).counts.stored).toBe(0);
    });

    test('line ends within its fields were all the same then', async () => {
      const lines = 'time,a,note\r\n2023-11-16 18:00:00,1,"x\r\ny"\r\n2023-11-16 18:00:01,2,z\r\n';
      const noted = { map: 'timestamp=time,value=a', metadata: 'note' };
      const before = await run(lines.replaceAll('\r\n', '\n'), { ...noted, idPrefix: LINES_PREFIX });
      expect(before.counts.stored).toBe(2);
      await sql.query(`update event_key set received_at = received_at - interval '1 day'`);
      expect(await run(lines, noted)).toMatchObject({
        idPrefix: LINES_PREFIX,
        counts: { stored: 0, duplicates: 2 },
      });
    });

    test('one that was corrected in place goes on as well', async () => {
      const { counts, idPrefix } = await run(WIDE.replace(',2,20', ',5,20'));
      expect(counts).toMatchObject({ stored: 1, duplicates: 2 });
      expect(idPrefix).toBe(EARLIER_PREFIX);
    });
  });

  test('native events as they are have the ids that they had', async () => {
    const line = '{"timestamp":"2023-11-16T18:00:00Z","apiEndpoint":"/x"}';
    const native = { name: 'rows.ndjson', map: '', constants: { customerId: 'acme' } };
    expect(await run(`${line}\n`, native)).toMatchObject({ idPrefix: '51112a674100', counts: { stored: 1 } });
    expect((await stored()).map((row) => row.event_id)).toEqual(['51112a67-4100-8000-8000-00017616b9e6']);
    // The same as an array, in another layout.
    const array = JSON.stringify([JSON.parse(line)], null, 2);
    expect((await run(array, { ...native, name: 'rows.json' })).counts).toMatchObject({
      stored: 0,
      duplicates: 1,
    });
    const mapped = { ...native, map: 'timestamp=timestamp,endpoint=apiEndpoint' };
    expect((await run(`${line}\n`, mapped)).counts.stored).toBe(1);
    const withModel = { ...native, constants: { customerId: 'acme', model: 'm' } };
    expect((await run(`${line}\n`, withModel)).counts.stored).toBe(1);
  });

  test('files whose first row cannot be read are told apart by it', async () => {
    const row = Buffer.from('2023-11-16 18:00:00,1,10\n');
    const header = Buffer.from('time,a,b\n');
    const firsts = [
      Buffer.from('x\xff\n', 'latin1'),
      Buffer.from('y\xff\n', 'latin1'),
      Buffer.from(`${'x'.repeat(1_100_000)}\n`),
      Buffer.from(`${'y'.repeat(1_100_000)}\n`),
    ];
    for (const again of [1, 0]) {
      for (const first of firsts) {
        const { counts } = await run(Buffer.concat([header, first, row]));
        expect(counts).toMatchObject({ stored: again, badLines: 1 });
      }
    }
  });

  test('rows that mean the same at first, and another thing later, are all other events', async () => {
    const line = (second: number, model?: string) =>
      `${JSON.stringify({ timestamp: `2023-11-16T18:00:0${second}Z`, apiEndpoint: '/x', metadata: { model } })}\n`;
    const content = line(1, 'own') + line(2, 'own') + line(3);
    const native = { name: 'rows.ndjson', map: '' };
    expect((await run(content, { ...native, constants: { customerId: 'acme' } })).counts.stored).toBe(3);
    const withModel = { ...native, constants: { customerId: 'acme', model: 'm' } };
    expect((await run(content, withModel)).counts).toMatchObject({ stored: 3, duplicates: 0 });
  });

  test('rows that bring their own id are known by it, whatever is said of them', async () => {
    const content = 'id,time,a,b\ne-1,2023-11-16 18:00:00,1,10\ne-2,2023-11-16 18:00:01,2,20\n';
    const first = await run(content, { map: 'eventId=id,timestamp=time,value=a' });
    expect(first.counts).toMatchObject({ stored: 2, duplicates: 0 });
    const second = await run(content, { map: 'eventId=id,timestamp=time,value=b' });
    expect(second.counts).toMatchObject({ stored: 0, duplicates: 2, knownRows: 0 });
  });
});
