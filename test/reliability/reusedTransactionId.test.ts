import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { migrate } from '../../src/ground/db/migrate.ts';
import { startDatabaseProxy } from '../support/databaseProxy.ts';
import { OwnCluster } from '../support/ownCluster.ts';
import { runFolder } from '../support/runFolder.ts';
import { startServiceOn, type TestService, until } from '../support/service.ts';
import type { TcpProxy } from '../support/tcpProxy.ts';
import { anEvent } from '../support/traffic.ts';

/*
 * A transaction id of which nothing has reached the disk is given out again after a crash. A writer that asks what
 * became of its transaction must not take the commit of a stranger for its own.
 */
describe.skipIf(inject('engine') !== 'postgres')('a transaction id that a crash gives to another', () => {
  let cluster: OwnCluster | null;
  let proxy: TcpProxy;
  let t: TestService;
  beforeAll(async () => {
    cluster = await OwnCluster.make('postgres', await mkdtemp(join(await runFolder(), 'reused-')));
    await onServer((client) => migrate(client));
    const proxied = await startDatabaseProxy(cluster!.url);
    proxy = proxied.proxy;
    const database = { url: cluster!.url, engine: 'postgres' as const, drop: async () => undefined };
    t = await startServiceOn(
      database,
      { INGEST_DEADLINE_MS: '20000', DB_CONNECT_TIMEOUT_MS: '500' },
      { url: proxied.url },
    );
  });
  afterAll(async () => {
    await t?.stop();
    await proxy?.close();
    await cluster?.stop('immediate');
  });

  const onServer = async (work: (client: pg.Client) => Promise<unknown>) => {
    const client = new pg.Client(cluster!.url);
    client.on('error', () => undefined);
    await client.connect();
    try {
      await work(client);
    } finally {
      await client.end().catch(() => undefined);
    }
  };

  it('does not pass for the commit of the batch', async () => {
    const { id, key } = await t.tenant();
    const events = [anEvent(), anEvent()];
    let answer: ReturnType<TestService['call']>;
    await onServer(async (client) => {
      await client.query('begin; lock table event in access exclusive mode');
      answer = t.call('POST', '/v1/events', { key, body: events });
      await until(async () => {
        const { rows } = await client.query('select count(*)::int as n from pg_locks where not granted');
        return rows[0].n > 0;
      });
      await proxy.become('silent'); // the writer has been told the id of its transaction, and is told nothing else for now
      await cluster!.stop('immediate');
    });
    proxy.reset();
    await cluster!.start();
    await onServer(async (client) => {
      for (let i = 0; i < 50; i++) await client.query('select pg_current_xact_id()');
    });
    await proxy.become('open');
    // A server that takes its time to come back has tripped the breaker: the client repeats what it was told to.
    let answered = await answer!;
    for (let tries = 0; answered.status === 503 && tries < 100; tries++) {
      await sleep(250);
      answered = await t.call('POST', '/v1/events', { key, body: events });
    }
    expect(answered).toMatchObject({ status: 200, body: { accepted: 2, duplicates: 0 } });
    const { rows } = await t.sql.query('select event_id from event where tenant_id = $1', [id]);
    expect(new Set(rows.map((row) => row.event_id))).toEqual(new Set(events.map((event) => event.eventId)));
  });
});
