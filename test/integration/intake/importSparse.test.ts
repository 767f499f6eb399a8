import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { importInto } from '../../support/importing.ts';
import { OwnCluster } from '../../support/ownCluster.ts';
import { runFolder } from '../../support/runFolder.ts';
import { startServiceOn, type TestService, until } from '../../support/service.ts';

/*
 * History with an event now and then, on a server whose table of locks is small: every day is a chunk, and each that a
 * transaction makes takes some locks. PostgreSQL's own settings have room for some 1,700 days; these for fewer than 240.
 */

const SETTINGS = { max_locks_per_transaction: '10', max_connections: '30', max_worker_processes: '8' };
const DAY_MS = 86_400_000;

const timescale = inject('engine') === 'timescale';

let folder: string;
let cluster: OwnCluster | null;
let sql: pg.Client;

const at = (day: number) => new Date(Date.UTC(2018, 0, 1) + day * DAY_MS).toISOString();

/** An event on every day, in an order that has nothing to do with time. */
const shuffled = (from: number, days: number) =>
  Array.from({ length: days }, (_, i) => at(from + ((i * 7_919) % days)));

/**
 * Of all tenants, by their identities, which are stored with them: events themselves take a lock for each day. Once
 * there is room for it.
 */
async function count(): Promise<number> {
  const text = 'select count(*)::int as n from counted_key';
  let counted: number | undefined;
  await until(async () => {
    counted = await sql.query(text).then(
      ({ rows }) => rows[0].n,
      (error) => {
        if (error.code !== '53200') throw error;
      },
    );
    return counted !== undefined;
  });
  return counted!;
}

describe.skipIf(timescale && inject('timescaleUrl') === null)('sparse history', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(await runFolder(), 'sparse-'));
    await chmod(folder, 0o755);
    cluster = await OwnCluster.make(inject('engine'), folder, SETTINGS);
    if (!cluster) return;
    sql = new pg.Client(cluster.url);
    sql.on('error', () => undefined);
    await sql.connect();
    await migrate(sql);
  });
  afterAll(async () => {
    await sql?.end();
    await cluster?.stop('immediate');
    await rm(folder, { recursive: true, force: true });
  });

  test('is more than one transaction can write', async (ctx) => {
    if (!cluster || !timescale) return ctx.skip();
    const { code } = await sql
      .query(
        `insert into event (tenant_id, customer_id, event_id, ts, event_type)
         select 't', 'c', gen_random_uuid(), timestamptz '1980-01-01Z' + day * interval '1 day', 'x'
         from generate_series(1, 240) as day`,
      )
      .catch((error) => error);
    expect(code).toBe('53200');
  });

  test('is imported', async (ctx) => {
    if (!cluster) return ctx.skip();
    const times = shuffled(0, 240);
    const path = join(folder, 'sparse.csv');
    await writeFile(path, `time,n\n${times.map((time, i) => `${time},${i}\n`).join('')}`);
    const options = { url: cluster.url, path, tenantId: 'sparse', map: 'timestamp=time,value=n' };
    const first = await importInto(options);
    expect(first).toMatchObject({ stop: null, counts: { rows: 240, stored: 240, badLines: 0 } });
    expect(await count()).toBe(240);
    expect((await importInto(options)).counts).toMatchObject({ stored: 0, duplicates: 240 });
  }, 300_000);

  describe('by HTTP', () => {
    let t: TestService;
    let tenant: { id: string; key: string };
    beforeAll(async () => {
      if (!cluster) return;
      const database = { url: cluster.url, engine: inject('engine'), drop: async () => undefined };
      t = await startServiceOn(database, {
        ACCEPT_BEHIND_DAYS: '3650',
        IDENTITY_HORIZON_DAYS: '0',
        INGEST_DEADLINE_MS: '60000',
        READ_POOL_SIZE: '4',
      });
      tenant = await t.tenant();
    });
    afterAll(() => t?.stop());

    const post = (days: string[]) =>
      t.call('POST', '/v1/events', {
        key: tenant.key,
        body: days.map((timestamp) => ({
          eventId: crypto.randomUUID(),
          timestamp,
          customerId: 'c',
          apiEndpoint: '/x',
        })),
      });

    test('a request of too many days is refused by itself, with what to do about it, and nothing stands still', async (ctx) => {
      if (!cluster || !timescale) return ctx.skip();
      const before = await count();
      const answers = await Promise.all([
        post(shuffled(1_000, 5)),
        post(shuffled(2_000, 240)),
        post(shuffled(1_000, 5)),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([200, 413, 200]);
      expect(answers[1]!.body).toMatchObject({ code: 'transaction_too_large' });
      expect(answers[1]!.body.detail).toContain('send fewer events, or events of fewer days');
      expect(await count()).toBe(before + 10);
      for (let from = 2_000; from < 2_250; from += 50) {
        // What refreshes the days before has locks of its own meanwhile.
        await until(async () => (await post(shuffled(from, 50))).status === 200, 60_000);
      }
      expect(await count()).toBe(before + 260);
    }, 300_000);

    test('where there are no chunks, it is taken', async (ctx) => {
      if (!cluster || timescale) return ctx.skip();
      expect((await post(shuffled(2_000, 240))).status).toBe(200);
    });
  });
});
