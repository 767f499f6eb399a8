import pg from 'pg';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { tenantContext } from '../../../src/access/tenancy/tenantContext.ts';
import { loadConfig } from '../../../src/ground/config/loadConfig.ts';
import { prepareDatabase } from '../../../src/ground/db/prepareDatabase.ts';
import { ensureRoles } from '../../../src/ground/db/roles.ts';
import { ExportCounts } from '../../../src/outbound/exporting/exportCounts.ts';
import { exportEvents } from '../../../src/outbound/exporting/exportEvents.ts';
import { beginSnapshot } from '../../../src/outbound/exporting/snapshot.ts';
import { closeUpTo } from '../../support/closing.ts';
import { createEmptyDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { startServiceOn, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const PASSWORD = 'throwaway';

describeEngine('a login that is no superuser', () => {
  let database: TestDatabase;
  let admin: pg.Client;
  let login: string;
  let url: string;
  beforeEach(async () => {
    database = await createEmptyDatabase();
    admin = new pg.Client(database.url);
    await admin.connect();
    await ensureRoles(admin); // the server's: on a new one, another test file would make them in our midst
    login = `${new URL(database.url).pathname.slice(1)}_login`;
    await admin.query(`create role ${login} login nosuperuser password '${PASSWORD}'`);
    const own = new URL(database.url);
    own.username = login;
    own.password = PASSWORD;
    url = own.href;
  });
  afterEach(async () => {
    await admin.end();
    await database.drop();
    const server = new pg.Client(database.url.replace(/\/[^/]*$/, '/postgres'));
    await server.connect();
    await server.query(`drop role ${login}`);
    await server.end();
  });

  const prepare = () => prepareDatabase(url, loadConfig({}).database, pino({ level: 'silent' }));

  /** What an administrator does: runs the statements that the message names. */
  const refusedThenGranted = async () => {
    const message = await prepare().then(
      () => 'accepted',
      (error: Error) => error.message,
    );
    const statements = / lacks rights that an administrator has to give, once: (.*)$/.exec(message)?.[1];
    expect(statements, message).toBeDefined();
    await admin.query(statements!);
    return statements!;
  };

  const worksAsEver = async () => {
    const t = await startServiceOn(database, { WINDOW_GRACE_MS: '0' }, { url });
    try {
      const { id, key } = await t.tenant();
      const twice = anEvent();
      const body = [
        twice,
        twice,
        anEvent(),
        anEvent({ timestamp: new Date(Date.now() - 86_400_000).toISOString() }),
      ];
      expect((await t.call('POST', '/v1/events', { key, body })).body).toEqual({
        accepted: 3,
        duplicates: 1,
      });
      await closeUpTo(t.sql, Math.floor(Date.now() / 30_000) * 30_000 - 30_000);
      const late = anEvent({ timestamp: new Date(Date.now() - 60_000).toISOString() });
      expect((await t.call('POST', '/v1/events', { key, body: late })).status).toBe(200);
      await until(async () => (await t.sql.query('select from late_window where stale')).rows.length === 0);
      const { body: usage } = await t.call('GET', '/v1/usage?granularity=1d', { key });
      expect(usage.data.reduce((sum: number, { calls }: { calls: number }) => sum + calls, 0)).toBe(4);
      expect(await exported(id)).toBe(4);
    } finally {
      await t.service.close();
      await t.sql.end();
    }
  };

  /** How many events an export by this login has. */
  const exported = async (tenantId: string) => {
    const client = new pg.Client(url);
    await client.connect();
    try {
      const context = tenantContext(tenantId);
      const counts = new ExportCounts();
      await beginSnapshot(client, context);
      const range = { from: Date.now() - 7 * 86_400_000, to: Date.now() };
      for await (const _ of exportEvents(client, context, range, 'ndjson', counts));
      return counts.rows;
    } finally {
      await client.end();
    }
  };

  it('is told the statements it lacks, and needs no more than those, as owner of the database', async () => {
    await admin.query(`alter database ${new URL(database.url).pathname.slice(1)} owner to ${login}`);
    const statements = await refusedThenGranted();
    expect(statements).not.toContain('grant create');
    await prepare();
    await worksAsEver();
  });

  it('likewise as a guest in a database of somebody else', async () => {
    if (database.engine === 'timescale') await admin.query('create extension if not exists timescaledb');
    expect(await refusedThenGranted()).toContain(`to ${login} with grant option;`);
    await prepare();
    await worksAsEver();
  });
});
