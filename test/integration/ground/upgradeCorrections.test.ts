import pg from 'pg';
import { afterEach, beforeEach, expect, it, onTestFinished } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { createEmptyDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { PreviousVersion } from '../../support/previousVersion.ts';
import { startServiceOn, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

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
});
