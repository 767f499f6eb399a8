import { afterAll, beforeAll, expect, it } from 'vitest';
import { type HttpServer, listen } from '../../src/faces/http/server.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../support/database.ts';
import { startDatabaseProxy } from '../support/databaseProxy.ts';
import { StreamClient } from '../support/eventStream.ts';
import { ADMIN_KEY, startServiceOn, type TestService, until } from '../support/service.ts';
import type { TcpProxy } from '../support/tcpProxy.ts';

describeEngine('how things stand while the database is away', () => {
  let database: TestDatabase;
  let proxy: TcpProxy;
  let t: TestService;
  let server: HttpServer;
  beforeAll(async () => {
    database = await createTestDatabase();
    const proxied = await startDatabaseProxy(database.url);
    proxy = proxied.proxy;
    const probing = {
      DB_PROBE_INTERVAL_MS: '200',
      DB_PROBE_TIMEOUT_MS: '2000',
      DB_CONNECT_TIMEOUT_MS: '2000',
    };
    t = await startServiceOn(database, probing, {
      url: proxied.url,
      configure(config) {
        config.liveView.intervalMs = 100;
      },
    });
    server = await listen(t.service.app, '127.0.0.1', 0, t.config.http.limits);
  });
  afterAll(async () => {
    await server.close(1_000);
    await t.stop();
    await proxy.close();
  });

  /** Whatever a slow machine has been taken for. */
  const ready = () => until(async () => (await t.call('GET', '/readyz', { key: null })).status === 200);

  it.each(['refusing', 'silent'] as const)(
    'is told on, with the age of what is not known anew: %s',
    async (state) => {
      await ready();
      const { key } = await t.tenant();
      const stream = (shown: string) =>
        StreamClient.connect(`${server.address}/v1/live/stream`, { authorization: `Bearer ${shown}` });
      const clients = [await stream(key), await stream(ADMIN_KEY)];
      for (const client of clients) await client.next(({ database: { available } }) => available);

      await proxy.become(state);
      const away = await Promise.all(
        clients.map((client) => client.next(({ database: { available } }) => !available)),
      );
      for (const [i, client] of clients.entries()) {
        const { asOf, ageMs, closedUntil } = away[i]!.database;
        // The same figures, older and older.
        const older = await client.next(({ database: figures }) => figures.ageMs > ageMs + 1_000);
        expect(older.database).toMatchObject({ available: false, asOf, closedUntil });
        expect(older.instance).toMatchObject({ accepted: 0, queueRows: 0 });
      }
      // The key of the configuration needs no database: once is answered, too.
      const once = await t.call('GET', '/v1/live/overview');
      expect([once.status, once.body.database.available]).toEqual([200, false]);

      await proxy.become('open');
      for (const [i, client] of clients.entries()) {
        const back = await client.next(({ database: { available } }) => available);
        await client.next(({ database: { asOf } }) => asOf > away[i]!.database.asOf);
        expect(Date.parse(back.at)).toBeGreaterThan(Date.parse(away[i]!.at));
        expect(client.ended).toBe(false);
        await client.leave();
      }
    },
  );

  it('ends nobody for a key that cannot be looked up, and whoever is revoked meanwhile once it can', async () => {
    await ready();
    const { id, key } = await t.tenant();
    const client = await StreamClient.connect(`${server.address}/v1/live/stream`, {
      authorization: `Bearer ${key}`,
    });
    await client.next();
    await proxy.become('refusing');
    await t.sql.query('update api_key set revoked_at = now() where tenant_id = $1', [id]);
    await client.next(({ database: { available } }) => !available);
    await client.next(({ database: { ageMs } }) => ageMs > 5_000);
    expect(client.ended).toBe(false);
    await proxy.become('open');
    await until(() => client.ended);
    expect(client.events.at(-1)).toMatchObject({ event: 'end', data: { code: 'key_revoked' } });
  });
});
