import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tenantContext } from '../../../src/access/tenancy/tenantContext.ts';
import { ExportCounts } from '../../../src/outbound/exporting/exportCounts.ts';
import { exportEvents } from '../../../src/outbound/exporting/exportEvents.ts';
import { beginSnapshot } from '../../../src/outbound/exporting/snapshot.ts';
import { buildProgram } from '../../support/buildProgram.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { runFolder } from '../../support/runFolder.ts';
import { runTidemark } from '../../support/runTidemark.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';

const DAY_MS = 86_400_000;
const NOW = Date.now();
const FROM = new Date(NOW - 30 * DAY_MS).toISOString();
const TO = new Date(NOW + DAY_MS).toISOString();
const MODELS = ['gpt-4', 'gpt-3.5', undefined];
/** More than two portions of a cursor. */
const EVENTS = 2_500;

let service: TestService;
let folder: string;
let tenant: { id: string; key: string };
let other: { id: string; key: string };

const at = (i: number) => new Date(NOW - (i % 20) * DAY_MS - i * 137).toISOString();

/**
 * What clients send: late events, fractions, ids that are no UUIDs, metadata of any kind. Latencies are such that their
 * sums have no rounding, and do not depend on the order they are added in.
 */
function natives(customers: number): Record<string, unknown>[] {
  return Array.from({ length: EVENTS }, (_, i) => ({
    eventId: i % 3 === 0 ? `order ${i} "ä"` : crypto.randomUUID(),
    timestamp: i % 5 === 0 ? at(i).replace('Z', '123Z') : at(i),
    customerId: i % 100 === 0 ? '=cmd' : `c${i % customers}`,
    apiEndpoint: `/e${i % 4}`,
    ...(i % 7 === 0 && { eventType: 'click' }),
    ...(i % 6 === 0 && { reference: `s${i % 10}`, sourceId: 'a,b', unit: 'EUR' }),
    ...(i % 6 === 0 && { value: `${i % 2 === 0 ? '-' : ''}12345678901234567890.12345678901234567${i % 10}` }),
    metadata: {
      ...(MODELS[i % 3] && { model: MODELS[i % 3] }),
      ...(i % 2 === 0 && { inputTokens: i, outputTokens: 2 * i }),
      ...(i % 4 === 0 && { latencyMs: i / 8 }),
      ...(i % 9 === 0 && { deep: { a: [1, null, 'x"y'] }, 'key "q"': 0.1, __proto__x: true }),
    },
  }));
}

const env = (database: TestDatabase) => ({ DATABASE_URL: database.url, DATA_DIR: join(folder, 'data') });
const tidemark = (database: TestDatabase, ...args: string[]) => runTidemark(args, env(database));
const range = (id: string) => ['--tenant', id, '--from', FROM, '--to', TO];

