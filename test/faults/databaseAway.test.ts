import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, describeEngine } from '../support/database.ts';
import { startDatabaseProxy } from '../support/databaseProxy.ts';
import { startServiceOn, type TestService, until } from '../support/service.ts';
import type { TcpProxy } from '../support/tcpProxy.ts';
import { anEvent } from '../support/traffic.ts';

describeEngine('a database that is away', () => {
  let proxy: TcpProxy;
  let t: TestService;
  let mine: { id: string; key: string };
  beforeAll(async () => {
    const database = await createTestDatabase();
    const proxied = await startDatabaseProxy(database.url);
    proxy = proxied.proxy;
    t = await startServiceOn(
      database,
      { DB_PROBE_INTERVAL_MS: '200', DB_PROBE_TIMEOUT_MS: '500', DB_CONNECT_TIMEOUT_MS: '2000' },
      { url: proxied.url },
    );
    mine = await t.tenant();
    expect((await post()).status).toBe(200);
  });
  afterAll(async () => {
    await t.stop();
    await proxy.close();
  });

  const post = () => t.call('POST', '/v1/events', { key: mine.key, body: anEvent() });
  const read = () => t.call('GET', '/v1/usage?granularity=1h', { key: mine.key });
  const ready = async () => (await t.call('GET', '/readyz', { key: null })).status === 200;
  const trips = async () =>
    Number(
      /^tidemark_database_trips_total (\d+)/m.exec(
        (await t.call('GET', '/metrics', { key: null })).body,
      )?.[1],
    );

  it.each(['refusing', 'silent'] as const)(
    'is noticed when %s: requests under way settle, later ones are refused at once, and it is used when it is back',
    async (state) => {
      await proxy.become('open');
      await until(ready);
      const before = await trips();
      await proxy.become(state);
      const underWay = [post(), read(), post(), read()];
      await until(async () => !(await ready()));
      expect(await trips()).toBe(before + 1);
      for (const ask of [post, read]) {
        const answer = await ask();
        expect(answer.body).toMatchObject({ status: 503, code: 'database_unavailable' });
        expect(answer.headers.get('retry-after')).toBe('1');
      }
      await sleep(300);
      await proxy.become('open');
      await until(ready);
      expect((await post()).status).toBe(200);
      expect((await read()).status).toBe(200);
      // What had been let in either got through after all or says that it did not.
      for (const answer of await Promise.all(underWay)) expect([200, 503]).toContain(answer.status);
    },
  );

  it('is not taken for away when a connection is ended', async () => {
    await until(ready);
    const before = await trips();
    for (let i = 0; i < 5; i++) {
      await t.sql.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name like 'tidemark %'`,
      );
      await sleep(250);
      expect(await ready()).toBe(true);
    }
    expect(await trips()).toBe(before);
  });

  it('repeats a read whose connection goes away under it', async () => {
    expect((await read()).status).toBe(200);
    const slow = await t.sql.connect();
    await slow.query('begin');
    await slow.query('lock table tenant_data.usage_1h, event in access exclusive mode');
    const reading = t.call('GET', '/v1/events', { key: mine.key });
    await until(async () => {
      const { rows } = await t.sql.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name = 'tidemark read' and wait_event_type = 'Lock'`,
      );
      return rows.length > 0;
    });
    await slow.query('rollback');
    slow.release();
    expect((await reading).status).toBe(200);
  });
});
