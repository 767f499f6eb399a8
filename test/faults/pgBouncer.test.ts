import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { loadConfig } from '../../src/ground/config/loadConfig.ts';
import { prepareDatabase } from '../../src/ground/db/prepareDatabase.ts';
import { createLogger } from '../../src/ground/telemetry/logger.ts';
import { closeWindows } from '../../src/sums/windows/closeWindows.ts';
import { BruteForce } from '../support/bruteForce.ts';
import { expectExact } from '../support/compareSummaries.ts';
import { createEmptyDatabase, describeEngine, type TestDatabase } from '../support/database.ts';
import { type PgBouncer, startPgBouncer } from '../support/pgBouncer.ts';
import { type Answer, startServiceOn, type TestService, until } from '../support/service.ts';
import { IDENTITIES } from '../support/storedEvents.ts';
import { anEvent, bulkyEvents, type ClientEvent, randomEvent, randomFrom } from '../support/traffic.ts';

const POOL_SIZE = 4;
const POOLED = { DATABASE_POOLER: 'transaction', WINDOW_GRACE_MS: '0', CLOSER_INTERVAL_MS: '100' };
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

describeEngine(`behind PgBouncer in transaction mode (seed ${seed})`, () => {
  let database: TestDatabase;
  let bouncer: PgBouncer;
  let services: TestService[] = [];
  let t: TestService;
  let applied: string[];

  beforeAll(async () => {
    database = await createEmptyDatabase();
    bouncer = await startPgBouncer(database.url, { poolSize: POOL_SIZE });
    const config = loadConfig({ TIDEMARK_PROFILE: 'test', LOG_LEVEL: 'silent', ...POOLED });
    applied = await prepareDatabase(bouncer.url, config.database, createLogger(config));
    for (let i = 0; i < 2; i++) {
      services.push(await startServiceOn(database, POOLED, { url: bouncer.url }));
    }
    t = services[0]!;
  });
  afterAll(async () => {
    for (const service of services) {
      await service.service.close();
      await service.sql.end();
    }
    services = [];
    await bouncer?.stop();
    await database?.drop();
  });
  /** Closers and refreshers go on, so each connection is free now and then; one that is stuck never is. */
  afterEach(async () => {
    await until(async () => {
      const servers = await bouncer.admin('show servers');
      return servers.every((server) => server.state !== 'active');
    }, 5_000);
    await until(async () => {
      const { rows } = await t.sql.query(
        `select count(*)::int as n from pg_locks l join pg_database d on d.oid = l.database
         where locktype = 'advisory' and datname = current_database()`,
      );
      return rows[0].n === 0;
    }, 5_000);
    const [pool] = (await bouncer.admin('show pools')).filter((row) => row.database !== 'pgbouncer');
    expect(Number(pool!.cl_waiting)).toBe(0);
  });

  const post = (key: string, body: unknown, service = t) => service.call('POST', '/v1/events', { key, body });
  const isStoredOnce = async (tenantId: string, events: Iterable<ClientEvent>) => {
    const { rows } = await t.sql.query<{ event_id: string; n: number }>(
      `select coalesce(external_id, event_id::text) as event_id, count(*)::int as n from event where tenant_id = $1 group by 1`,
      [tenantId],
    );
    const counts = new Map(rows.map((row) => [row.event_id, row.n]));
    const expected = [...events].map((event) => event.eventId);
    expect(expected.filter((id) => counts.get(id) !== 1)).toEqual([]);
    expect(counts.size).toBe(new Set(expected).size);
    const identities = await t.sql.query(`select ${IDENTITIES} as n`, [tenantId]);
    expect(identities.rows[0].n).toBe(counts.size);
  };
  /** Posts until it is acknowledged, as a client should: with the same ids. */
  const deliver = async (key: string, body: ClientEvent[], service: TestService): Promise<Answer> => {
    for (;;) {
      const answer = await post(key, body, service);
      if (answer.status === 200) return answer;
      expect(answer.status, JSON.stringify(answer.body)).toBe(503);
      await sleep(20);
    }
  };

  it('migrates, and asks nothing of it that it refuses', async () => {
    expect(applied.length).toBeGreaterThan(0);
    const { rows } = await t.sql.query('select engine from installation');
    expect(rows[0].engine).toBe(database.engine);
    expect(await bouncer.log()).not.toMatch(/unsupported startup parameter/);
  });

  it('keeps every summary exact while windows close and late events come, on shared connections', async () => {
    const random = randomFrom(seed);
    const now = Date.now();
    const tenant = await t.tenant();
    const model = new BruteForce();
    const posted: ClientEvent[] = [];
    const most = { clients: 0, servers: 0 };
    const closer = new pg.Client(bouncer.url);
    closer.on('error', () => undefined);
    await closer.connect();
    for (let round = 0; round < 4; round++) {
      const batches = Array.from({ length: 6 }, () =>
        Array.from({ length: Math.ceil(random() * 80) }, () => {
          if (random() < 0.15 && posted.length > 0) return posted[Math.floor(random() * posted.length)]!;
          const [from, to] = random() < 0.5 ? [now - 2 * DAY, now] : [now - 90_000, now + 180_000];
          return randomEvent(random, from, to);
        }),
      );
      const work = [
        ...batches.map((body, i) => post(tenant.key, body, services[i % 2])),
        ...batches.map((_, i) => services[i % 2]!.call('GET', '/v1/summaries/hourly', { key: tenant.key })),
      ];
      const limits = { graceMs: -40_000 * round, lockTimeoutMs: 2_000, stalledMs: 5_000 };
      await closeWindows(closer, limits);
      const [clients, servers] = await Promise.all([
        bouncer.admin('show clients'),
        bouncer.admin('show servers'),
      ]);
      most.clients = Math.max(most.clients, clients.filter((row) => row.database !== 'pgbouncer').length);
      most.servers = Math.max(most.servers, servers.length);
      for (const answer of await Promise.all(work)) {
        expect(answer.status, JSON.stringify(answer.body)).toBe(200);
      }
      for (const body of batches) {
        model.add(body);
        posted.push(...body);
      }
      await compare(services[round % 2]!, tenant, model, now);
    }
    await closer.end();
    expect(most.servers).toBeLessThanOrEqual(POOL_SIZE);
    expect(most.clients).toBeGreaterThan(most.servers);

    const closedUntil = await t.sql.query('select closed_until from window_state');
    expect(closedUntil.rows[0].closed_until.getTime()).toBeGreaterThan(now + 60_000);
    await until(async () => {
      const { rows } = await t.sql.query(
        `select count(*)::int as n from late_window, window_state
         where stale or refreshed_30s < closed_until and $1 = 'timescale'`,
        [database.engine],
      );
      return rows[0].n === 0;
    });
    await compare(t, tenant, model, now);
    await isStoredOnce(tenant.id, model.events.values());
  });

  const compare = (
    service: TestService,
    tenant: { id: string; key: string },
    model: BruteForce,
    now: number,
  ) =>
    expectExact(
      (path, key) => service.call('GET', path, { key }),
      tenant,
      model,
      now - 3 * DAY,
      now + 2 * HOUR,
    );

  it('gives its connection back when a batch is refused while its data are under way', async () => {
    const { id, key } = await t.tenant();
    const known = bulkyEvents(500);
    await post(key, known);
    const bodies = services.map(() => [...known, ...bulkyEvents(4_500)]);
    const answers = await Promise.all(bodies.map((body, i) => post(key, body, services[i])));
    for (const { body } of answers) expect(body).toEqual({ accepted: 4_500, duplicates: 500 });
    await isStoredOnce(id, new Set(bodies.flat()));
  });

  it('fails only the request whose row the database refuses, whatever is under way behind it', async () => {
    const { id, key } = await t.tenant();
    await t.sql.query(
      `alter table event add constraint no_poison check (endpoint is distinct from '/poison')`,
    );
    try {
      const bodies = Array.from({ length: 6 }, () => bulkyEvents(2_400));
      for (const poisoned of [1, 4]) bodies[poisoned]![0]!.apiEndpoint = '/poison';
      const answers = await Promise.all(bodies.map((body, i) => post(key, body, services[i % 2])));
      const expected = bodies.map((_, i) => ([1, 4].includes(i) ? 422 : 200));
      expect(answers.map((answer) => answer.status)).toEqual(expected);
      await isStoredOnce(id, bodies.filter((_, i) => expected[i] === 200).flat());
    } finally {
      await t.sql.query('alter table event drop constraint no_poison');
    }
  });

  /** Eight clients that post until `disturb` has ended, some of it twice. */
  async function underLoad(disturb: () => Promise<void>): Promise<void> {
    const { id, key } = await t.tenant();
    const acknowledged: ClientEvent[] = [];
    let running = true;
    const clients = Array.from({ length: 8 }, async (_, client) => {
      let last: ClientEvent[] = [];
      while (running) {
        const fresh =
          client === 0 ? bulkyEvents(2_000) : Array.from({ length: client % 2 ? 1 : 200 }, () => anEvent());
        await deliver(key, [...last.slice(0, 5), ...fresh], services[client % 2]!);
        acknowledged.push(...fresh);
        last = fresh;
      }
    });
    const statuses = new Set<number>();
    const reads = services.map(async (service) => {
      while (running) {
        statuses.add((await service.call('GET', '/v1/windows', { key })).status);
        await sleep(5);
      }
    });
    await disturb().finally(() => {
      running = false;
    });
    await Promise.all([...clients, ...reads]);
    expect([...statuses].filter((status) => status !== 200 && status !== 503)).toEqual([]);
    await isStoredOnce(id, acknowledged);
    const { body } = await t.call('GET', '/v1/usage?granularity=1d', { key });
    const calls = body.data.reduce((sum: number, point: { calls: number }) => sum + point.calls, 0);
    expect(calls).toBe(acknowledged.length);
  }

  it('loses and doubles nothing while its backends are killed', async () => {
    await underLoad(async () => {
      for (let kills = 0; kills < 25; ) {
        await sleep(Math.random() * 60);
        const { rowCount } = await t.sql.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and application_name in ('tidemark ingest', 'tidemark read')
           order by random() limit 1`,
        );
        kills += rowCount!;
      }
    });
  });

  it('loses and doubles nothing while PgBouncer itself is killed', async () => {
    await underLoad(async () => {
      for (let crashes = 0; crashes < 3; crashes++) {
        await sleep(300 + Math.random() * 200);
        await bouncer.crash();
      }
      await sleep(300);
    });
  });

  it('ends a read in time, and leaves its time limit to nobody', async () => {
    const impatient = await startServiceOn(
      database,
      { ...POOLED, READ_TIMEOUT_MS: '300' },
      { url: bouncer.url },
    );
    const other = new pg.Client(bouncer.url);
    await other.connect();
    const lock = new pg.Client(database.url);
    await lock.connect();
    try {
      const { key } = await t.tenant();
      expect((await impatient.call('GET', '/v1/windows', { key })).status).toBe(200);
      await lock.query('begin; lock table event in access exclusive mode');
      const started = performance.now();
      const answer = await impatient.call('GET', '/v1/events', { key });
      expect(answer.status, JSON.stringify(answer.body)).toBe(503);
      expect(performance.now() - started).toBeLessThan(1_300);
      await lock.query('rollback');
      expect((await impatient.call('GET', '/v1/events', { key })).status).toBe(200);
      // One client after the other gets each of the server connections.
      for (let i = 0; i < 4 * POOL_SIZE; i++) {
        const { rows } = await other.query(`select current_setting('statement_timeout') as timeout`);
        expect(rows[0].timeout).toBe('0');
      }
    } finally {
      await lock.end();
      await other.end();
      await impatient.service.close();
      await impatient.sql.end();
    }
  });
});
