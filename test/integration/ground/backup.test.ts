import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { loadConfig } from '../../../src/ground/config/loadConfig.ts';
import { prepareDatabase } from '../../../src/ground/db/prepareDatabase.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { BruteForce } from '../../support/bruteForce.ts';
import { checksums } from '../../support/checksums.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { expectExact, USAGE_VIEWS } from '../../support/compareSummaries.ts';
import { describeEngine, type TestDatabase } from '../../support/database.ts';
import { withDatabase } from '../../support/databaseUrl.ts';
import { blockNamed, readMarkdown } from '../../support/markdown.ts';
import { FAST_DELIVERY, subscribe, writeMessages } from '../../support/messages.ts';
import { OwnCluster } from '../../support/ownCluster.ts';
import { type PostgresPrograms, postgresPrograms } from '../../support/postgresPrograms.ts';
import { Receiver } from '../../support/receiver.ts';
import { runFolder } from '../../support/runFolder.ts';
import { startServiceOn, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent, randomEvent, randomFrom } from '../../support/traffic.ts';

const run = promisify(execFile);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const WINDOW = 30_000;
/** No event is earlier. */
const from = Math.floor((Date.now() - 4 * HOUR) / DAY) * DAY;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const ENV = { ...CLOSED_BY_HAND, ...FAST_DELIVERY };

