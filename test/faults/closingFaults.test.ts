import pg from 'pg';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { createKey } from '../../src/access/tenancy/keys.ts';
import { closedUntil } from '../support/closing.ts';
import { describeEngine } from '../support/database.ts';
import { until } from '../support/service.ts';
import { anEvent } from '../support/traffic.ts';
import { World } from '../support/world.ts';

const WINDOW = 30_000;
/** Events are spread over so many windows. */
const WINDOWS = 5;

/** Where the instance is caught: what keeps it there, and how one knows that it is there. */
interface Place {
  name: string;
  hold: string;
  caught: string;
}

const waiting = (query: string) =>
  `select exists (select from pg_stat_activity where datname = current_database()
                  and wait_event_type = 'Lock' and query like '%${query}%') as so`;

const CLOSING: Place = {
  name: 'waiting for the batches under way',
  hold: `select * from enter_batch('infinity', (select interest_version from window_state))`,
  caught: waiting('close_windows'),
};
const ANNOUNCING: Place = {
  name: 'writing messages',
  hold: 'lock table outbox in exclusive mode',
  caught: waiting('announce_closed_windows'),
};
const FOLDING: Place = {
  name: 'folding hours and days',
  hold: 'lock table usage_1d_folded in exclusive mode',
  caught: waiting('fold_windows'),
};
const refreshing = (rollup: string): Place => ({
  name: `refreshing ${rollup}`,
  hold: `do $$ begin
    execute (select format('lock table %I.%I in exclusive mode', materialization_hypertable_schema,
                           materialization_hypertable_name)
             from timescaledb_information.continuous_aggregates where view_name = '${rollup}');
  end $$`,
  caught: waiting(`refresh_continuous_aggregate(''${rollup}`),
});

describeEngine('an instance that is lost while it closes windows', () => {
  let world: World;
  let tenant: { id: string; key: string };
  beforeAll(async () => {
    world = await World.make(2);
    const id = 'shop';
    await world.sql.query('insert into tenant (id, name) values ($1, $1)', [id]);
    tenant = { ...(await createKey(world.sql, { tenantId: id, scopes: ['ingest', 'read'] })), id };
    await world.sql.query(
      `insert into subscription (tenant_id, message_types, stream) values ($1, $2, 'messages')`,
      [id, ['window.closed']],
    );
  });
  afterAll(() => world.end());

  /** What there is of closing, to see that nothing is done twice. */
  const traces = async () => {
    const { rows } = await world.sql.query(
      `select (select count(*)::int from window_closing) as closings,
              (select count(*)::int from outbox) as messages, s.*, a.announced_until
       from window_state s, window_announcement a`,
    );
    return rows[0];
  };
  const foldedUntil = async (): Promise<Date> =>
    (await world.sql.query('select folded_until from usage_fold')).rows[0].folded_until;
  const finished = async (target: number) => {
    const state = await traces();
    const reached = world.database.engine === 'timescale' ? state.refreshed_30s : await foldedUntil();
    return reached.getTime() >= target && state.announced_until.getTime() >= target;
  };

  const places = [CLOSING, ANNOUNCING];
  if (inject('engine') === 'timescale') places.push(refreshing('usage_30s'), refreshing('usage_1h'));
  else places.push(FOLDING);
  const cases = places.flatMap((place) =>
    (['SIGKILL', 'SIGSTOP'] as const).map((signal) => ({ place, signal })),
  );

  it.each(cases)(
    '$signal while $place.name: another finishes, and nothing is done twice',
    async ({ place, signal }) => {
      const [lost, other] = [world.instances[0]!, world.instances[1]!];
      const base = await closedUntil(world.sql);
      const target = base + WINDOWS * WINDOW + (place.name.endsWith('1h') ? 2 * 3_600_000 : 0);
      const events = Array.from({ length: 50 }, (_, i) =>
        anEvent({ timestamp: new Date(base + (i % WINDOWS) * WINDOW).toISOString() }),
      );
      expect((await other.call('POST', '/v1/events', tenant.key, events))?.status).toBe(200);
      const before = await traces();

      // The instance goes on until it is caught in the place.
      const holder = new pg.Client(world.database.url);
      await holder.connect();
      await holder.query(`begin; ${place.hold}`);
      let caught = false;
      void (async () => {
        // Again and again: closing does not wait for long.
        while (!caught) {
          await lost.order({ do: 'close', untilMs: target });
          await lost.order({ do: 'refresh' });
        }
      })();
      await until(async () => (await world.sql.query(place.caught)).rows[0].so).finally(() => {
        caught = true;
      });
      const resume = signal === 'SIGSTOP' ? await lost.freeze() : await lost.kill();
      await holder.query('commit');
      await holder.end();

      const started = Date.now();
      while (!(await finished(target))) {
        expect(Date.now() - started, 'ms').toBeLessThan(30_000);
        await other.order({ do: 'close', untilMs: target });
        await other.order({ do: 'refresh' });
      }
      const done = await traces();
      expect(done.closings).toBe(before.closings + 1);
      expect(done.messages).toBe(before.messages + WINDOWS);

      resume?.();
      await lost.up();
      await lost.order({ do: 'close', untilMs: target });
      await lost.order({ do: 'refresh' });
      expect(await traces()).toEqual({ ...done, updated_at: expect.anything() });
      const range = `from=${new Date(base).toISOString()}&to=${new Date(target).toISOString()}`;
      const { body } = (await other.call('GET', `/v1/windows?${range}`, tenant.key))!;
      expect(body.data).toHaveLength(WINDOWS);
      for (const window of body.data) {
        expect(window).toMatchObject({
          state: 'closed',
          revision: 0,
          aggregations: { totalCalls: 50 / WINDOWS },
        });
      }
      const daily = (await other.call('GET', `/v1/usage?${range}&granularity=1d`, tenant.key))!;
      expect(daily.body.data.reduce((sum: number, { calls }: { calls: number }) => sum + calls, 0)).toBe(50);
      const { rows } = await world.sql.query(
        `select count(*)::int as n, count(distinct payload->>'windowStart')::int as windows from outbox
       where (payload->>'windowStart')::timestamptz >= $1`,
        [new Date(base)],
      );
      expect(rows[0]).toEqual({ n: WINDOWS, windows: WINDOWS });
    },
  );
});
