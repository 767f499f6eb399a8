import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeEngine } from '../../support/database.ts';
import { subscribe } from '../../support/messages.ts';
import { startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const BATCHES = 8;
const WINDOWS = 250;

/** How often rows of a table have been read, by its indexes or one by one: those with chunks by the sum of them. */
const READS = `
  select sum(seq_tup_read + coalesce((
    select sum(idx_tup_read) from pg_stat_all_indexes i where i.relid = t.relid), 0))::int as n
  from pg_stat_all_tables t where relname = any ($1)
    or exists (select from pg_inherits h where h.inhrelid = t.relid and h.inhparent = any ($1::regclass[]))`;

describeEngine('late batches of somebody who listens to window.revised', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService(
      {},
      // As in life: what is so far apart is rows.
      { configure: ({ ingest }) => Object.assign(ingest, { columnsSpanMs: 120_000 }) },
    );
    // As long as they are unknown, any plan looks as good as any other.
    await t.sql.query('alter table late_window set (autovacuum_enabled = off)');
    await t.sql.query('alter table event set (autovacuum_enabled = off)');
  });
  afterAll(() => t?.stop());

  it('read each window they change, and no other, on tables without statistics', async () => {
    const { id, key } = await t.tenant();
    await subscribe(t.sql, id, { stream: 'out', types: ['window.revised'] });
    const from = Date.now() - 3 * 86_400_000;
    for (let batch = 0; batch < BATCHES; batch++) {
      const events = Array.from({ length: WINDOWS }, (_, n) =>
        anEvent({
          customerId: `c${n % 5}`,
          timestamp: new Date(from + (batch * WINDOWS + n) * 30_000).toISOString(),
        }),
      );
      const answer = await t.call('POST', '/v1/events', { key, body: events });
      expect([batch, answer.body]).toEqual([batch, { accepted: WINDOWS, duplicates: 0 }]);
    }
    const { rows: told } = await t.sql.query(
      `select count(*)::int as n from outbox where type = 'window.revised' and tenant_id = $1`,
      [id],
    );
    expect(told[0].n).toBe(BATCHES * WINDOWS);
    // A session tells what it has read when it ends, if not before.
    await t.sql.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'tidemark ingest'`,
    );
    // A few times each, and by upkeep meanwhile; all windows, or all events, for each window would be 8 × 250 × 1,000.
    for (const table of ['late_window', 'event']) {
      const reads = async () => (await t.sql.query<{ n: number }>(READS, [[table]])).rows[0]!.n;
      await until(async () => (await reads()) >= BATCHES * WINDOWS, 30_000);
      expect([table, (await reads()) < 100 * BATCHES * WINDOWS]).toEqual([table, true]);
    }
  });
});
