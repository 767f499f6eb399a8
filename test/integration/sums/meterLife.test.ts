import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, inject, it } from 'vitest';
import { FillPace } from '../../../src/sums/meters/keeping/fillPace.ts';
import { fillSeries } from '../../../src/sums/meters/keeping/fillSeries.ts';
import { foldMeters, settleMembers } from '../../../src/sums/meters/keeping/foldMeters.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { insisting } from '../../support/insisting.ts';
import {
  type ByHand,
  type MeteredEvent,
  makeMeter,
  sumsByHand,
  sumsKept,
  upkeepRests,
} from '../../support/meterSums.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';

const HOUR = 3_600_000;
const DAY = 86_400_000;
const iso = (ms: number) => new Date(ms).toISOString();
const EVER = { from: Date.UTC(2000), until: Date.UTC(2100) };

const DEFINITION = { aggregation: 'sum', value: '$.size', dimensions: { zone: '$.zone' } } as const;
const byHand: ByHand = ({ metadata }) => ({ dims: [String(metadata.zone)], value: String(metadata.size) });
const SET = { aggregation: 'uniqueCount', value: '$.size' } as const;
const setByHand: ByHand = ({ metadata }) => ({ dims: [], member: String(metadata.size) });

describeEngine('the life of meters', () => {
  let t: TestService;
  afterEach(() => t.stop());

  const post = async (key: string, body: MeteredEvent[]) => {
    const answer = await t.call('POST', '/v1/events', { key, body });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  };
  let sizes = 0;
  const anEventAt = (ms: number, customerId = 'ann'): MeteredEvent => ({
    eventId: randomUUID(),
    timestamp: iso(ms),
    customerId,
    eventType: 'upload',
    metadata: { size: ++sizes, zone: sizes % 2 },
  });

  it('is as long as that of usage, and what is left answers as before', async () => {
    t = await startTestService();
    const tenant = await t.tenant();
    const id = await makeMeter(t.sql, tenant.id, 'size', DEFINITION);
    const today = Math.floor(Date.now() / DAY) * DAY;
    const events = [1, 4, 6, 8, 10, 12, 15, 19].map((days) => anEventAt(today - days * DAY + HOUR));
    await post(tenant.key, events);
    const waiting = async () => {
      const { rows } = await t.sql.query(
        `select (select count(*)::int from meter_part) as parts,
           (select count(*)::int from meter_series where filled_from > fill_floor) as filling`,
      );
      return rows[0].parts + rows[0].filling;
    };
    await until(async () => (await waiting()) === 0);
    for (const level of ['30s', '1h', '1d'] as const) {
      expect(await sumsKept(t.sql, `meter_${level}`, id, EVER)).toEqual(
        sumsByHand(events, byHand, level, EVER),
      );
    }
    await t.service.close();
    const next = await startServiceOn(
      t.database,
      {
        ACCEPT_BEHIND_DAYS: '3',
        EVENT_RETENTION_DAYS: '5',
        USAGE_30S_RETENTION_DAYS: '7',
        USAGE_1H_RETENTION_DAYS: '11',
        USAGE_1D_RETENTION_DAYS: '40',
        COLUMNSTORE_AFTER_DAYS: '0',
      },
      { configure: ({ retention }) => Object.assign(retention, { intervalMs: 50, removeAfterMs: 0 }) },
    );
    await t.sql.end();
    t = { ...next, tenant: t.tenant, database: t.database };
    await until(async () => {
      const { rows } = await t.sql.query(
        `select count(*)::int as kept from retention
         where relation in ('event', 'meter_30s', 'meter_1h', 'meter_1d') and removed_to >= kept_from and kept_from > '-infinity'`,
      );
      return rows[0].kept === 4;
    });
    for (const [level, days] of [
      ['30s', 7],
      ['1h', 11],
      ['1d', 40],
    ] as const) {
      const range = { ...EVER, from: today - days * DAY };
      const kept = await t.sql.query('select kept_from from retention where relation = $1', [
        `meter_${level}`,
      ]);
      expect(kept.rows[0].kept_from.getTime()).toBe(range.from);
      expect(await sumsKept(t.sql, `meter_${level}`, id, range)).toEqual(
        sumsByHand(events, byHand, level, range),
      );
      if (t.database.engine === 'timescale') continue; // chunks go once all in them is old
      const older = await t.sql.query(`select from meter_${level} where bucket < $1`, [iso(range.from)]);
      expect(older.rowCount, level).toBe(0);
    }
    const gone = await t.sql.query(`select from meter_30s where bucket < $1`, [iso(today - 9 * DAY)]);
    expect(gone.rowCount).toBe(0);
  });

  it('outlasts no event that a fill still needs', async () => {
    t = await startTestService({ ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '60000' });
    await upkeepRests(t.sql);
    const tenant = await t.tenant();
    const today = Math.floor(Date.now() / DAY) * DAY;
    await post(tenant.key, [anEventAt(today - 20 * DAY)]);
    const id = await makeMeter(t.sql, tenant.id, 'size', DEFINITION);
    await t.sql.query(
      `update window_coverage set covered_until = now(); update window_announcement set announced_until = now();
       update late_window set stale = false, stale_references = false, activity_revision = revision;
       update window_state set refreshed_30s = now(), refreshed_1h = now(), refreshed_1d = now();
       update retention set keep = interval '5 days' where relation in ('event', 'meter_30s')`,
    );
    if (t.database.engine === 'postgres') await t.sql.query('update usage_fold set folded_until = now()');
    const settled = async () =>
      (await t.sql.query('select settled_before($1) as settled', [iso(today - 5 * DAY)])).rows[0].settled;
    expect(await settled()).toBe(false);
    await t.sql.query(`update meter_series set filled_from = '-infinity' where id = $1`, [id]);
    expect(await settled()).toBe(true);
  });

  it('says to where it is being filled: the day of the oldest event of its own tenant', async () => {
    t = await startTestService({ ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '60000' });
    await upkeepRests(t.sql);
    const [tenant, other] = [await t.tenant(), await t.tenant()];
    const today = Math.floor(Date.now() / DAY) * DAY;
    await makeMeter(t.sql, tenant.id, 'size', DEFINITION);
    const [meter] = (await t.call('GET', '/v1/meters', { key: tenant.key })).body.data;
    await t.sql.query(
      `update meter_series set filled_from = now(), fill_floor = '-infinity' where tenant_id = $1`,
      [tenant.id],
    );
    const goal = async () =>
      (await t.call('GET', `/v1/meters/${meter.slug}`, { key: tenant.key })).body.fill.goal;
    const goalWithoutCoverage = async () => {
      await t.sql.query(`update window_coverage set covered_from = now()`);
      const told = await goal();
      await t.sql.query(`update window_coverage set covered_from = '-infinity'`);
      return told;
    };
    const cover = () => t.sql.query(`select cover_activity('1 hour', 1000)`);
    const day = (days: number) => new Date(today - days * DAY).toISOString();

    expect(await goal()).toBeNull();
    await post(other.key, [anEventAt(today - 20 * DAY)]);
    await post(tenant.key, [anEventAt(Date.now())]); // in no window that has closed
    expect(Date.parse(await goal())).toBe(Date.parse(day(0)));
    await post(tenant.key, [anEventAt(today - 3 * DAY + HOUR)]);
    await cover();
    expect(Date.parse(await goal())).toBe(Date.parse(day(3)));
    expect(await goalWithoutCoverage()).toBe(await goal());
    await post(tenant.key, [anEventAt(today - 9 * DAY + HOUR)]); // late, and not covered yet
    expect(Date.parse(await goal())).toBe(Date.parse(day(9)));
    expect(await goalWithoutCoverage()).toBe(await goal());
    await cover();
    expect(Date.parse(await goal())).toBe(Date.parse(day(9)));
  });

  describe.runIf(inject('engine') === 'timescale')('in columns', () => {
    it('takes late events, fills and settled members as before', async () => {
      t = await startTestService({ ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '60000' });
      await upkeepRests(t.sql);
      const tenant = await t.tenant();
      const closed = await closedUntil(t.sql);
      const id = await makeMeter(t.sql, tenant.id, 'size', DEFINITION);
      const events = Array.from({ length: 200 }, (_, i) =>
        anEventAt(closed - 12 * DAY + i * 20_000, `c${i % 7}`),
      );
      await post(tenant.key, events.slice(0, 150));
      const client = await t.sql.connect();
      try {
        const signal = new AbortController().signal;
        const keep = async () => {
          while (await fillSeries(client, 'timescale', new FillPace(), signal));
          while ((await foldMeters(client, 'timescale'))?.more);
          while (await settleMembers(client, 'timescale'));
        };
        const pack = () =>
          insisting(() =>
            client.query(
              `select count(compress_chunk(chunk::regclass, if_not_compressed => true)) from retention_chunk
               where relation in ('meter_30s', 'meter_1h') and range_end < now()`,
            ),
          );
        await closeUpTo(t.sql, closed + HOUR);
        await keep();
        await pack();
        const { rows } = await client.query(
          `select distinct relation, state from retention_chunk where relation like 'meter%' order by 1`,
        );
        expect(rows).toEqual([
          { relation: 'meter_1d', state: 0 },
          { relation: 'meter_1h', state: 1 },
          { relation: 'meter_30s', state: 1 },
        ]);
        await post(tenant.key, events.slice(100)); // late, some of them known
        const set = await makeMeter(t.sql, tenant.id, 'set', SET);
        await keep();
        await pack();
        for (const level of ['30s', '1h', '1d'] as const) {
          const kept = (series: number) => sumsKept(t.sql, `meter_${level}`, series, EVER);
          expect(await kept(id), level).toEqual(sumsByHand(events, byHand, level, EVER));
          expect(await kept(set), level).toEqual(sumsByHand(events, setByHand, level, EVER));
        }
      } finally {
        client.release();
      }
    });
  });
});