describeEngine('export', () => {
  beforeAll(async () => {
    await buildProgram();
    service = await startTestService({ WINDOW_GRACE_MS: '0' });
    folder = await mkdtemp(join(await runFolder(), 'export-'));
    [tenant, other] = [await service.tenant(), await service.tenant()];
    const post = async (key: string, body: unknown, path = '/v1/events', headers = {}) => {
      const answer = await service.call('POST', path, { key, body, headers });
      expect([200, 201], JSON.stringify(answer.body)).toContain(answer.status);
    };
    await post(tenant.key, natives(9));
    await post(other.key, natives(2));
    await post(
      tenant.key,
      {
        specversion: '1.0',
        id: 'order 1',
        source: '/shop',
        type: 'click',
        subject: 'c1',
        time: at(1),
        data: {},
      },
      '/v1/events',
      { 'content-type': 'application/cloudevents+json' },
    );
    await post(
      tenant.key,
      [
        {
          recordId: 'r-1',
          time: at(2),
          sourceId: 'a',
          destinationId: 'b',
          type: 'negative',
          value: 1.5,
          unit: 'EUR',
          reference: 'r',
        },
      ],
      '/v1/records',
    );
    for (const key of ['k1', 'k2']) {
      const headers = { 'idempotency-key': `"${key}"` };
      await post(tenant.key, { key: 'visits', value: '2.5' }, '/v1/counters/increment', headers);
    }
  });
  afterAll(async () => {
    await service?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  describe('events', () => {
    let file: string;
    let lines: string[];
    beforeAll(async () => {
      file = join(folder, 'events.ndjson.gz');
      const ended = await tidemark(service.database, 'export', 'events', ...range(tenant.id), '--out', file);
      expect(ended).toMatchObject({ code: 0, out: '' });
      lines = gunzipSync(await readFile(file))
        .toString()
        .trimEnd()
        .split('\n');
    });

    test('all of them, of this tenant alone, in order of time, and no other file is left', async () => {
      expect(lines).toHaveLength(EVENTS + 4);
      const events = lines.map((line) => JSON.parse(line));
      expect(new Set(events.map(({ tenantId }) => tenantId))).toEqual(new Set([tenant.id]));
      const times = events.map(({ timestamp }) => Date.parse(timestamp));
      expect(times).toEqual([...times].sort((a, b) => a - b));
      expect((await readdir(folder)).filter((name) => name.includes('partial'))).toEqual([]);
    });

    test('imported again: not one is new', async () => {
      const ended = await tidemark(service.database, 'import', file, '--tenant', tenant.id);
      expect(ended.code, ended.err).toBe(0);
      expect(ended.out).toMatch(/stored {5}0\n {2}duplicates 2,504\n {2}bad lines {2}0\n/);
    });

    test('imported into an empty database: the same totals, counters, and the same export', async () => {
      const empty = await createTestDatabase();
      try {
        const ended = await tidemark(empty, 'import', file, '--tenant', tenant.id, '--create-tenant');
        expect(ended.out, ended.err).toMatch(/stored {5}2,504\n {2}duplicates 0\n {2}bad lines {2}0\n/);
        const usage = [
          'export',
          'usage',
          ...range(tenant.id),
          '--group-by',
          'customer,endpoint,model,eventType',
        ];
        for (const granularity of ['30s', '1d', '1mo']) {
          const [before, after] = await Promise.all(
            [service.database, empty].map((db) => tidemark(db, ...usage, '--granularity', granularity)),
          );
          expect(before!.code).toBe(0);
          expect(before!.out.split('\n').length).toBeGreaterThan(10);
          expect(after!.out).toBe(before!.out);
        }
        const again = await tidemark(empty, 'export', 'events', ...range(tenant.id));
        expect(again.out.trimEnd().split('\n')).toEqual(lines);
        const client = new pg.Client(empty.url);
        await client.connect();
        const { rows } = await client.query('select key, value::float8 as value from counter');
        await client.end();
        expect(rows).toEqual([{ key: 'visits', value: 5 }]);
      } finally {
        await empty.drop();
      }
    });

    test('filters, and the edges of the range', async () => {
      const of = async (...args: string[]) => {
        const { out } = await tidemark(service.database, 'export', 'events', ...args);
        return out === '' ? [] : out.trimEnd().split('\n');
      };
      const all = lines.map((line) => JSON.parse(line));
      const clicks = await of(...range(tenant.id), '--event-type', 'click', '--customer', 'c1');
      expect(clicks).toHaveLength(
        all.filter(({ eventType, customerId }) => eventType === 'click' && customerId === 'c1').length,
      );
      expect(clicks.length).toBeGreaterThan(1);
      expect(await of(...range(tenant.id), '--reference', 's6')).toHaveLength(
        all.filter(({ reference }) => reference === 's6').length,
      );
      const middle = new Date(NOW - 10 * DAY_MS).toISOString();
      const first = await of('--tenant', tenant.id, '--from', FROM, '--to', middle);
      const second = await of('--tenant', tenant.id, '--from', middle, '--to', TO);
      expect([...first, ...second]).toEqual(lines);
    });

    test('CSV is safe in a spreadsheet', async () => {
      const { out } = await tidemark(
        service.database,
        'export',
        'events',
        ...range(tenant.id),
        '--format',
        'csv',
      );
      expect(out).toMatch(/^eventId,timestamp,receivedAt,tenantId,/);
      expect(out).toContain(",'=cmd,");
      expect(out).not.toContain(',=cmd,');
      expect(out).toContain('-12345678901234567890.12345678901234567');
    });
  });

  test('usage is what the API says, page for page', async () => {
    const query = `from=${FROM}&to=${TO}&granularity=1h&groupBy=customer,model&timezone=Europe/Berlin&limit=100`;
    let csv = '';
    for (let cursor = ''; ; ) {
      const page = await service.call('GET', `/v1/usage?${query}${cursor}`, {
        key: tenant.key,
        headers: { accept: 'text/csv' },
      });
      csv += csv === '' ? page.body : page.body.replace(/^.*\r\n/, '');
      const next = page.headers.get('x-next-cursor');
      if (next === null) break;
      cursor = `&cursor=${encodeURIComponent(next)}`;
    }
    const file = join(folder, 'usage.csv');
    const flags = [
      '--granularity',
      '1h',
      '--group-by',
      'customer',
      '--group-by',
      'model',
      '--timezone',
      'Europe/Berlin',
    ];
    const ended = await tidemark(
      service.database,
      'export',
      'usage',
      ...range(tenant.id),
      ...flags,
      '--out',
      file,
    );
    expect(ended.code, ended.err).toBe(0);
    expect(csv.split('\n').length).toBeGreaterThan(150); // more than one page
    expect(await readFile(file, 'utf8')).toBe(csv);
  });

  test('no chunk is packed from under a snapshot, to which it would be empty', async (context) => {
    context.skip(service.database.engine !== 'timescale', 'the columnstore is TimescaleDB');
    const oldest = `
      select distinct on (relation) relation, chunk from retention_chunk join retention using (relation)
      where state = 0 and relation in ('event', 'usage_30s', 'usage_1h') order by relation, range_start`;
    await until(async () => (await service.sql.query(oldest)).rows.length === 3);
    const { rows } = await service.sql.query<{ chunk: string }>(oldest);
    const client = new pg.Client(service.database.url);
    const packer = new pg.Client(service.database.url);
    await Promise.all([client.connect(), packer.connect()]);
    try {
      await beginSnapshot(client, tenantContext(tenant.id));
      await packer.query(`set lock_timeout = '100ms'`);
      for (const { chunk } of rows) {
        const packing = packer.query('select compress_chunk($1::regclass)', [chunk]);
        await expect(packing, chunk).rejects.toMatchObject({ code: '55P03' });
      }
    } finally {
      await Promise.all([client.end(), packer.end()]);
    }
  });

  test('a snapshot sees one tenant, through the views, as it was when it began', async () => {
    const client = new pg.Client(service.database.url);
    await client.connect();
    try {
      await beginSnapshot(client, tenantContext(other.id));
      const counts = new ExportCounts();
      const lines = exportEvents(
        client,
        tenantContext(other.id),
        { from: Date.parse(FROM), to: Date.parse(TO) },
        'ndjson',
        counts,
      );
      const pieces = [(await lines.next()).value as string];
      const { status } = await service.call('POST', '/v1/events', {
        key: other.key,
        body: natives(1).map((event) => ({ ...event, eventId: crypto.randomUUID() })),
      });
      expect(status).toBe(200);
      for await (const piece of lines) pieces.push(piece);
      expect(pieces.join('').trimEnd().split('\n')).toHaveLength(EVENTS);
      expect(counts.rows).toBe(EVENTS);
      const { rows } = await client.query('select distinct tenant_id from tenant_data.event');
      expect(rows).toEqual([{ tenant_id: other.id }]);
      await expect(client.query('select from event')).rejects.toMatchObject({ code: '42501' });
    } finally {
      await client.end();
    }
  });
});
