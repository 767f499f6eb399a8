import pg from 'pg';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { connectionSettings, connectRefresher } from '../../../src/ground/db/connections.ts';
import { gaveWay } from '../../../src/ground/db/sqlstate.ts';
import { createLogger } from '../../../src/ground/telemetry/logger.ts';
import { chunksDue, compressChunk } from '../../../src/sums/retention/compressChunks.ts';
import { Refresher } from '../../../src/sums/windows/refresher.ts';
import { refreshRollup } from '../../../src/sums/windows/refreshRollup.ts';
import { WindowMetrics } from '../../../src/sums/windows/windowMetrics.ts';
import { CLOSED_BY_HAND } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { startTestService, type TestService } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const DAY = 86_400_000;
const DAYS = 25;
const ROUNDS = 12;
const iso = (ms: number) => new Date(ms).toISOString();

describe.runIf(inject('engine') === 'timescale')('on timescale', () => {
  describeEngine('packing that meets refreshing', () => {
    let t: TestService;
    let tenant: { id: string; key: string };
    const start = Math.floor(Date.now() / DAY) * DAY - (DAYS + 1) * DAY;
    beforeAll(async () => {
      t = await startTestService({
        ...CLOSED_BY_HAND,
        CLOSER_INTERVAL_MS: '60000',
        COLUMNSTORE_AFTER_DAYS: '1',
      });
      tenant = await t.tenant();
    });
    afterAll(() => t.stop());

    const post = async (perDay: number) => {
      const body = Array.from({ length: DAYS * perDay }, (_, i) =>
        anEvent({ timestamp: iso(start + i * (DAY / perDay)), customerId: `c${i % 7}` }),
      );
      expect((await t.call('POST', '/v1/events', { key: tenant.key, body })).body.accepted).toBe(body.length);
    };
    const refresher = () => {
      const log = createLogger({ logLevel: 'silent' });
      return new Refresher({
        ...{ config: t.config.windows, engine: 'timescale', metrics: new WindowMetrics(new Registry()), log },
        connect: () =>
          connectRefresher(connectionSettings(t.database.url, t.config.database, 'refresher'), log),
      });
    };
    const stale = async () => {
      const { rows } = await t.sql.query('select count(*)::int as n from late_window where stale');
      return rows[0].n;
    };

    it('leaves chunks of summaries that are about to be made anew until that is done', async () => {
      await post(10);
      const relationsDue = async () => {
        const { rows } = await t.sql.query(
          'select distinct relation from retention_chunk where chunk = any ($1) order by 1',
          [(await chunksDue(t.sql)).map(({ chunk }) => chunk)],
        );
        return rows.map(({ relation }) => relation);
      };
      const made = refresher();
      await made.step();
      expect(await stale()).toBe(0);
      expect(await relationsDue()).toEqual(['event', 'usage_1h', 'usage_30s']);
      await post(10);
      expect(await stale()).toBeGreaterThan(0);
      expect(await relationsDue()).toEqual(['event']);
      await made.stop();
    });

    it('fails with nothing but what is tried again, and every number is right in the end', async () => {
      const made = refresher();
      const packer = new pg.Client(t.database.url);
      await packer.connect();
      const codes = new Set<string>();
      const note = (error: unknown) => {
        if (!gaveWay(error)) throw error;
        codes.add((error as { code: string }).code);
      };
      // Whatever is due and not: the two meet as often as they can.
      const chunks = await t.sql.query(
        `select chunk, false as unordered from retention_chunk where relation like 'usage%' and relation <> 'usage_1d' order by range_end desc`,
      );
      const refreshing = (async () => {
        const client = new pg.Client(t.database.url);
        await client.connect();
        for (let round = 0; round < ROUNDS; round++) {
          for (const rollup of ['usage_30s', 'usage_1h'] as const) {
            await refreshRollup(client, rollup, iso(start), iso(start + DAYS * DAY), 'distrusted').catch(
              note,
            );
          }
          await post(3);
          await made.step().catch(note);
        }
        await client.end();
      })();
      const packing = (async () => {
        for (let round = 0; round < ROUNDS; round++)
          for (const chunk of chunks.rows)
            await compressChunk(packer, t.sql, chunk, new AbortController().signal).catch(note);
      })();
      await Promise.all([refreshing, packing]);
      await packer.end();
      do await made.step();
      while ((await stale()) > 0);
      await made.stop();

      const { rows } = await t.sql.query(
        `select (select count(*)::int from event) as events,
           (select sum(calls)::int from usage_30s) as windows, (select sum(calls)::int from usage_1h) as hours,
           (select sum(calls)::int from usage_1d) as days`,
      );
      const { events, ...sums } = rows[0];
      expect(sums, [...codes].join(' ')).toEqual({ windows: events, hours: events, days: events });
    });
  });
});
