import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import type { Config } from '../../../src/ground/config/loadConfig.ts';
import { giveUpOld } from '../../../src/outbound/delivery/relay/giveUpOld.ts';
import { pruneDeliveries } from '../../../src/outbound/delivery/relay/pruneDeliveries.ts';
import { addressRule } from '../../../src/outbound/delivery/webhook/addressRules.ts';
import { checkEndpoint } from '../../../src/outbound/delivery/webhook/checkEndpoint.ts';
import { GuardedLookup, type Resolve } from '../../../src/outbound/delivery/webhook/guardedLookup.ts';
import { describeEngine } from '../../support/database.ts';
import {
  allSettled,
  deadDelivery,
  deliveriesTo,
  FAST_DELIVERY,
  subscribe,
  writeMessages,
} from '../../support/messages.ts';
import { Receiver } from '../../support/receiver.ts';
import { type RedisServer, startRedis } from '../../support/redisServer.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';

const PUBLIC = '93.184.215.14';
const INACCESSIBLE = /endpoint_forbidden/;

const configure = (config: Config) => {
  config.delivery.scheduleMs = [0, 50, 50];
  config.delivery.streamRetryMs = 100;
  config.delivery.timeoutMs = 1_000;
  config.delivery.breaker = { failures: 1_000, probeMinMs: 100, probeMaxMs: 100 };
};

