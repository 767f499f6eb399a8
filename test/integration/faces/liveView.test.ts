import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { type HttpServer, listen } from '../../../src/faces/http/server.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { StreamClient } from '../../support/eventStream.ts';
import { ADMIN_KEY, startServiceOn, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

/** Between two samples here, in ms. */
const INTERVAL_MS = 50;

interface Instance extends TestService {
  server: HttpServer;
}

async function startInstance(database: TestDatabase, env: Record<string, string> = {}): Promise<Instance> {
  const patient = { DB_CONNECT_TIMEOUT_MS: '30000', DB_PROBE_TIMEOUT_MS: '30000' }; // a machine may be slow
  const t = await startServiceOn(
    database,
    { ...patient, ...env },
    {
      configure(config) {
        config.liveView.intervalMs = INTERVAL_MS;
      },
    },
  );
  const server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
  return { ...t, server };
}

/** Ends an instance and leaves the database. */
async function endInstance(t: Instance): Promise<void> {
  await t.server.close(1_000);
  await t.service.close();
  await t.sql.end();
}

describeEngine('how things stand', () => {
  let database: TestDatabase;
  let t: Instance;
  const clients: StreamClient[] = [];
  beforeAll(async () => {
    database = await createTestDatabase();
    t = await startInstance(database);
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.leave()));
  });
  afterAll(async () => {
    await endInstance(t);
    await database.drop();
  });

  const headersOf = (key: string, more: Record<string, string> = {}) => ({
    authorization: `Bearer ${key}`,
    ...more,
  });
  const connect = async (key: string, more: Record<string, string> = {}, at: Instance = t) => {
    const client = await StreamClient.connect(`${at.server.address}/v1/live/stream`, headersOf(key, more));
    clients.push(client);
    return client;
  };
  const overview = async (key: string, headers: Record<string, string> = {}) =>
    (await t.call('GET', '/v1/live/overview', { key, headers })).body;
  const openStreams = async (at: Instance = t) =>
    Number(/^tidemark_live_streams (\d+)/m.exec((await at.call('GET', '/metrics', { key: null })).body)?.[1]);
  const noStreams = () => until(async () => (await openStreams()) === 0);

  /** 3 accepted, 2 duplicates and 2 rejected. */
  const traffic = async (key: string) => {
    const events = [anEvent(), anEvent(), anEvent()];
    const wrong = [{ ...anEvent(), timestamp: 'x', customerId: 5 }, 7];
    const skipped = await t.call('POST', '/v1/events?onInvalid=skip', { key, body: [...events, ...wrong] });
    expect(skipped.body).toMatchObject({ accepted: 3, rejected: 2 });
    const again = await t.call('POST', '/v1/events', { key, body: events.slice(1) });
    expect(again.body).toMatchObject({ accepted: 0, duplicates: 2 });
  };
  const countsOf = ({ instance }: { instance: Record<string, number> }) => {
    const { accepted, duplicates, rejected } = instance;
    return { accepted, duplicates, rejected };
  };

  describe('once', () => {
    it('is what this instance has taken of the tenant, as the database has it', async () => {
      const [mine, other] = [await t.tenant(), await t.tenant()];
      await traffic(mine.key);
      const found = await overview(mine.key);
      expect(found.tenantId).toBe(mine.id);
      expect(countsOf(found)).toEqual({ accepted: 3, duplicates: 2, rejected: 2 });
      const { rows } = await t.sql.query('select count(*)::int as n from event where tenant_id = $1', [
        mine.id,
      ]);
      expect(found.instance.accepted).toBe(rows[0].n);
      expect(countsOf(await overview(other.key))).toEqual({ accepted: 0, duplicates: 0, rejected: 0 });
      // Nobody looks on, so there is nothing to compare with.
      expect(found.instance).toMatchObject({ eventsPerSecond: null, ingestMs: null, queueRows: 0 });
      expect(Date.parse(found.instance.since)).toBeLessThanOrEqual(Date.parse(found.at));
    });

    it('tells how far windows are closed, and how old that is', async () => {
      const { key } = await t.tenant();
      const { database: figures } = await overview(key);
      const { rows } = await t.sql.query('select closed_until from window_state');
      expect(Date.parse(figures.closedUntil)).toBeLessThanOrEqual(rows[0].closed_until.getTime());
      expect(rows[0].closed_until.getTime() - Date.parse(figures.closedUntil)).toBeLessThanOrEqual(60_000);
      expect(figures).toMatchObject({
        ...{ available: true, lateWindows: 0, messagesWaiting: 0, deliveriesPending: 0, deadLetters: 0 },
        ageMs: expect.any(Number),
      });
      expect(Date.parse(figures.asOf)).toBeLessThanOrEqual(Date.now());
    });

    it('counts events of several tenants in one request for each of them, and all together', async () => {
      const [one, two] = [await t.tenant(), await t.tenant()];
      const before = countsOf(await overview(ADMIN_KEY));
      const known = { ...anEvent(), tenantId: two.id };
      await t.call('POST', '/v1/events', { body: known });
      const of = (tenantId: string) => ({ ...anEvent(), tenantId });
      const body = [of(one.id), known, of(two.id), of(one.id), of('nobody')];
      const answer = await t.call('POST', '/v1/events?onInvalid=skip', { body });
      expect(answer.body).toMatchObject({ accepted: 3, duplicates: 1, rejected: 1 });
      expect(countsOf(await overview(one.key))).toEqual({ accepted: 2, duplicates: 0, rejected: 0 });
      expect(countsOf(await overview(two.key))).toEqual({ accepted: 2, duplicates: 1, rejected: 0 });
      const all = await overview(ADMIN_KEY);
      expect(all.tenantId).toBeNull();
      expect(countsOf(all)).toEqual({
        accepted: before.accepted! + 4,
        duplicates: before.duplicates! + 1,
        rejected: before.rejected! + 1,
      });
      // Of one tenant, where the platform key names it.
      const named = await overview(ADMIN_KEY, { 'x-tenant-id': one.id });
      expect([named.tenantId, countsOf(named)]).toEqual([
        one.id,
        { accepted: 2, duplicates: 0, rejected: 0 },
      ]);
    });
  });

  describe('as it moves', () => {
    it('begins with what there is, goes on with a sample an interval, and sums what comes', async () => {
      const { id, key } = await t.tenant();
      await traffic(key);
      const client = await connect(key);
      await until(() => client.events.length >= 4);
      expect(client.response.headers.get('content-type')).toBe('text/event-stream');
      expect(client.response.headers.get('cache-control')).toBe('no-store');
      expect(client.response.headers.get('connection')).toBe('close');
      expect(client.retryMs).toBeGreaterThan(0);
      expect(client.events.slice(0, 4).map(({ event }) => event)).toEqual([
        ...['history', 'sample', 'sample', 'sample'],
      ]);
      const before = client.samples()[0];
      expect(countsOf(before)).toEqual({ accepted: 3, duplicates: 2, rejected: 2 });
      const body = Array.from({ length: 40 }, () => anEvent());
      await t.call('POST', '/v1/events', { key, body });
      const after = await client.next(({ instance }) => instance.accepted === 43);
      expect([after.tenantId, after.instance.ingestMs]).toEqual([
        id,
        { p50: expect.any(Number), p99: expect.any(Number) },
      ]);
      expect(after.instance.ingestMs.p50).toBeGreaterThan(0);
      await client.next(({ database: figures }) => figures.closedUntil !== null);
      // The rates, times the intervals, are what has come.
      const samples = client.samples();
      let summed = 0;
      for (const [i, { at, instance }] of samples.entries()) {
        if (i > 0)
          summed += (instance.eventsPerSecond * (Date.parse(at) - Date.parse(samples[i - 1].at))) / 1_000;
      }
      expect(samples[0].instance.eventsPerSecond).toBeNull();
      expect(Math.abs(summed - 40)).toBeLessThan(10); // times are told in ms
      // The same as once.
      expect(countsOf(await overview(key))).toEqual(countsOf(after));
    });

    it('is of one tenant, or of all for a platform key that names none', async () => {
      const [mine, other] = [await t.tenant(), await t.tenant()];
      const [client, all] = [await connect(mine.key), await connect(ADMIN_KEY)];
      const ofOther = await connect(ADMIN_KEY, { 'x-tenant-id': other.id });
      const [first] = [await all.next()];
      await traffic(other.key);
      const seen = await ofOther.next(({ instance }) => instance.rejected === 2);
      expect([seen.tenantId, seen.instance.accepted]).toEqual([other.id, 3]);
      const whole = await all.next(({ instance }) => instance.rejected === first.instance.rejected + 2);
      expect([whole.tenantId, whole.instance.accepted]).toEqual([null, first.instance.accepted + 3]);
      await client.next();
      for (const { tenantId, instance } of client.samples()) {
        expect([tenantId, instance.accepted]).toEqual([mine.id, 0]);
      }
    });

    it('comes back to where it was: nothing twice, and nothing missed', async () => {
      const { key } = await t.tenant();
      const client = await connect(key);
      await until(() => client.events.length >= 3);
      const { id } = client;
      const seen = client.samples().map(({ at }) => at);
      await client.leave();
      await noStreams();
      await sleep(5 * INTERVAL_MS);
      const again = await connect(key, { 'last-event-id': id! });
      await until(() => again.named('sample').length >= 2);
      const [run, number] = id!.split('.');
      const [history] = again.named('history');
      // Every interval between the last one that was seen and the first that came by itself.
      const firstOwn = Number(again.named('sample')[0]!.id!.split('.')[1]);
      expect(history!.id).toBe(`${run}.${firstOwn - 1}`);
      expect(history!.data.samples).toHaveLength(firstOwn - 1 - Number(number));
      const times = [...seen, ...again.samples().map(({ at }) => at)];
      expect(new Set(times).size).toBe(times.length);
      expect(times).toEqual(times.toSorted());
    });

    it('shows those who come later what the others have seen, and the same from then on', async () => {
      const { key } = await t.tenant();
      const first = await connect(key);
      await until(() => first.events.length >= 5);
      const second = await connect(key);
      await until(() => second.events.length >= 3);
      const ofFirst = first.samples().map(({ at }) => at);
      const ofSecond = second.samples().map(({ at }) => at);
      const common = Math.min(ofFirst.length, ofSecond.length);
      expect(ofSecond.slice(0, common)).toEqual(ofFirst.slice(0, common));
    });

    it('goes on at another instance, and after a restart, with sums of its own', async () => {
      const { key } = await t.tenant();
      await traffic(key);
      const client = await connect(key);
      const { instance: before } = await client.next();
      let other = await startInstance(database);
      try {
        for (let restart = 0; restart < 2; restart++) {
          const there = await connect(key, { 'last-event-id': client.id! }, other);
          await until(() => there.named('sample').length >= 2);
          // What the other one has seen before is no part of what this client has.
          const [history] = there.named('history');
          expect(history!.data.samples).toHaveLength(1);
          const { instance } = history!.data.samples[0];
          expect([instance.accepted, instance.id === before.id]).toEqual([0, false]);
          expect(Date.parse(instance.since)).toBeGreaterThanOrEqual(Date.parse(before.since));
          await endInstance(other);
          await until(() => there.ended);
          other = await startInstance(database);
        }
      } finally {
        await endInstance(other);
      }
    });

    it('begins with the present where the id is none of ours', async () => {
      const { key } = await t.tenant();
      const first = await connect(key);
      await until(() => first.events.length >= 4);
      for (const id of ['x', '', '1.2.3', `${'0'.repeat(8)}.1`, '9'.repeat(60)]) {
        const client = await connect(key, { 'last-event-id': id });
        await until(() => client.events.length >= 1);
        expect([id, client.events[0]!.data.samples.length]).toEqual([id, id === '' ? expect.any(Number) : 1]);
      }
    });

    it('costs a HEAD nothing', async () => {
      const { key } = await t.tenant();
      await noStreams();
      const answer = await fetch(`${t.server.address}/v1/live/stream`, {
        method: 'HEAD',
        headers: headersOf(key),
      });
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
      expect(await openStreams()).toBe(0);
    });
  });

  describe('has an end', () => {
    it('for a key that is revoked, wherever that was', async () => {
      const { id, key } = await t.tenant();
      const made = await createKey(t.sql, { tenantId: id, scopes: ['read'] });
      const [gone, kept] = [await connect(made.key), await connect(key)];
      await gone.next();
      await t.sql.query('update api_key set revoked_at = now() where id = $1', [made.id]);
      await until(() => gone.ended);
      expect(gone.events.at(-1)).toMatchObject({ event: 'end', data: { code: 'key_revoked' } });
      expect(gone.events.at(-1)!.id).toMatch(/^[0-9a-f]{8}\.\d+$/);
      await kept.next();
      expect(kept.ended).toBe(false);
    });

    it('for a key whose time is over', async () => {
      const { id } = await t.tenant();
      const expiresAt = new Date(Date.now() + 1_500);
      const { key } = await createKey(t.sql, { tenantId: id, scopes: ['read'], expiresAt });
      const client = await connect(key);
      await until(() => client.ended);
      expect(Date.now()).toBeGreaterThanOrEqual(expiresAt.getTime());
      expect(client.events.at(-1)).toMatchObject({ event: 'end', data: { code: 'key_expired' } });
    });

    it('for a tenant that becomes inactive, whoever looks at it', async () => {
      const { id, key } = await t.tenant();
      const own = await connect(key);
      const watched = await connect(ADMIN_KEY, { 'x-tenant-id': id });
      const all = await connect(ADMIN_KEY);
      await t.sql.query('update tenant set active = false where id = $1', [id]);
      await until(() => own.ended && watched.ended);
      for (const client of [own, watched]) {
        expect(client.events.at(-1)).toMatchObject({ event: 'end', data: { code: 'tenant_inactive' } });
      }
      await all.next();
      expect(all.ended).toBe(false);
    });

    it('with the instance, at once: it takes no more, and the connection is closed', async () => {
      const stopping = await startInstance(database);
      const { key } = await t.tenant();
      try {
        const streams = [await connect(key, {}, stopping), await connect(ADMIN_KEY, {}, stopping)];
        stopping.service.beginDrain();
        await until(() => streams.every(({ ended }) => ended));
        for (const { events } of streams) {
          expect(events.at(-1)).toMatchObject({ event: 'end', data: { code: 'shutting_down' } });
        }
        const answer = await stopping.call('GET', '/v1/live/stream', { key });
        expect(answer.body).toMatchObject({ status: 503, code: 'shutting_down' });
        expect(answer.headers.get('retry-after')).toBe('1');
        expect(await openStreams(stopping)).toBe(0);
      } finally {
        await endInstance(stopping);
      }
    });

    it('and none by the timeouts of requests', async () => {
      const short = {
        ...t.config.http.limits,
        ...{ headersMs: 1_000, requestMs: 1_000, keepAliveMs: 500, silenceMs: 2_000 },
      };
      const server = await listen(t.service.app, '127.0.0.1', 0, short);
      try {
        const { key } = await t.tenant();
        const client = await connect(key, {}, { ...t, server });
        const from = Date.now();
        // Node looks every second; a process that does much else may stand still for some time.
        await until(() => client.ended || Date.now() - from > 4_000);
        expect(client.ended).toBe(false);
        await client.next();
        await client.leave();
      } finally {
        await server.close(1_000);
      }
    });
  });

  describe('costs no more than it may', () => {
    it('in streams: of a tenant, and of the instance', async () => {
      const small = await startInstance(database, { LIVE_STREAMS: '3', LIVE_STREAMS_PER_TENANT: '2' });
      const [one, two] = [await t.tenant(), await t.tenant()];
      const refused = async (key: string) => {
        const answer = await small.call('GET', '/v1/live/stream', { key });
        expect(answer.headers.get('retry-after')).toBe('10');
        return [answer.status, answer.body.code];
      };
      try {
        const first = await connect(one.key, {}, small);
        // Whoever looks at it.
        await connect(ADMIN_KEY, { 'x-tenant-id': one.id }, small);
        expect(await refused(one.key)).toEqual([429, 'too_many_streams']);
        await connect(ADMIN_KEY, {}, small);
        expect(await refused(two.key)).toEqual([503, 'overloaded']);
        expect(await refused(ADMIN_KEY)).toEqual([503, 'overloaded']);
        const { body } = await small.call('GET', '/metrics', { key: null });
        expect(body).toMatch(/^tidemark_live_streams_refused_total\{limit="tenant"\} 1$/m);
        expect(body).toMatch(/^tidemark_live_streams_refused_total\{limit="instance"\} 2$/m);
        await first.leave();
        await until(async () => (await openStreams(small)) === 2);
        const next = await connect(two.key, {}, small);
        await next.next();
      } finally {
        await endInstance(small);
      }
    });

    it('in streams that are asked for all at once', async () => {
      const small = await startInstance(database, { LIVE_STREAMS_PER_TENANT: '4' });
      const { key } = await t.tenant();
      try {
        const answers = await Promise.all(
          Array.from({ length: 12 }, () =>
            fetch(`${small.server.address}/v1/live/stream`, { headers: headersOf(key) }),
          ),
        );
        const statuses = answers.map(({ status }) => status).sort();
        expect(statuses).toEqual([...Array(4).fill(200), ...Array(8).fill(429)]);
        await Promise.all(answers.map(({ body }) => body!.cancel()));
      } finally {
        await endInstance(small);
      }
    });

    it('in memory: a reader that does not read misses samples, and others do not', async () => {
      const { key } = await t.tenant();
      const slow = await t.service.app.request('/v1/live/stream', { headers: headersOf(key) });
      const quick = await connect(key);
      await until(() => quick.events.length >= 12);
      const reader = new StreamClient(slow); // only now
      await until(() => reader.named('sample').length >= 2);
      const numbers = (client: StreamClient) =>
        client.named('sample').map(({ id }) => Number(id!.split('.')[1]));
      const [first, ...rest] = numbers(reader);
      const ofQuick = numbers(quick);
      // Its first message, then the newest; what lay between is gone.
      expect(first).toBeGreaterThanOrEqual(ofQuick[8]!);
      expect(rest[0]).toBe(first! + 1);
      for (const [i, number] of ofQuick.entries()) if (i > 0) expect(number).toBe(ofQuick[i - 1]! + 1);
      const { body } = await t.call('GET', '/metrics', { key: null });
      expect(Number(/^tidemark_live_samples_dropped_total (\d+)/m.exec(body)![1])).toBeGreaterThan(5);
      await reader.leave();
    });

    it('of the database: as many statements for many streams as for one', async () => {
      const { key } = await t.tenant();
      const first = await connect(key);
      await first.next();
      const texts: string[] = [];
      const query = pg.Client.prototype.query as (...args: unknown[]) => unknown;
      const spy = vi.spyOn(pg.Client.prototype, 'query').mockImplementation(function (
        this: pg.Client,
        ...args: unknown[]
      ) {
        const { application_name: name } = (
          this as unknown as { connectionParameters: { application_name: string } }
        ).connectionParameters;
        if (name === 'tidemark live') texts.push(JSON.stringify(args[0]));
        return query.apply(this, args) as never;
      } as never);
      try {
        const from = performance.now();
        const streams = await Promise.all(Array.from({ length: 15 }, () => connect(key)));
        await until(() => texts.length >= 3);
        const seconds = (performance.now() - from) / 1_000;
        // What waits is asked every two seconds at most, and who may look every four.
        expect(texts.length).toBeLessThanOrEqual(Math.floor(seconds / 2) + Math.floor(seconds / 4) + 2);
        expect(streams.every(({ ended }) => !ended)).toBe(true);
      } finally {
        spy.mockRestore();
      }
    });
  });
});
