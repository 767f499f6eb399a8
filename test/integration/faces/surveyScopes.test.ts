import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { surveyScopes } from '../../../src/faces/live/surveyScopes.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { deadDelivery, subscribe, writeMessages } from '../../support/messages.ts';

describeEngine('what the database says of scopes', () => {
  let database: TestDatabase;
  let sql: pg.Pool;
  beforeAll(async () => {
    database = await createTestDatabase();
    sql = new pg.Pool({ connectionString: database.url, max: 2 });
    for (const id of ['one', 'two', 'three']) {
      await sql.query('insert into tenant (id, name) values ($1, $1)', [id]);
    }
  });
  afterAll(async () => {
    await sql.end();
    await database.drop();
  });

  const NOTHING = { lateWindows: 0, messagesWaiting: 0, deliveriesPending: 0, deadLetters: 0 };
  const survey = async (...scopes: (string | null)[]) =>
    (await surveyScopes(sql, scopes)).map(({ closedUntil: _, ...counts }) => counts);

  it('is nothing where there is nothing, and how far windows are closed', async () => {
    expect(await survey('one', null)).toEqual([NOTHING, NOTHING]);
    expect(await survey()).toEqual([]);
    const { rows } = await sql.query('select closed_until from window_state');
    const [figures] = await surveyScopes(sql, [null]);
    expect(figures!.closedUntil).toBe(rows[0].closed_until.toISOString());
  });

  it('is of each tenant, and of all together', async () => {
    // Two of one tenant's windows are late, one of them done with, one not closed yet; one of another tenant.
    await sql.query(
      `insert into late_window (bucket, tenant_id, customer_id, revision, stale)
       select closed_until + at * interval '30 seconds', tenant, customer, 1, stale
       from window_state, (values
         (-1, 'one', 'a', true), (-1, 'one', 'b', true), (-2, 'one', 'a', false), (0, 'one', 'a', true),
         (-3, 'two', 'a', true)) as w (at, tenant, customer, stale)`,
    );
    const [first, second] = [
      await subscribe(sql, 'one', { url: 'http://127.0.0.1:9/' }),
      await subscribe(sql, 'one', { url: 'http://127.0.0.1:9/other' }),
    ];
    const others = await subscribe(sql, 'two', { url: 'http://127.0.0.1:9/' });
    for (const subscription of [first, second, first]) await deadDelivery(sql, 'one', subscription);
    await deadDelivery(sql, 'two', others);
    const pending = await deadDelivery(sql, 'two', others);
    await sql.query(`update delivery set state = 'pending', settled_at = null where id = $1`, [pending]);
    await writeMessages(sql, 'one', [{}, {}, {}]);
    await writeMessages(sql, 'three', [{}]);
    const one = { lateWindows: 2, messagesWaiting: 3, deliveriesPending: 0, deadLetters: 3 };
    const two = { lateWindows: 1, messagesWaiting: 0, deliveriesPending: 1, deadLetters: 1 };
    const three = { ...NOTHING, messagesWaiting: 1 };
    const all = { lateWindows: 3, messagesWaiting: 4, deliveriesPending: 1, deadLetters: 4 };
    expect(await survey('two', null, 'three', 'one')).toEqual([two, all, three, one]);
    expect(await survey('one')).toEqual([one]);
  });

  it('asks nothing that grows with what has been settled', async () => {
    // Each figure is found by an index that holds nothing but what is counted.
    const { rows } = await sql.query<{ indexdef: string }>(
      `select indexdef from pg_indexes
       where indexname in ('late_window_stale', 'outbox_waiting', 'delivery_head', 'delivery_dead')`,
    );
    expect(
      rows.map(({ indexdef }) => / WHERE (.*)$/.exec(indexdef)?.[1]?.replaceAll(/[()]|::text/g, '')).sort(),
    ).toEqual(['fanned_out_at IS NULL', `stale`, `state = 'dead'`, `state = 'pending'`].sort());
  });
});