describeEngine('endpoints', () => {
  let t: TestService;
  let receiver: Receiver;
  let tenant: { id: string; key: string };
  const names: Record<string, string[][]> = {};
  /** Answers with the next of the lists of addresses that a name has been given. */
  const resolve: Resolve = async (hostname) => {
    const lists = names[hostname];
    const addresses = lists && (lists.length > 1 ? lists.shift() : lists[0]);
    if (!addresses)
      throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: 'ENOTFOUND' });
    return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  };
  beforeAll(async () => {
    t = await startTestService({ RELAY_INTERVAL_MS: '50' }, { configure, resolve });
  });
  beforeEach(async () => {
    receiver = await Receiver.start();
    tenant = await t.tenant();
  });
  afterEach(async () => {
    await t.sql.query('update subscription set active = false');
    await receiver.stop();
  });
  afterAll(() => t.stop());

  const stateOf = (subscription: string) => deliveriesTo(t.sql, subscription);
  const settled = (subscription: string, n = 1) => allSettled(t.sql, subscription, n);
  const call = (method: string, path: string) => t.call(method, path, { key: tenant.key });

  describe('that are not public', () => {
    const urls = (port: number) =>
      [
        ...['127.0.0.1', '127.1', '2130706433', '0x7f000001', '0177.0.0.1', '0.0.0.0', '0', '[::1]', '[::]'],
        ...[
          '[::ffff:127.0.0.1]',
          '[::ffff:7f00:1]',
          'inside.example',
          'both.example',
          'six.example',
          'mapped.example',
        ],
        ...['169.254.169.254', '10.0.0.1', '[fe80::1]', '[fd00::1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::1]'],
      ].map((host) => `http://${host}:${port}/`);

    it('get nothing, whichever way they are written', async () => {
      names['inside.example'] = [['127.0.0.1']];
      names['both.example'] = [['127.0.0.1', '::1', '10.0.0.1']];
      names['six.example'] = [['::1']];
      names['mapped.example'] = [['::ffff:127.0.0.1']];
      const guard = new GuardedLookup(addressRule([]), resolve);
      for (const url of urls(receiver.port)) {
        await expect(checkEndpoint(url, guard), url).rejects.toMatchObject({ code: 'endpoint_forbidden' });
        const id = await subscribe(t.sql, tenant.id, { url });
        const answer = await call('POST', `/v1/subscriptions/${id}/test`);
        expect([url, answer.status, answer.body]).toEqual([
          url,
          200,
          expect.objectContaining({
            delivered: false,
            status: null,
            error: expect.stringMatching(INACCESSIBLE),
          }),
        ]);
      }
      await writeMessages(t.sql, tenant.id, [{}]);
      const { length } = urls(0);
      const dead = `select from delivery where tenant_id = $1 and state = 'dead' and last_error ~ 'endpoint_forbidden'`;
      await until(async () => (await t.sql.query(dead, [tenant.id])).rowCount === length);
      expect(receiver.received).toEqual([]);
    });

    it('get nothing when a name that was public leads there now (DNS rebinding)', async () => {
      const url = `http://rebind.example:${receiver.port}/`;
      names['rebind.example'] = [[PUBLIC], ['127.0.0.1']];
      const id = await subscribe(t.sql, tenant.id, { url });
      const guard = new GuardedLookup(addressRule([]), resolve);
      expect(await guard.addresses('rebind.example')).toHaveLength(1); // as it was when it was looked at
      expect((await call('POST', `/v1/subscriptions/${id}/test`)).body.error).toMatch(INACCESSIBLE);
      await writeMessages(t.sql, tenant.id, [{}]);
      await settled(id);
      expect((await stateOf(id))[0].last_error).toMatch(INACCESSIBLE);
      expect(receiver.received).toEqual([]);
    });

    it('are told apart at the moment of connecting: what is checked is what is connected to', async () => {
      let asked = 0;
      const turning: Resolve = async () => [{ address: ++asked > 1 ? '127.0.0.1' : PUBLIC, family: 4 }];
      const guard = new GuardedLookup(addressRule([]), turning);
      const url = `http://turning.example:${receiver.port}/`;
      await expect(checkEndpoint(url, guard)).rejects.toMatchObject({ code: 'endpoint_forbidden' });
      expect(asked).toBe(2);
    });

    it('are reached where the configuration allows it, and by no proxy of the environment', async () => {
      const proxy = await Receiver.start();
      process.env.HTTP_PROXY = process.env.http_proxy = proxy.url();
      const other = await startServiceOn(
        t.database,
        { ...FAST_DELIVERY, WEBHOOK_ALLOWED_NETWORKS: '10.0.0.0/8,127.0.0.1' },
        { configure, resolve },
      );
      try {
        names['inside.example'] = [['10.0.0.1', '127.0.0.1'], ['127.0.0.1']];
        names['inside.example'] = [['127.0.0.1']];
        const url = `http://inside.example:${receiver.port}/`;
        const id = await subscribe(t.sql, tenant.id, { url });
        const answer = await other.call('POST', `/v1/subscriptions/${id}/test`, { key: tenant.key });
        expect(answer.body).toMatchObject({ delivered: true, status: 204, error: null });
        expect(receiver.received).toMatchObject([
          { headers: { host: `inside.example:${receiver.port}`, 'webhook-id': answer.body.messageId } },
        ]);
        expect(receiver.received[0]!.json).toMatchObject({ type: 'test', data: { subscriptionId: id } });
        expect(proxy.received).toEqual([]);
      } finally {
        delete process.env.HTTP_PROXY;
        delete process.env.http_proxy;
        await other.service.close();
        await other.sql.end();
        await proxy.stop();
      }
    });

    it('are unreachable when nothing answers, or nothing in time, or no TLS', async () => {
      const guard = new GuardedLookup(addressRule(['127.0.0.0/8']), resolve);
      const code = 'endpoint_unreachable';
      const silent = createServer().listen(0, '127.0.0.1');
      await once(silent, 'listening');
      const { port } = silent.address() as { port: number };
      await expect(checkEndpoint('http://127.0.0.1:9/', guard)).rejects.toMatchObject({ code });
      await expect(checkEndpoint('http://nobody.example/', guard)).rejects.toMatchObject({ code });
      await expect(checkEndpoint(`https://127.0.0.1:${port}/`, guard, 300)).rejects.toMatchObject({ code });
      await expect(checkEndpoint(receiver.url().replace('http', 'https'), guard)).rejects.toMatchObject({
        code,
      });
      await expect(checkEndpoint(receiver.url(), guard)).resolves.toBeUndefined();
      silent.close();
    });
  });

  describe('with faults', () => {
    let open: TestService;
    beforeAll(async () => {
      open = await startServiceOn(t.database, { ...FAST_DELIVERY, RELAY_INTERVAL_MS: '1000' }, { configure });
    });
    afterAll(async () => {
      await open.service.close();
      await open.sql.end();
    });
    const test = async (id: string) =>
      (await open.call('POST', `/v1/subscriptions/${id}/test`, { key: tenant.key })).body;

    it('are given up after the timeout, and read no further than a few KiB', async () => {
      const id = await subscribe(t.sql, tenant.id, { url: receiver.url(), types: ['none'] });
      receiver.answer = () => undefined;
      expect(await test(id)).toMatchObject({
        delivered: false,
        status: null,
        error: 'no answer within 1000 ms',
      });
      let written = 0;
      receiver.answer = async (_, response) => {
        response.writeHead(500);
        while (!response.destroyed && written < 50e6) {
          written += 65_536;
          if (!response.write(Buffer.alloc(65_536, 'x'))) await sleep(1);
        }
        return undefined;
      };
      const endless = await test(id);
      expect(endless).toMatchObject({ delivered: false, status: 500, response: 'x'.repeat(1_024) });
      expect(written).toBeLessThan(20e6);
      receiver.answer = (_, response) => {
        response.writeHead(200).write('still thinking'); // and never ends
        return undefined;
      };
      expect(await test(id)).toMatchObject({ delivered: true, status: 200, response: 'still thinking' });
      receiver.answer = (_, response) => {
        response.destroy();
        return undefined;
      };
      expect(await test(id)).toMatchObject({ delivered: false, error: expect.stringMatching(/ECONNRESET/) });
      receiver.answer = (_, response) => {
        response.socket!.end('HTTP/1.1 200 OK\r\nX: \u0000\r\n\r\n');
        return undefined;
      };
      expect(await test(id)).toMatchObject({ delivered: false, status: null });
      receiver.answer = (_, response) => {
        response.writeHead(200, { 'x-long': 'x'.repeat(60_000) }).end();
        return undefined;
      };
      expect(await test(id)).toMatchObject({ delivered: false, status: null });
    });
  });

  describe('in the API', () => {
    const all = async (id: string, query = '') =>
      (await call('GET', `/v1/subscriptions/${id}/deliveries?limit=200${query}`)).body.data;

    it('show deliveries, newest first, by state and type, page by page', async () => {
      const id = await subscribe(t.sql, tenant.id, { url: receiver.url(), types: ['a', 'b'] });
      await t.sql.query('update subscription set active = false where id = $1', [id]);
      const ids: string[] = [];
      for (let i = 0; i < 5; i++)
        ids.unshift(await deadDelivery(t.sql, tenant.id, id, { type: i < 2 ? 'a' : 'b' }));
      await t.sql.query(`update delivery set state = 'delivered' where id = $1`, [ids[1]]);
      const idsOf = (rows: { id: string }[]) => rows.map((row) => row.id);
      expect(idsOf(await all(id))).toEqual(ids);
      expect(idsOf(await all(id, '&state=dead'))).toEqual(ids.filter((_, i) => i !== 1));
      expect(idsOf(await all(id, '&state=delivered'))).toEqual([ids[1]]);
      expect(idsOf(await all(id, '&type=a'))).toEqual(ids.slice(3));
      const paged: string[] = [];
      let cursor = '';
      do {
        const { body } = await call('GET', `/v1/subscriptions/${id}/deliveries?limit=2${cursor}`);
        paged.push(...idsOf(body.data));
        cursor = body.nextCursor && `&cursor=${encodeURIComponent(body.nextCursor)}`;
      } while (cursor);
      expect(paged).toEqual(ids);
      expect((await all(id))[0]).toMatchObject({
        ...{ subscriptionId: id, type: 'b', customerId: 'customer-1', state: 'dead', attempts: 1 },
        ...{ lastError: 'answered 500', nextAttemptAt: null, deliveredAt: null },
        attemptLog: [{ status: 500, error: 'answered 500', durationMs: 5, at: expect.any(String) }],
      });
      const detail = (await call('GET', `/v1/subscriptions/${id}/deliveries/${ids[0]}`)).body;
      expect(detail.attemptLog[0].response).toBe('no');
      expect(JSON.parse(detail.message)).toEqual({ type: 'b', timestamp: expect.any(String), data: {} });
    });

    it('are sent what is dead again, each or all, and not where the subscription is not active', async () => {
      const allowed = await startServiceOn(t.database, FAST_DELIVERY, { configure });
      await t.service.close(); // this one may not
      try {
        const id = await subscribe(t.sql, tenant.id, { url: receiver.url() });
        const ids = [];
        for (let i = 0; i < 4; i++)
          ids.push(await deadDelivery(t.sql, tenant.id, id, { customerId: `c${i % 2}` }));
        const path = `/v1/subscriptions/${id}`;
        const post = (rest: string) => allowed.call('POST', `${path}${rest}`, { key: tenant.key });
        const one = await post(`/deliveries/${ids[0]}/redeliver`);
        expect(one).toMatchObject({ status: 200, body: { id: ids[0] } });
        await until(() => receiver.received.length === 1);
        await until(async () => (await stateOf(id))[0].state === 'delivered');
        expect((await stateOf(id))[0]).toMatchObject({ attempts: 1, last_error: null });
        expect((await post('/redeliver')).body).toEqual({ redelivered: 3, more: false });
        await until(async () => (await stateOf(id)).every(({ state }) => state === 'delivered'));
        expect(receiver.received).toHaveLength(4);
        expect((await post('/redeliver')).body).toEqual({ redelivered: 0, more: false });
        await post(`/deliveries/${ids[0]}/redeliver`); // what was delivered may be sent again as well
        await until(() => receiver.received.length === 5);
        const [first, again] = [receiver.received[0]!, receiver.received[4]!];
        expect(again.headers['webhook-id']).toBe(first.headers['webhook-id']);
        const log = (await allowed.call('GET', `/v1/audit-log?tenantId=${tenant.id}`)).body.data;
        expect(log.map(({ action }: { action: string }) => action).slice(0, 3)).toEqual([
          'delivery.redelivered',
          'subscription.redelivered',
          'delivery.redelivered',
        ]);
        await t.sql.query('update subscription set active = false where id = $1', [id]);
        for (const rest of ['/redeliver', `/deliveries/${ids[0]}/redeliver`]) {
          expect((await post(rest)).body).toMatchObject({ status: 409, code: 'subscription_inactive' });
        }
        const unknown = await post('/deliveries/00000000-0000-4000-8000-000000000000/redeliver');
        expect(unknown.body.code).toBe('subscription_inactive');
        const metrics = (await allowed.call('GET', '/metrics', { key: null })).body;
        expect(metrics).toMatch(/tidemark_deliveries_total\{transport="webhook",outcome="delivered"\} 5/);
        expect(metrics).toMatch(/tidemark_outbox_waiting \d/);
        expect(metrics).not.toContain(tenant.id);
      } finally {
        await allowed.service.close();
        await allowed.sql.end();
        Object.assign(
          t,
          await startServiceOn(t.database, { RELAY_INTERVAL_MS: '50' }, { configure, resolve }),
        );
      }
    });
  });

  it('that fail again and again are left alone but for one probe at a time, and get all when they are back', async () => {
    const breaking = (config: Config) => {
      configure(config);
      config.delivery.scheduleMs = Array(50).fill(10);
      config.delivery.breaker = { failures: 3, probeMinMs: 400, probeMaxMs: 400 };
    };
    await t.service.close();
    const s = await startServiceOn(t.database, FAST_DELIVERY, { configure: breaking });
    try {
      const id = await subscribe(t.sql, tenant.id, { url: receiver.url() });
      receiver.answer = () => 503;
      await writeMessages(
        t.sql,
        tenant.id,
        Array.from({ length: 30 }, (_, i) => ({ customerId: `c${i}` })),
      );
      const open = 'select from endpoint_health where subscription_id = $1 and opened_at is not null';
      await until(async () => (await t.sql.query(open, [id])).rowCount === 1);
      await sleep(200); // what was under way is done
      const before = receiver.received.length;
      expect(before).toBeLessThan(20); // of each at most one, but for those in flight
      await sleep(2_000);
      const probes = receiver.received.length - before;
      expect(probes).toBeGreaterThanOrEqual(2);
      expect(probes).toBeLessThanOrEqual(6);
      receiver.answer = () => 200;
      await settled(id, 30);
      expect(
        (await t.sql.query('select from endpoint_health where subscription_id = $1', [id])).rowCount,
      ).toBe(0);
    } finally {
      await s.service.close();
      await s.sql.end();
      Object.assign(t, await startServiceOn(t.database, { RELAY_INTERVAL_MS: '50' }, { configure, resolve }));
    }
  });

  describe('that are streams', () => {
    it('get id, type, timestamp and data, under a key of their tenant alone', async () => {
      const redis = new Redis(inject('redisUrl'));
      const s = await startServiceOn(
        t.database,
        { ...FAST_DELIVERY, REDIS_URL: inject('redisUrl') },
        { configure },
      );
      await t.service.close();
      try {
        const id = await subscribe(t.sql, tenant.id, { stream: 'alerts:x' });
        const [messageId] = await writeMessages(t.sql, tenant.id, [{ customerId: 'c', payload: { n: 1 } }]);
        await settled(id);
        const entries = await redis.xrange(`tidemark:out:${tenant.id}:alerts:x`, '-', '+');
        expect(entries).toEqual([
          [
            expect.any(String),
            [
              'id',
              messageId,
              'type',
              'usage.threshold',
              'timestamp',
              expect.stringMatching(/Z$/),
              'data',
              '{"n": 1}',
            ],
          ],
        ]);
        const test = await s.call('POST', `/v1/subscriptions/${id}/test`, { key: tenant.key });
        expect(test.body).toMatchObject({ delivered: true, status: null, error: null });
      } finally {
        await s.service.close();
        await s.sql.end();
        redis.disconnect();
        Object.assign(
          t,
          await startServiceOn(t.database, { RELAY_INTERVAL_MS: '50' }, { configure, resolve }),
        );
      }
    });

    it('get everything once Redis is back, and are dead at once where there is none', async () => {
      const none = await subscribe(t.sql, tenant.id, { stream: 'none' });
      await writeMessages(t.sql, tenant.id, [{}]);
      await settled(none);
      expect((await stateOf(none))[0]).toMatchObject({
        state: 'dead',
        last_error: expect.stringMatching(/REDIS_URL/),
      });
      await t.sql.query('update subscription set active = false where id = $1', [none]);

      let server: RedisServer = await startRedis();
      const { port } = server;
      const s = await startServiceOn(t.database, { ...FAST_DELIVERY, REDIS_URL: server.url }, { configure });
      await t.service.close();
      const redis = new Redis(server.url, { lazyConnect: true });
      redis.on('error', () => undefined);
      try {
        const id = await subscribe(t.sql, tenant.id, { stream: 's' });
        await server.kill();
        await writeMessages(t.sql, tenant.id, [{ payload: { n: 1 } }, { payload: { n: 2 } }]);
        await until(async () => ((await stateOf(id))[0]?.attempts ?? 0) > 3);
        server = await startRedis({ port });
        await settled(id, 2);
        const entries = await redis.xrange(`tidemark:out:${tenant.id}:s`, '-', '+');
        expect(entries.map(([, fields]) => fields.at(-1))).toEqual(['{"n": 1}', '{"n": 2}']);
      } finally {
        redis.disconnect();
        await s.service.close();
        await s.sql.end();
        await server.stop();
        Object.assign(
          t,
          await startServiceOn(t.database, { RELAY_INTERVAL_MS: '50' }, { configure, resolve }),
        );
      }
    });
  });

  it('cost no room for ever: what is settled goes, then what nobody refers to; what waits too long is dead', async () => {
    const id = await subscribe(t.sql, tenant.id, { url: receiver.url(), types: ['none'] });
    const [kept, delivered, dead, waiting] = [
      await deadDelivery(t.sql, tenant.id, id),
      await deadDelivery(t.sql, tenant.id, id),
      await deadDelivery(t.sql, tenant.id, id),
      await deadDelivery(t.sql, tenant.id, id),
    ];
    const set = (what: string, delivery: string | undefined) =>
      t.sql.query(`update delivery set ${what} where id = $1`, [delivery]);
    await set(`settled_at = now() - interval '20 days'`, kept);
    await set(`state = 'delivered', settled_at = now() - interval '8 days'`, delivered);
    await set(`settled_at = now() - interval '31 days'`, dead);
    await set(`state = 'pending', settled_at = null, pending_since = now() - interval '8 days'`, waiting);
    await t.sql.query(`update outbox set fanned_out_at = now() - interval '40 days' where tenant_id = $1`, [
      tenant.id,
    ]);
    await giveUpOld(t.sql, t.config.delivery);
    await pruneDeliveries(t.sql, t.config.delivery);
    expect((await stateOf(id)).map((d) => [d.id, d.state, d.last_error])).toEqual([
      [kept, 'dead', 'answered 500'],
      [waiting, 'dead', 'not delivered within 7 days: answered 500'],
    ]);
    const { rows } = await t.sql.query('select count(*)::int as n from outbox where tenant_id = $1', [
      tenant.id,
    ]);
    expect(rows[0].n).toBe(2);
  });
});
