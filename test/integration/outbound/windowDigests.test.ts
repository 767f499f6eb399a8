import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tenantContext } from '../../../src/access/tenancy/tenantContext.ts';
import { connectionSettings, createTenantReads } from '../../../src/ground/db/connections.ts';
import { goingOn, type TenantReads } from '../../../src/ground/db/tenantReads.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { type Comparison, compareWindows } from '../../../src/intake/verifying/compareWindows.ts';
import { exportedEvents } from '../../../src/intake/verifying/exportedEvents.ts';
import { toldWindows } from '../../../src/intake/verifying/toldWindows.ts';
import { windowsOfEvents } from '../../../src/intake/verifying/windowsOfEvents.ts';
import { ExportCounts, type ExportFormat } from '../../../src/outbound/exporting/exportCounts.ts';
import { exportEvents } from '../../../src/outbound/exporting/exportEvents.ts';
import { beginSnapshot } from '../../../src/outbound/exporting/snapshot.ts';
import { withDigests } from '../../../src/outbound/proof/digestWindows.ts';
import { listWindows } from '../../../src/sums/rollups/listWindows.ts';
import { CLOSED_BY_HAND, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { insisting } from '../../support/insisting.ts';
import { FAST_DELIVERY } from '../../support/messages.ts';
import { Receiver } from '../../support/receiver.ts';
import { runFolder } from '../../support/runFolder.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, randomFrom } from '../../support/traffic.ts';

const WINDOW = 30_000;
const DAY = 86_400_000;
const NOW = Math.floor(Date.now() / WINDOW) * WINDOW;
/** The first of the windows that are closed already, whose day can be packed. */
const START = NOW - 5 * DAY;
/** The first of the windows that are closed by hand. */
const AHEAD = NOW + 20 * WINDOW;
const iso = (ms: number) => new Date(ms).toISOString();

describeEngine('digests of windows', () => {
  let t: TestService;
  let reads: TenantReads;
  let receiver: Receiver;
  let folder: string;
  beforeAll(async () => {
    t = await startTestService({ ...CLOSED_BY_HAND, ...FAST_DELIVERY });
    const settings = connectionSettings(t.database.url, t.config.database, 'read');
    reads = createTenantReads(settings, t.database.engine, 2, createLogger(t.config));
    receiver = await Receiver.start();
    folder = await mkdtemp(join(await runFolder(), 'digests-'));
  });
  afterAll(async () => {
    await receiver?.stop();
    await reads?.end();
    await t?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  const post = async (key: string, body: unknown, path = '/v1/events', type?: string) => {
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type };
    const answer = await t.call('POST', path, { key, body, headers });
    expect([200, 201, 204], JSON.stringify(answer.body)).toContain(answer.status);
  };

  /** All pages of windows with their digests. */
  const windows = async (key: string, query = '') => {
    const pages = [];
    for (let cursor = ''; ; ) {
      const range = `from=${iso(START)}&to=${iso(NOW + DAY)}&limit=7`;
      const { status, body } = await t.call('GET', `/v1/windows?digest=true&${range}${query}${cursor}`, {
        key,
      });
      expect(status, JSON.stringify(body)).toBe(200);
      pages.push(body);
      if (body.nextCursor === null) return pages;
      cursor = `&cursor=${encodeURIComponent(body.nextCursor)}`;
    }
  };

  const exported = async (tenantId: string, format: ExportFormat) => {
    const client = new pg.Client(t.database.url);
    await client.connect();
    const context = tenantContext(tenantId);
    try {
      await beginSnapshot(client, context);
      const range = { from: START, to: NOW + DAY };
      let text = '';
      for await (const piece of exportEvents(client, context, range, format, new ExportCounts()))
        text += piece;
      const file = join(folder, `${tenantId}.${format}.gz`);
      await writeFile(file, gzipSync(text));
      return file;
    } finally {
      await client.end();
    }
  };

  /** Compares what the API says with what an export comes to. @returns how many windows agree. */
  const compared = async (tenantId: string, key: string, format: ExportFormat) => {
    const told = join(folder, `${tenantId}.windows.json`);
    await writeFile(told, (await windows(key)).map((page) => `${JSON.stringify(page)}\n`).join(''));
    const comparison: Comparison = { agree: 0, differ: 0, untold: new Map() };
    const made = windowsOfEvents(exportedEvents(await exported(tenantId, format)));
    const lines: string[] = [];
    for await (const line of compareWindows(await toldWindows(told), made, comparison)) lines.push(line);
    expect(lines).toEqual([]);
    expect(comparison).toMatchObject({ differ: 0, untold: new Map() });
    return comparison.agree;
  };

  const seed = Math.floor(Math.random() * 2 ** 32);
  it(`are those that an export comes to, whatever was sent, rows and packed (seed ${seed})`, async () => {
    const tenant = await t.tenant();
    const random = randomFrom(seed);
    const events = Array.from({ length: 700 }, (_, i) => anything(random, i));
    for (let at = 0; at < events.length; at += 100) await post(tenant.key, events.slice(at, at + 100));
    const time = iso(START + 1_000);
    await post(
      tenant.key,
      { specversion: '1.0', id: 'order 1', source: '/shop', type: 'click', subject: 'acme', time, data: {} },
      '/v1/events',
      'application/cloudevents+json',
    );
    // Beside the columns that the usage object fills, members of their names that do not fit them.
    const usage = { prompt_tokens: 10, completion_tokens: 3, total_tokens: 13 };
    const data = { tokens: 'many', model: 7, latencyMs: -1, inputTokens: null, usage };
    await post(
      tenant.key,
      { specversion: '1.0', id: '1', source: 'app', type: 'ai', subject: 'acme', time, data },
      '/api/v1/events',
      'application/cloudevents+json',
    );
    const record = { sourceId: 'a', unit: 'EUR', reference: 'r', destinationId: 'acme', time };
    await post(
      tenant.key,
      [
        { ...record, recordId: 'r-1', type: 'negative', value: '1.5' },
        { ...record, recordId: 'r-2', type: 'positive', value: '0.000000000000000001' },
      ],
      '/v1/records',
    );

    const count = await compared(tenant.id, tenant.key, 'ndjson');
    expect(count).toBeGreaterThan(20);
    expect(await compared(tenant.id, tenant.key, 'csv')).toBe(count);
    const before = (await windows(tenant.key)).flatMap(({ data }) => data);
    expect(before.reduce((sum, { digest }) => sum + digest.events, 0)).toBe(704);
    expect(new Set(before.map(({ digest }) => digest.sha256)).size).toBe(count);

    if (t.database.engine !== 'timescale') return;
    const { rows: packed } = await insisting(() =>
      t.sql.query(
        `select compress_chunk(chunk, if_not_compressed => true)
         from show_chunks('event', older_than => now() - interval '3 days') as chunk`,
      ),
    );
    expect(packed.length).toBeGreaterThan(0);
    expect((await windows(tenant.key)).flatMap(({ data }) => data)).toEqual(before);
    await post(tenant.key, anything(random, 700)); // a row beside the columns
    expect(await compared(tenant.id, tenant.key, 'ndjson')).toBeGreaterThanOrEqual(count);
  }, 240_000);

  it('have the events of their revision, and what each adds up to', async () => {
    const { id, key } = await t.tenant();
    const at = (ms: number) => ({ timestamp: iso(START + ms), customerId: 'acme' });
    const value = '12345678901234567890.5';
    await post(key, [
      anEvent({ ...at(0), value }),
      anEvent({ ...at(29_999), eventType: 'negative', value: '0.25' }),
    ]);
    const [first] = (await windows(key))[0].data;
    expect(first).toMatchObject({
      revision: 1,
      digest: {
        algorithm: 'tidemark-window-digest/1',
        events: 2,
        tokens: 20,
        value: '12345678901234567890.25',
      },
    });
    expect(first.digest.sha256).toMatch(/^[0-9a-f]{64}$/);

    // What comes between two statements of an answer is not in it.
    const context = tenantContext(id);
    const late = anEvent(at(5));
    const range = { from: START, to: START + WINDOW, limit: 10 };
    const [during] = await reads.inOneMoment(context, async (db) => {
      const { data } = await listWindows(goingOn(db), context, range);
      await post(key, late);
      return withDigests(db, context, data);
    });
    const { tenantId: _, ...shown } = first;
    expect(during).toMatchObject(shown);
    const [second] = (await windows(key))[0].data;
    expect(second).toMatchObject({ revision: 2, state: 'revised', digest: { events: 3, tokens: 30 } });
    expect(second.digest.sha256).not.toBe(first.digest.sha256);
  });

  it('are in answers to closedAfter, and in none that does not ask', async () => {
    const { key } = await t.tenant();
    await post(key, anEvent({ timestamp: iso(START) }));
    await closeUpTo(t.sql, AHEAD); // what has changed is given out with the next closing
    const since = `closedAfter=${iso(START - DAY)}`;
    const { body } = await t.call('GET', `/v1/windows?${since}&digest=true`, { key });
    expect(body).toMatchObject({ closedThrough: expect.any(String), data: [{ digest: { events: 1 } }] });
    for (const query of ['', '&digest=false']) {
      const plain = await t.call('GET', `/v1/windows?${since}${query}`, { key });
      expect(plain.body.data).toHaveLength(1);
      expect(plain.body.data[0]).not.toHaveProperty('digest');
    }
    const wrong = await t.call('GET', '/v1/windows?digest=yes', { key });
    expect([wrong.status, wrong.body.code]).toEqual([400, 'invalid_request']);
  });

  it('are not given of open windows, of what is no longer kept, or of too much', async () => {
    const { id, key } = await t.tenant();
    const open = AHEAD + 1_000 * WINDOW;
    await post(key, [anEvent({ timestamp: iso(START) }), anEvent({ timestamp: iso(open) })]);
    const both = async () => (await windows(key)).flatMap(({ data }) => data);
    expect(await both()).toMatchObject([
      { state: 'revised', digest: { events: 1 } },
      { state: 'open', digest: null, digestUnavailable: 'open' },
    ]);

    const context = tenantContext(id);
    const many = async (...calls: number[]) =>
      reads.inOneMoment(context, async (db) => {
        const { data } = await listWindows(goingOn(db), context, {
          from: START,
          to: START + WINDOW,
          limit: 1,
        });
        const [window] = data;
        const { aggregations } = window!;
        return withDigests(
          db,
          context,
          calls.map((totalCalls) => ({ ...window!, aggregations: { ...aggregations, totalCalls } })),
        );
      });
    expect(await many(1_000_001, 1)).toMatchObject([
      { digest: null, digestUnavailable: 'too_many_events' },
      { digest: { events: 1 } },
    ]);
    await expect(many(500_001, 500_000)).rejects.toMatchObject({ code: 'range_too_large' });

    const keep = `update retention set kept_from = $1 where relation = 'event'`;
    const { rows: kept } = await t.sql.query(
      `select kept_from::text from retention where relation = 'event'`,
    );
    await t.sql.query(keep, [iso(START + WINDOW)]);
    try {
      expect(await both()).toMatchObject([
        { state: 'revised', digest: null, digestUnavailable: 'events_not_kept' },
        { state: 'open' },
      ]);
    } finally {
      await t.sql.query(keep, [kept[0].kept_from]);
    }
  });

  it('are in messages where the subscription asks, of the revision that each tells of', async () => {
    const { key } = await t.tenant();
    const messageTypes = ['window.closed', 'window.revised'];
    const make = async (path: string, digest?: boolean) => {
      const body = { url: receiver.url(path), messageTypes, ...(digest !== undefined && { digest }) };
      const made = await t.call('POST', '/v1/subscriptions', { key, body });
      expect(made.status, JSON.stringify(made.body)).toBe(201);
      expect(made.body.digest).toBe(digest ?? false);
      return made.body.id as string;
    };
    const [asking] = [await make('/asking', true), await make('/plain')];
    const start = AHEAD + 2_000 * WINDOW;
    const told = (path: string) => receiver.at(path).map(({ json }) => json.data);
    const shown = async () => {
      const range = `from=${iso(start)}&to=${iso(start + 10 * WINDOW)}`;
      return (await t.call('GET', `/v1/windows?digest=true&${range}`, { key })).body.data;
    };

    // The first attempt fails: the next one has the same to the byte.
    let failed = false;
    receiver.answer = ({ path }) => {
      if (path !== '/asking' || failed) return 204;
      failed = true;
      return 500;
    };
    await post(key, [anEvent({ timestamp: iso(start) }), anEvent({ timestamp: iso(start + 1) })]);
    await closeUpTo(t.sql, start + WINDOW);
    await until(() => receiver.at('/asking').length === 2 && receiver.at('/plain').length === 1, 60_000);
    const [once, again] = receiver.at('/asking');
    expect(again!.body).toBe(once!.body);
    const [closed] = await shown();
    expect(once!.json).toMatchObject({ type: 'window.closed', data: { revision: 0, digest: closed.digest } });
    expect(closed.digest.events).toBe(2);
    expect(told('/plain')[0]).not.toHaveProperty('digest');
    const { body: deliveries } = await t.call('GET', `/v1/subscriptions/${asking}/deliveries`, { key });
    const one = `/v1/subscriptions/${asking}/deliveries/${deliveries.data[0].id}`;
    expect((await t.call('GET', one, { key })).body.message).toBe(once!.body);

    // Two revisions before either is sent: the first has none any more.
    const gate = new pg.Client(t.database.url);
    await gate.connect();
    try {
      await gate.query(`select pg_advisory_lock(hashtext('tidemark.fan_out'))`);
      await post(key, anEvent({ timestamp: iso(start + 2) }));
      await post(key, anEvent({ timestamp: iso(start + 3) }));
    } finally {
      await gate.end();
    }
    await until(() => receiver.at('/asking').length === 4, 60_000);
    const [latest] = await shown();
    expect(latest).toMatchObject({ revision: 2, digest: { events: 4 } });
    expect(told('/asking').slice(2)).toMatchObject([
      { revision: 1, digest: null, digestUnavailable: 'superseded' },
      { revision: 2, digest: latest.digest },
    ]);

    const changed = await t.call('PATCH', `/v1/subscriptions/${asking}`, { key, body: { digest: false } });
    expect(changed.body.digest).toBe(false);
    await post(key, anEvent({ timestamp: iso(start + 4) }));
    await until(() => receiver.at('/asking').length === 5, 60_000);
    expect(told('/asking')[4]).toMatchObject({ revision: 3 });
    expect(told('/asking')[4]).not.toHaveProperty('digest');
  });
});

/** An event with anything that a client may send, in one of a few windows of some customers. */
function anything(random: () => number, i: number): Record<string, unknown> {
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)]!;
  const maybe = (chance: number, fields: Record<string, unknown>) => (random() < chance ? fields : {});
  const at = iso(START + Math.floor(random() * 8) * WINDOW + pick([0, 1, 12_345, 29_999]));
  return {
    eventId: pick([
      crypto.randomUUID(),
      crypto.randomUUID().toUpperCase(),
      `order ${i} "ä" \u{1f600}`,
      `=${i}`,
    ]),
    timestamp:
      random() < 0.5 ? at : at.replace('Z', `${String(Math.floor(random() * 1_000)).padStart(3, '0')}Z`),
    customerId: pick(['acme', 'Zoë', '客户', '=cmd', "'=x", 'a,"b"\r\nc']),
    apiEndpoint: pick(['/a', '/a "b"\n', '\u007f\u2028', '/\u{1f600}']),
    ...maybe(0.3, { eventType: pick(['click', 'negative', 'positive']) }),
    ...maybe(0.3, { reference: pick(['r', '-x', '2026-11-01']), sourceId: 's,1', unit: 'EUR' }),
    ...maybe(0.5, { value: pick(['0', '-0.0', '1.50', '-12345678901234567890.123456789012345678', '1e3']) }),
    metadata: {
      ...maybe(0.5, { model: pick(['gpt-4', '"', '-model']) }),
      ...maybe(0.5, { tokens: Math.floor(random() * 1e10) }),
      ...maybe(0.4, { inputTokens: Math.floor(random() * 1e6), outputTokens: 0 }),
      ...maybe(0.4, { latencyMs: pick([0, 0.1, 1e-7, 123_456_789.123_456_7, random() * 1e9]) }),
      ...maybe(0.3, {
        deep: { 'key "q"': [1, null, true, 'x"y\\', { b: 1e21, a: -0.000_001 }], '': {}, __proto__x: 1 },
        ö: 'ö',
        '\u{1f600}': [],
        '\ufb33': 1e-7,
      }),
      ...maybe(0.2, { asSent: { tokens: 1 }, metadata: { model: 'x', tokens: 'y' } }),
    },
  };
}
