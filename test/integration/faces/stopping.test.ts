import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { connectionSettings, connectRefresher } from '../../../src/ground/db/connections.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { refreshImported } from '../../../src/intake/importing/refreshImported.ts';
import { Refresher } from '../../../src/sums/windows/refresher.ts';
import { WindowMetrics } from '../../../src/sums/windows/windowMetrics.ts';
import { describeEngine } from '../../support/database.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';

const HOUR = 3_600_000;

/** Where a round of each kind stands still, for longer than any test: the table that is locked, and who waits. */
const PLACES = [
  { loop: 'closer', table: 'window_state' },
  { loop: 'refresher', table: 'window_announcement' },
  { loop: 'refresher', table: 'window_coverage' },
  { loop: 'retention', table: 'retention' },
  { loop: 'relay', table: 'outbox' },
  { loop: 'relay', table: 'delivery' },
];
if (inject('engine') === 'timescale') PLACES.push({ loop: 'refresher', table: 'late_window' });

describeEngine('a stop', () => {
  let t: TestService;
  beforeAll(async () => {
    t = await startTestService();
    await t.service.close();
    t.service.close = async () => 0;
  });
  afterAll(() => t.stop());

  const waiting = async (loop: string) => {
    const { rows } = await t.sql.query(
      `select count(*)::int as n from pg_stat_activity
       where datname = current_database() and application_name = $1 and wait_event_type = 'Lock'`,
      [`tidemark ${loop}`],
    );
    return rows[0].n > 0;
  };

  it.each(PLACES)('does not wait for a $loop that waits for $table', async ({ loop, table }) => {
    const holder = await t.sql.connect();
    try {
      const instance = await startServiceOn(t.database, {
        DELIVERY_INTERVAL_MS: '50',
        WINDOW_GRACE_MS: '0',
      });
      await holder.query(`begin; lock table ${table} in access exclusive mode`);
      await until(() => waiting(loop), 30_000);
      // The lock is held: nothing but the stop can end the wait.
      await instance.service.close();
      await until(async () => !(await waiting(loop)));
      await instance.sql.end();
    } finally {
      await holder.query('rollback');
      holder.release();
    }
  });

  it('of an import that refreshes ends that too', async () => {
    const tenant = await t.tenant().catch(async () => {
      await t.sql.query(
        `insert into tenant (id, name) values ('imported', 'imported') on conflict do nothing`,
      );
      return { id: 'imported' };
    });
    const bucket = Math.floor(Date.now() / HOUR) * HOUR - 50 * HOUR;
    await t.sql.query(
      `insert into late_window (bucket, tenant_id, customer_id, revision, stale) values ($1, $2, 'c', 1, $3)`,
      [new Date(bucket), tenant.id, t.database.engine === 'timescale'],
    );
    const log = createLogger({ logLevel: 'silent' });
    const refresher = new Refresher({
      ...{
        config: t.config.windows,
        engine: t.database.engine,
        metrics: new WindowMetrics(new Registry()),
        log,
      },
      connect: () =>
        connectRefresher(connectionSettings(t.database.url, t.config.database, 'refresher'), log),
    });
    const holder = await t.sql.connect();
    try {
      await holder.query('begin; lock table late_window in access exclusive mode');
      const stop = new AbortController();
      const range = { from: bucket * 1_000, to: (bucket + HOUR) * 1_000 };
      const done = refreshImported(t.sql, refresher, tenant.id, range, stop.signal);
      await until(() => waiting('refresher'));
      stop.abort();
      expect(await done).toBe(false);
      await until(async () => !(await waiting('refresher')));
    } finally {
      await holder.query('rollback');
      holder.release();
    }
  });
});
