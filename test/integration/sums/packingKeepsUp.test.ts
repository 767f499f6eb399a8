import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectionSettings, connectRefresher } from '../../../src/ground/db/connections.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { Refresher } from '../../../src/sums/windows/refresher.ts';
import { WindowMetrics } from '../../../src/sums/windows/windowMetrics.ts';
import { CLOSED_BY_HAND } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const DAY = 86_400_000;

/*
 * Thousands of small chunks that are packed one after another, as an import of years leaves them: each is done before
 * activity is brought up to date, which then has to begin again. Played by a function that says so.
 */
describe.runIf(inject('engine') === 'timescale')('on timescale', () => {
  describeEngine('chunks that are packed faster than activity is covered', () => {
    let t: TestService;
    let key: string;
    beforeAll(async () => {
      t = await startTestService({ ...CLOSED_BY_HAND, CLOSER_INTERVAL_MS: '60000' });
      ({ key } = await t.tenant());
    });
    afterAll(() => t?.stop());

    /** @param most changed windows that are covered before the next chunk is packed. */
    async function packing(most: number) {
      await t.sql.query(`
        create or replace function cover_activity(step interval, most integer, out windows bigint, out more boolean)
        language plpgsql as $$
        begin
          if most > ${most} then raise exception 'packed' using errcode = 'TM006'; end if;
          windows := 0;
          more := false;
        end $$`);
    }
    async function step(daysAgo: number): Promise<number> {
      const timestamp = new Date(Date.now() - daysAgo * DAY).toISOString();
      expect((await t.call('POST', '/v1/events', { key, body: anEvent({ timestamp }) })).status).toBe(200);
      const log = createLogger({ logLevel: 'silent' });
      const refresher = new Refresher({
        ...{ config: t.config.windows, engine: 'timescale', metrics: new WindowMetrics(new Registry()), log },
        connect: () =>
          connectRefresher(connectionSettings(t.database.url, t.config.database, 'refresher'), log),
      });
      return refresher.step().finally(() => refresher.stop());
    }
    const stale = async () => {
      const { rows } = await t.sql.query('select count(*)::int as n from late_window where stale');
      return rows[0].n;
    };

    it('less is covered at a time', async () => {
      for (const most of [3, 0]) {
        await packing(most);
        await step(5 + most);
        expect(await stale()).toBe(0);
      }
    });

    it('late windows are refreshed all the same, and what has closed is tried again', async () => {
      await packing(-1);
      await expect(step(10)).rejects.toMatchObject({ code: 'TM006' });
      expect(await stale()).toBe(0);
    });
  });
});