describeEngine(`backup and restore, as docs/operations.md has it (seed ${seed})`, () => {
  const engine = inject('engine');
  let programs: PostgresPrograms | null;
  let page: string;
  let dir: string;
  let archive: string;
  let source: OwnCluster;
  let t: TestService;
  let tenant: { id: string; key: string };
  let receiver: Receiver;
  const clusters: OwnCluster[] = [];
  const services: TestService[] = [];
  const sent: ClientEvent[] = [];

  const databaseOf = (cluster: OwnCluster): TestDatabase => ({
    url: withDatabase(cluster.url, 'tidemark'),
    engine,
    drop: async () => undefined,
  });
  const poolOn = (cluster: OwnCluster) => {
    const pool = new pg.Pool({ connectionString: databaseOf(cluster).url, max: 2 });
    pool.on('error', () => undefined); // the server stops before it when a test fails
    return pool;
  };
  const prepare = (cluster: OwnCluster, database = 'tidemark') => {
    const config = loadConfig({ LOG_LEVEL: 'silent' });
    return prepareDatabase(withDatabase(cluster.url, database), config.database, createLogger(config));
  };
  const serve = async (cluster: OwnCluster) => {
    await prepare(cluster);
    const service = await startServiceOn(databaseOf(cluster), ENV);
    services.push(service);
    return service;
  };
  /** Runs a block of the page as an operator would. */
  const sh = (name: string, variables: Record<string, string>) =>
    run('bash', ['-euo', 'pipefail', '-c', blockNamed(page, name)], {
      cwd: dir,
      env: { ...variables, PATH: `${programs!.bin}:${process.env.PATH}` },
      maxBuffer: 2 ** 24,
    });
  const post = async (service: TestService, events: ClientEvent[]) => {
    const answer = await service.call('POST', '/v1/events', { key: tenant.key, body: events });
    expect([answer.status, answer.body]).toEqual([200, answer.body]);
    return answer.body as { accepted: number; duplicates: number };
  };
  const send = async (events: ClientEvent[]) => {
    await post(t, events);
    sent.push(...events);
  };
  /** Every summary is that of just these events. */
  const expectSummed = async (service: TestService, events: ClientEvent[]) => {
    const brute = new BruteForce();
    brute.add(events);
    const ask = (path: string, key: string) => service.call('GET', path, { key });
    const views = USAGE_VIEWS.filter(({ granularity }) => ['30s', '1h', '1d'].includes(granularity));
    await expectExact(ask, tenant, brute, from, from + 3 * DAY, views);
  };

  beforeAll(async () => {
    programs = await postgresPrograms(engine);
    if (!programs) {
      console.warn(
        '\n  ###  NO PostgreSQL WITH pg_dump HERE: backup and restore are NOT tested (apt-get install postgresql)  ###\n',
      );
      return;
    }
    page = await readMarkdown('docs/operations.md');
    dir = await mkdtemp(join(await runFolder(), 'backup-'));
    await chmod(dir, 0o755);
    archive = join(dir, 'archive');
    await mkdir(archive);
    await chmod(archive, 0o777); // the server runs as somebody else where we are root
    source = (await OwnCluster.make(
      engine,
      join(dir, 'source'),
      {
        archive_mode: 'on',
        archive_command: `test ! -f ${archive}/%f && cp %p ${archive}/%f`,
        full_page_writes: 'on',
      },
      programs.binaries,
    ))!;
    clusters.push(source);
    const server = new pg.Client(source.url);
    await server.connect();
    await server.query('create database tidemark');
    // So that its transaction ids are ahead of those of a server that has just been set up.
    await server.query(
      'do $$ begin for i in 1..5000 loop perform pg_current_xact_id(); commit; end loop; end $$',
    );
    await server.end();
    t = await serve(source);
    tenant = await t.tenant();
    receiver = await Receiver.start();

    const random = randomFrom(seed);
    const now = Date.now();
    await send(Array.from({ length: 400 }, () => randomEvent(random, now - 3 * HOUR, now)));
    const closed = await closedUntil(t.sql);
    await send(Array.from({ length: 200 }, () => randomEvent(random, closed, closed + 4 * WINDOW)));
    await closeUpTo(t.sql, closed + 2 * WINDOW);
    const another = await t.tenant();
    const body = { key: 'calls', value: '1.5' };
    await t.call('POST', '/v1/counters/increment', { key: another.key, body });
  });

  afterAll(async () => {
    for (const service of services) {
      await service.service.close().catch(() => undefined);
      await service.sql.end();
    }
    await receiver?.stop();
    for (const cluster of clusters) await cluster.stop('immediate');
  });

  it('to a moment: a base backup under load, the archive, and what was acknowledged before', async (ctx) => {
    if (!programs) return ctx.skip();
    const { url } = databaseOf(source);
    const random = randomFrom(seed + 1);
    const batch = () => Array.from({ length: 50 }, () => randomEvent(random, Date.now() - HOUR, Date.now()));
    let taken = false;
    const load = (async () => {
      while (!taken) {
        await send(batch());
        await sleep(20);
      }
    })();
    await sh('base backup', { DATABASE_URL: url, BACKUP: dir }).finally(() => {
      taken = true;
    });
    await load;
    await send(batch());
    const kept = [...sent];
    const { rows } = await t.sql.query(`select clock_timestamp()::text as moment`);
    await sleep(100);
    const lost = batch();
    await send(lost);
    const wal = await t.sql.query(`select pg_walfile_name(pg_switch_wal()) as name`);
    await until(async () => (await readdir(archive)).includes(wal.rows[0].name), 20_000);

    const data = join(dir, 'restored');
    await sh('point in time', { BACKUP: dir, NEW_DATA: data, MOMENT: rows[0].moment });
    const owner = await stat(source.dataDir);
    if (process.getuid?.() === 0) await run('chown', ['-R', `${owner.uid}:${owner.gid}`, data]);
    const restored = await source.copy(data, { archive_mode: 'off' });
    clusters.push(restored);
    const sql = poolOn(restored);
    await until(async () => !(await sql.query('select pg_is_in_recovery() as so')).rows[0].so, 30_000);
    await sql.end();

    const service = await serve(restored);
    await expectSummed(service, kept);
    expect(await post(service, [...kept.slice(0, 500), ...lost])).toEqual({
      accepted: lost.length,
      duplicates: 500,
    });
    await expectSummed(service, sent);
  });

  it('from a dump on a new server: equal to the row, and it goes on from there', async (ctx) => {
    if (!programs) return ctx.skip();
    const subscription = await subscribe(t.sql, tenant.id, { url: receiver.url() });
    await t.service.close();
    const [message] = await writeMessages(t.sql, tenant.id, [{ customerId: 'alice', payload: { n: 1 } }]);
    if (engine === 'timescale') {
      await t.sql.query(
        `update late_window set stale = true, changed_by = pg_current_xact_id()
         where ctid in (select ctid from late_window limit 5)`,
      );
    }
    const before = await checksums(t.sql);
    expect(Object.keys(before)).toEqual(expect.arrayContaining(['event', 'event_key', 'usage_1d']));
    await sh('dump', { DATABASE_URL: databaseOf(source).url });

    const target = (await OwnCluster.make(engine, join(dir, 'target'), {}, programs.binaries))!;
    clusters.push(target);
    const variables = { SERVER_URL: target.url, DATABASE_URL: databaseOf(target).url };
    await sh('prepare', variables);
    await sh(`restore ${engine}`, variables);
    const sql = poolOn(target);
    expect(await checksums(sql)).toEqual(before);

    const foreign = `select (select count(*)::int from outbox where fanned_out_at is null and xid > pg_current_xact_id())
      + (select count(*)::int from late_window where stale and changed_by > pg_current_xact_id()) as n`;
    expect((await sql.query(foreign)).rows[0].n).toBe(engine === 'timescale' ? 6 : 1);
    expect(await prepare(target)).toEqual([]); // no migration, and no function: those of the dump are what they were
    const service = await serve(target);
    expect((await sql.query(foreign)).rows[0].n).toBe(0);
    await expectSummed(service, sent);
    expect(await post(service, sent.slice(0, 1_000))).toEqual({ accepted: 0, duplicates: 1_000 });
    await until(() => receiver.received.some(({ headers }) => headers['webhook-id'] === message));
    expect(subscription).toBeDefined();
    await until(async () => (await sql.query('select from late_window where stale')).rowCount === 0, 20_000);
    const late = anEvent({ timestamp: new Date(Date.now() - HOUR).toISOString() });
    await post(service, [late]);
    await expectSummed(service, [...sent, late]);
    await sql.end();
  });

  it('from the postgres engine to TimescaleDB: keys go on working', async (ctx) => {
    if (!programs || engine === 'postgres') return ctx.skip();
    const plain = (await OwnCluster.make('postgres', join(dir, 'plain'), {}, programs.binaries))!;
    clusters.push(plain);
    const databases = [plain, source].map((cluster) => withDatabase(cluster.url, 'moving'));
    const [OLD_URL, NEW_URL] = databases as [string, string];
    for (const cluster of [plain, source]) {
      const server = new pg.Client(cluster.url);
      await server.connect();
      await server.query('create database moving');
      await server.end();
      await prepare(cluster, 'moving');
    }
    const on = async (url: string) => {
      const service = await startServiceOn({ url, engine, drop: async () => undefined }, ENV);
      services.push(service);
      return service;
    };
    const before = await on(OLD_URL);
    expect((await before.sql.query('select engine from installation')).rows[0].engine).toBe('postgres');
    const moved = await before.tenant();
    await before.call('POST', '/v1/events', { key: moved.key, body: anEvent() });
    await before.service.close();
    await sh('move', { OLD_URL, NEW_URL });

    const after = await on(NEW_URL);
    const { status, body } = await after.call('GET', '/v1/customers', { key: moved.key });
    expect([status, body.data]).toEqual([200, [expect.objectContaining({ customerId: 'customer-1' })]]);
    const entries = await after.call('GET', '/v1/audit-log', { key: moved.key });
    expect(entries.body.data.map(({ action }: { action: string }) => action)).toContain('tenant.created');
  });
});
