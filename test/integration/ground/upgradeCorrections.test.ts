import pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { COMMAND } from '../../../src/access/tenancy/auditLog.ts';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { tenantContext } from '../../../src/access/tenancy/tenantContext.ts';
import { migrate } from '../../../src/ground/db/migrate.ts';
import type { EventCorrectionKind } from '../../../src/intake/corrections/correction.ts';
import { Corrections } from '../../../src/intake/corrections/corrections.ts';
import { NoLiveCounters } from '../../../src/sums/live/none.ts';
import { createEmptyDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { migrateToBefore, PreviousVersion } from '../../support/previousVersion.ts';
import { startServiceOn, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';
import { usageEvent } from '../../support/usageEvent.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const TENANT = 'old';

describeEngine('an upgrade to corrections', () => {
  let database: TestDatabase;
  let previous: PreviousVersion;
  let today: number;
  beforeEach(async () => {
    database = await createEmptyDatabase();
    today = Math.floor(Date.now() / DAY) * DAY;
    previous = await PreviousVersion.install(database.url, today - DAY);
  });
  afterEach(async () => {
    await previous.end().catch(() => undefined);
    await database.drop();
  });

  it('corrects what the version before has stored, and tells of its late events what is known', async () => {
    await previous.client.query(`insert into tenant (id, name) values ($1, 'Old')`, [TENANT]);
    const at = today - DAY + HOUR;
    const event = (tokens: number) =>
      anEvent({ timestamp: new Date(at).toISOString(), metadata: { tokens, model: 'a' } });
    const [inTime, late, afterwards] = [event(1), event(20), event(300)];
    await previous.write(TENANT, [inTime]);
    await previous.close(today);
    await previous.pack();
    await previous.write(TENANT, [late]);
    const client = new pg.Client(database.url);
    await client.connect();
    await migrate(client).finally(() => client.end());

    const t = await startServiceOn(database);
    onTestFinished(async () => {
      await t.service.close();
      await t.sql.end();
    });
    const { key } = await createKey(t.sql, { tenantId: TENANT, scopes: ['read', 'correct'] });
    const tokens = async () => {
      const range = `from=${new Date(today - DAY).toISOString()}&to=${new Date(today).toISOString()}`;
      const { body } = await t.call('GET', `/v1/usage?granularity=1d&${range}`, { key });
      return body.data.reduce((sum: number, point: { tokens: number }) => sum + point.tokens, 0);
    };
    const correct = async (kind: string, body: object) => {
      const answer = await t.call('POST', `/v1/events/${kind}`, { key, body: { reason: 'wrong', ...body } });
      expect(answer.body).toMatchObject({ events: 1, windows: 1, unknown: [] });
    };
    expect(await tokens()).toBe(21);
    // From then on ids of the same minute look as young as the youngest of them.
    await until(
      async () =>
        (await t.sql.query('select from identity_move where finished_at is not null')).rowCount === 1,
    );
    await correct('void', { ids: [inTime.eventId] });
    expect(await tokens()).toBe(20);
    await correct('amend', { events: [{ ...late, metadata: { tokens: 50 } }] });
    expect(await tokens()).toBe(50);
    await previous.write(TENANT, [afterwards]);
    expect(await tokens()).toBe(350);

    const window = new Date(at).toISOString();
    const { body } = await t.call('GET', `/v1/windows/history?customerId=customer-1&windowStart=${window}`, {
      key,
    });
    // The first revision was made before there was a history.
    expect(body.data).toMatchObject([
      { revision: 2, cause: 'void', events: 1, difference: { calls: -1, tokens: -1 } },
      { revision: 3, cause: 'amend', events: 1, difference: { calls: 0, tokens: 30 } },
      { revision: 4, cause: 'late', events: null, difference: null },
    ]);
    const events = await t.call('GET', `/v1/windows/${window}/customers/customer-1/revisions/4/events`, {
      key,
    });
    expect(events.body.data).toEqual([{ eventId: afterwards.eventId, counts: true }]);
  });

  it('backfills a day that the version before has stored, also under its ids, and reverts that', async () => {
    await previous.client.query(`insert into tenant (id, name) values ($1, 'Old')`, [TENANT]);
    const at = today - DAY + HOUR;
    const event = (tokens: number) =>
      anEvent({ timestamp: new Date(at).toISOString(), metadata: { tokens, model: 'a' } });
    const [kept, replaced, fresh] = [event(1), event(20), event(300)];
    await previous.write(TENANT, [kept, replaced]);
    await previous.close(today);
    await previous.pack();
    const client = new pg.Client(database.url);
    await client.connect();
    await migrate(client).finally(() => client.end());
    const t = await startServiceOn(database);
    onTestFinished(async () => {
      await t.service.close();
      await t.sql.end();
    });
    const { key } = await createKey(t.sql, { tenantId: TENANT, scopes: ['ingest', 'read', 'correct'] });
    const range = { from: new Date(today - DAY).toISOString(), to: new Date(today).toISOString() };
    const tokens = async () => {
      const path = `/v1/usage?granularity=1d&from=${range.from}&to=${range.to}`;
      const { body } = await t.call('GET', path, { key });
      return body.data.reduce((sum: number, point: { tokens: number }) => sum + point.tokens, 0);
    };
    const made = await t.call('POST', '/v1/backfills', {
      key,
      body: { ...range, replace: true, reason: 'x' },
    });
    const body = [fresh, { ...replaced, metadata: { tokens: 4_000, model: 'a' } }];
    await t.call('POST', `/v1/events?backfill=${made.body.id}`, { key, body });
    expect(await tokens()).toBe(21);
    const closed = await t.call('POST', `/v1/backfills/${made.body.id}/close`, { key });
    expect(closed.body).toMatchObject({ closed: { events: 2, replaced: 2, duplicates: 0 } });
    expect(await tokens()).toBe(4_300);
    const path = `/v1/backfills/${made.body.id}/revert`;
    expect((await t.call('POST', path, { key, body: { reason: 'y' } })).status).toBe(200);
    expect(await tokens()).toBe(21);
  });

  it('backfills what was corrected before there were backfills, and reverts that', async () => {
    await previous.client.query(`insert into tenant (id, name) values ($1, 'Old')`, [TENANT]);
    const at = new Date(today - DAY + HOUR).toISOString();
    const event = (tokens: number) => anEvent({ timestamp: at, metadata: { tokens, model: 'a' } });
    const other = (one: ClientEvent, tokens: number) => ({ ...one, metadata: { tokens, model: 'a' } });
    const [kept, voided, amended, back] = [event(1), event(20), event(300), event(4_000)];
    await previous.write(TENANT, [kept, voided, amended, back]);
    await previous.close(today);
    await previous.pack();
    await migrateToBefore(previous.client, '0040_backfills');
    const corrections = new Corrections({
      engine: database.engine,
      connect: async () => {
        const client = new pg.Client(database.url);
        await client.connect();
        return client;
      },
      admin: previous.client,
      reads: undefined as never, // of answers alone
      live: new NoLiveCounters(),
      registry: new Registry(),
      log: pino({ level: 'silent' }),
      onMessages: () => undefined,
    });
    const correct = async (kind: EventCorrectionKind, one: ClientEvent, tokens?: number) => {
      const tsMicros = Date.parse(at) * 1_000;
      const { eventId, customerId, apiEndpoint: endpoint } = one;
      const event = { tenantId: TENANT, customerId, eventId, tsMicros, endpoint, model: 'a' };
      const version = tokens === undefined ? {} : { version: usageEvent({ ...event, tokens }) };
      const named = { clientId: one.eventId, tsMicros, index: 0, pointer: '', ...version };
      const context = tenantContext(TENANT);
      const done = await corrections.correct({ kind, context, actor: COMMAND, reason: 'x', events: [named] });
      expect(done.corrected).toBe(1);
    };
    await correct('void', voided);
    await correct('amend', amended, 350);
    await correct('void', back);
    await correct('restore', back);
    const client = new pg.Client(database.url);
    await client.connect();
    expect(await migrate(client).finally(() => client.end())).toContain('0040_backfills');

    const t = await startServiceOn(database);
    onTestFinished(async () => {
      await t.service.close();
      await t.sql.end();
    });
    const { key } = await createKey(t.sql, { tenantId: TENANT, scopes: ['ingest', 'read', 'correct'] });
    const range = { from: new Date(today - DAY).toISOString(), to: new Date(today).toISOString() };
    const tokens = async () => {
      const path = `/v1/usage?granularity=1d&from=${range.from}&to=${range.to}`;
      const { body } = await t.call('GET', path, { key });
      return body.data.reduce((sum: number, point: { tokens: number }) => sum + point.tokens, 0);
    };
    const versions = async ({ eventId }: ClientEvent) => {
      const { body } = await t.call('GET', `/v1/events/${eventId}?timestamp=${at}`, { key });
      return body.versions.map(({ version, state }: { version: number; state: string }) => [version, state]);
    };
    expect(await tokens()).toBe(4_351);
    const made = await t.call('POST', '/v1/backfills', {
      key,
      body: { ...range, replace: true, reason: 'x' },
    });
    const staged = [voided, amended, back].map((one) => other(one, 10_000));
    await t.call('POST', `/v1/events?backfill=${made.body.id}`, { key, body: staged });
    const closed = await t.call('POST', `/v1/backfills/${made.body.id}/close`, { key });
    expect(closed.body).toMatchObject({ closed: { events: 3, replaced: 3, duplicates: 0 } });
    expect(await tokens()).toBe(30_000);
    const path = `/v1/backfills/${made.body.id}/revert`;
    expect((await t.call('POST', path, { key, body: { reason: 'y' } })).status).toBe(200);
    expect(await tokens()).toBe(4_351);
    expect(await versions(voided)).toEqual([
      [1, 'voided'],
      [2, 'superseded'],
    ]);
    expect(await versions(amended)).toEqual([
      [1, 'superseded'],
      [2, 'counted'],
      [3, 'superseded'],
    ]);
    expect(await versions(back)).toEqual([
      [1, 'counted'],
      [2, 'superseded'],
    ]);
  });
});
