import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterEach, expect, it } from 'vitest';
import { chunksDue, compressChunk } from '../../../src/sums/retention/compressChunks.ts';
import { policyReport } from '../../../src/sums/retention/policyReport.ts';
import { BruteForce } from '../../support/bruteForce.ts';
import { allPages, expectExact } from '../../support/compareSummaries.ts';
import { describeEngine } from '../../support/database.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

export const DAY = 86_400_000;
export const today = () => Math.floor(Date.now() / DAY) * DAY;
export const iso = (ms: number) => new Date(ms).toISOString();

export interface ColumnstoreExtent {
  /** Days that are packed and read again, and random events in them. */
  days: number;
  events: number;
  /** Events of a day whose packing gives way: enough that it takes a while. */
  packed: number;
}

/** Packs history, and reads and changes what is packed. */
export function describeColumnstore(extent: ColumnstoreExtent): void {
  describeEngine('the columnstore', () => {
    let t: TestService;
    afterEach(() => t.stop());

    it('changes no answer, and takes late events and duplicates', async (context) => {
      t = await startTestService({ COLUMNSTORE_AFTER_DAYS: '0' });
      context.skip(t.database.engine !== 'timescale', 'the columnstore is TimescaleDB');
      const tenant = await t.tenant();
      const ask = (path: string, key: string) => t.call('GET', path, { key });
      const model = new BruteForce();
      const random = randomFrom(15);
      const from = today() - (15 + extent.days) * DAY;
      const events = Array.from({ length: extent.events }, () =>
        randomEvent(random, from, today() - 15 * DAY),
      );
      await post(t, tenant.key, events);
      model.add(events);
      await caughtUp(t.sql);
      const states = async () =>
        (
          await t.sql.query<{ relation: string; states: number[] }>(
            `select relation, array_agg(distinct state) as states from retention_chunk
             where range_end < now() - interval '2 days' and relation in ('event', 'usage_30s', 'usage_1h')
             group by relation order by relation`,
          )
        ).rows;
      expect(await states()).toEqual(
        ['event', 'usage_1h', 'usage_30s'].map((relation) => ({ relation, states: [0] })),
      );

      await t.service.close();
      const next = await startServiceOn(
        t.database,
        { COLUMNSTORE_AFTER_DAYS: '2' },
        {
          configure: ({ retention }) => Object.assign(retention, { intervalMs: 50 }),
        },
      );
      t = { ...next, tenant: t.tenant, database: t.database };
      const packed = async () =>
        (await states()).every(({ states: [first, ...rest] }) => first === 1 && rest.length === 0);
      await until(packed);
      await expectAll(ask, tenant, model, from, today());
      expect((await ask('/v1/sessions/order-1', tenant.key)).body).toEqual(model.session('order-1'));
      const raw = await allPages(
        ask,
        `/v1/events?from=${iso(from)}&to=${iso(today())}&limit=1000`,
        tenant.key,
      );
      expect(raw.length).toBe(extent.events);

      const late = Array.from({ length: 200 }, () => randomEvent(random, from, today() - 15 * DAY));
      expect(await post(t, tenant.key, [...late, ...events.slice(0, 50)])).toEqual({
        accepted: 200,
        duplicates: 50,
      });
      model.add(late);
      await expectAll(ask, tenant, model, from, today()); // while they are late
      await caughtUp(t.sql);
      await expectAll(ask, tenant, model, from, today());
      await until(packed);
      await expectAll(ask, tenant, model, from, today());
      expect((await ask('/v1/sessions/order-1', tenant.key)).body).toEqual(model.session('order-1'));

      const report = await policyReport(t.sql, 'timescale', t.config.retention);
      expect(report.relations.find(({ relation }) => relation === 'event')).toMatchObject({
        wantedColumnstoreDays: 2,
        columnstoreDays: 2,
        chunks: { due: 0 },
      });
    });

    it.for(['rows', 'columns'])('gives way to whoever writes, packing %s', async (from, context) => {
      t = await startTestService({ COLUMNSTORE_AFTER_DAYS: '0' });
      context.skip(t.database.engine !== 'timescale', 'the columnstore is TimescaleDB');
      const tenant = await t.tenant();
      const at = today() - 10 * DAY;
      await t.sql.query(
        `begin; set local timescaledb.enable_direct_compress_insert = ${from === 'columns'}; insert into event (ts, event_id, tenant_id, customer_id, event_type)
         select '${iso(at)}'::timestamptz + n * interval '0.2 seconds', gen_random_uuid(), 'big', 'c' || n % 100, 'click'
         from generate_series(1, ${extent.packed}) as n; commit`,
      );
      await t.sql.query(`update retention set compress_after = interval '1 day' where relation = 'event'`);
      const client = new pg.Client(t.database.url);
      const reader = new pg.Client(t.database.url);
      await Promise.all([client.connect(), reader.connect()]);
      try {
        const [chunk] = await chunksDue(t.sql);
        expect(chunk!.unordered).toBe(from === 'columns');
        const alone = new AbortController().signal;
        // Packing ends once nobody reads the chunk, so it does not before the event is there.
        await reader.query(`begin; lock table ${chunk!.chunk} in access share mode`);
        const packing = compressChunk(client, t.sql, chunk!, alone);
        await until(async () => {
          const { rows } = await t.sql.query(
            `select from pg_locks where relation = $1::regclass and mode = 'ExclusiveLock'`,
            [chunk!.chunk],
          );
          return rows.length > 0;
        });
        const event = anEvent({ eventId: randomUUID(), timestamp: iso(at + 5_000) });
        expect(await post(t, tenant.key, [event])).toEqual({ accepted: 1, duplicates: 0 });
        expect(await packing).toBe('gave way');
        await reader.query('commit');
        expect(await chunksDue(t.sql)).toEqual([chunk]);
        await caughtUp(t.sql); // a refresh reads the chunk
        expect(await compressChunk(client, t.sql, chunk!, alone)).toBe('done');
        // The row beside the columns has been packed; what is out of order comes next.
        if (from === 'columns') expect(await compressChunk(client, t.sql, chunk!, alone)).toBe('done');
        expect(await chunksDue(t.sql)).toEqual([]);
        expect((await t.sql.query('select count(*)::int as n from event')).rows).toEqual([
          { n: extent.packed + 1 },
        ]);
      } finally {
        await Promise.all([client.end(), reader.end()]);
      }
    });
  });
}

/** As `expectExact`, in ranges that are short enough for every granularity. */
export async function expectAll(
  ...[ask, tenant, model, from, to, series]: Parameters<typeof expectExact>
): Promise<void> {
  for (let at = from; at < to; at += 3 * DAY) {
    await expectExact(ask, tenant, model, at, Math.min(to, at + 3 * DAY), series);
  }
}

export async function post(t: TestService, key: string, body: ClientEvent[]) {
  const answer = await t.call('POST', '/v1/events', { key, body });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
}

/** Until nothing is late any more. */
export async function caughtUp(sql: pg.Pool): Promise<void> {
  await until(async () => {
    const { rows } = await sql.query(
      'select from late_window where stale or stale_references or activity_revision < revision limit 1',
    );
    return rows.length === 0;
  }, 30_000);
}
