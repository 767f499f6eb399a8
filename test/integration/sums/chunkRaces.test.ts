import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeChunks } from '../../support/chunks.ts';
import { CLOSED_BY_HAND, closedUntil, closeUpTo } from '../../support/closing.ts';
import { describeEngine } from '../../support/database.ts';
import { Gate } from '../../support/gate.ts';
import { insisting } from '../../support/insisting.ts';
import { READS, type Read } from '../../support/reads.ts';
import { startServiceOn, startTestService, type TestService, until } from '../../support/service.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const WINDOW = 30_000;

/** Stored of each tenant before a race begins. */
const BEFORE = 4;

const iso = (ms: number) => new Date(ms).toISOString();
const at = (ms: number): ClientEvent =>
  anEvent({ timestamp: iso(ms), eventType: 'positive', reference: 'order-1', value: '1' });

/** A service whose chunks of events are hours, with a gate before them. */
class Site {
  readonly t: TestService;
  readonly gate: Gate;
  /** Another instance, which writes columns whatever a batch has; the first one writes rows. */
  private readonly columns: TestService;

  private constructor(t: TestService, columns: TestService, gate: Gate) {
    this.t = t;
    this.columns = columns;
    this.gate = gate;
  }

  static async make(): Promise<Site> {
    const t = await startTestService({ ...CLOSED_BY_HAND, INGEST_COLUMNS_FROM_ROWS: '0' });
    if (t.database.engine === 'timescale') {
      await t.sql.query(`select set_chunk_time_interval('event', interval '1 hour')`);
    }
    const columns = await startServiceOn(t.database, { ...CLOSED_BY_HAND, INGEST_COLUMNS_FROM_ROWS: '1' });
    return new Site(t, columns, await Gate.build(t.sql, t.database.url));
  }

  async end(): Promise<void> {
    await this.gate.end();
    await this.columns.service.close();
    await this.columns.sql.end();
    await this.t.stop();
  }

  async post(key: string, ...moments: number[]): Promise<void> {
    const { status, body } = await this.t.call('POST', '/v1/events', { key, body: moments.map(at) });
    expect(status, JSON.stringify(body)).toBe(200);
  }

  /** The same as columns. Two at least. */
  async postColumns(key: string, ...moments: number[]): Promise<void> {
    const { status, body } = await this.columns.call('POST', '/v1/events', { key, body: moments.map(at) });
    expect(status, JSON.stringify(body)).toBe(200);
  }

  /** Makes a chunk without an event. */
  async makeChunk(ms: number): Promise<void> {
    await makeChunks(this.t.sql, ms);
  }

  /** Has the instance that writes columns ask which chunks there are before its next batch. @param ms of no chunk. */
  async learnChunks(ms: number): Promise<void> {
    await this.postColumns((await this.t.tenant()).key, ms, ms); // lacks a chunk
    await sleep(110);
  }

  /** How the events of a moment are stored: `state` of retention_chunk. */
  async stateAt(ms: number): Promise<number> {
    const { rows } = await this.t.sql.query(
      `select state from retention_chunk where relation = 'event' and $1 >= range_start and $1 < range_end`,
      [new Date(ms)],
    );
    return rows[0].state;
  }

  /** Nothing is left to be brought into the rollups and the activity. */
  async refreshed(): Promise<void> {
    await until(async () => {
      const { rows } = await this.t.sql.query(
        `select from window_state, window_coverage where closed_until > refreshed_30s or closed_until > covered_until
         union all select from late_window where stale or activity_revision < revision
           or stale_references and bucket < (select refreshed_1d from window_state)`,
      );
      return rows.length === 0;
    });
  }

  /** Packs the chunk of a moment. */
  async pack(ms: number): Promise<void> {
    await insisting(() =>
      this.t.sql.query(
        `select compress_chunk(chunk::regclass) from retention_chunk
         where relation = 'event' and $1 >= range_start and $1 < range_end`,
        [new Date(ms)],
      ),
    );
  }

  /** Closes the window of a moment, and waits for what comes of it. */
  async close(ms: number): Promise<void> {
    const end = Math.floor(ms / WINDOW) * WINDOW + WINDOW;
    await closeUpTo(this.t.sql, end);
    await until(async () => {
      const { rows } = await this.t.sql.query(
        'select from window_announcement, window_coverage where least(announced_until, covered_until) < $1',
        [iso(end)],
      );
      return rows.length === 0;
    });
  }

  async subscribe(id: string, ...types: string[]): Promise<void> {
    await this.t.sql.query(
      `insert into subscription (tenant_id, message_types, stream) values ($1, $2, 'messages')`,
      [id, types],
    );
  }

  /** Revision and calls of each message of a tenant, in the order in which they were written. */
  async told(id: string): Promise<[revision: number, calls: number][]> {
    const { rows } = await this.t.sql.query('select payload from outbox where tenant_id = $1 order by id', [
      id,
    ]);
    return rows.map(({ payload }) => [payload.revision, payload.aggregations.totalCalls]);
  }
}

/*
 * What TimescaleDB has planned lacks the chunks that come after, and the rows beside the columns of a chunk that had
 * none. Here a batch comes at just that moment: it writes where the plan looks and where it does not, and every read
 * has to show both of its events or neither (docs/adr/0025).
 */
describeEngine('a batch that comes while a read is planned', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.make();
  });
  afterAll(() => site.end());

  /** One read at the gate while a batch is written. */
  const race = async (
    { path, shown }: Read,
    key: string,
    range: { from: number; to: number },
    batch: number[],
    post: 'post' | 'postColumns' = 'post',
  ) => {
    const read = async () => {
      const { status, body } = await site.t.call('GET', path(iso(range.from), iso(range.to)), { key });
      expect(status, JSON.stringify(body)).toBe(200);
      return shown(body);
    };
    expect(await read()).toBe(BEFORE);
    const seen = await site.gate.hold('tenant_data', read, () => site[post](key, ...batch));
    expect([BEFORE, BEFORE + 2]).toContain(seen);
    expect(await read()).toBe(BEFORE + 2);
  };

  let ahead = 1;
  let behind = 0;
  /** A moment ten seconds into an hour that nobody has written to: with it comes a chunk. */
  const newHour = (direction: 'ahead' | 'behind') => {
    const hour = Math.floor(Date.now() / HOUR) * HOUR;
    return (direction === 'ahead' ? hour + ++ahead * HOUR : hour - (48 + ++behind) * HOUR) + 10_000;
  };
  describe.each(Object.entries(READS))('%s', (_, read) => {
    const between = (from: number, to: number) =>
      read.edges ? { from: from - 5_000, to: to + 10_000 } : { from: from - 10_000, to: to + HOUR };

    it('and makes a chunk for what is ahead', async (context) => {
      context.skip(site.t.database.engine !== 'timescale', 'chunks are TimescaleDB');
      const { key } = await site.t.tenant();
      const now = Math.floor(Date.now() / MINUTE) * MINUTE;
      const next = newHour('ahead');
      await site.post(key, now, now, now, now);
      await race(read, key, { from: now - HOUR, to: next + HOUR }, [now, next]);
    });

    it('and makes a chunk for what is late', async (context) => {
      context.skip(site.t.database.engine !== 'timescale', 'chunks are TimescaleDB');
      const { key } = await site.t.tenant();
      const [first, second] = [newHour('behind'), newHour('behind')];
      await site.post(key, first, first, first, first);
      await site.refreshed();
      await race(read, key, between(second, first), [first, second]);
    });

    it('and is the first in a packed chunk', async (context) => {
      context.skip(site.t.database.engine !== 'timescale', 'chunks are TimescaleDB');
      const { key } = await site.t.tenant();
      const [first, second] = [newHour('behind'), newHour('behind')];
      await site.post(key, first, first, second, second);
      await site.refreshed();
      await site.pack(second);
      await race(read, key, between(second, first), [first, second]);
    });

    it('and brings the first columns beside rows', async (context) => {
      context.skip(site.t.database.engine !== 'timescale', 'chunks are TimescaleDB');
      const { key } = await site.t.tenant();
      const [first, second] = [newHour('behind'), newHour('behind')];
      await site.post(key, first, first, second, second);
      await site.learnChunks(newHour('behind'));
      await site.refreshed();
      expect(await site.stateAt(second)).toBe(0);
      await race(read, key, between(second, first), [first, second], 'postColumns');
      expect(await site.stateAt(second)).toBe(3);
    });

    it('and brings the first rows beside columns', async (context) => {
      context.skip(site.t.database.engine !== 'timescale', 'chunks are TimescaleDB');
      const { key } = await site.t.tenant();
      const [first, second] = [newHour('behind'), newHour('behind')];
      await site.post(key, first, first);
      await site.makeChunk(second);
      await site.learnChunks(newHour('behind'));
      await site.postColumns(key, second, second);
      await site.refreshed();
      expect(await site.stateAt(second)).toBe(3);
      await race(read, key, between(second, first), [first, second]);
    });
  });
});

describeEngine('a late batch that comes while messages are planned', () => {
  let site: Site;
  beforeAll(async () => {
    site = await Site.make();
  });
  afterAll(() => site.end());

  it.each([
    ['makes a chunk', false],
    ['is the first in a packed chunk', true],
  ])('is waited for by the next one, whose message has both: %s', async (_, packed) => {
    if (site.t.database.engine !== 'timescale') return;
    const { id, key } = await site.t.tenant();
    await site.subscribe(id, 'window.revised');
    const ms = Math.floor(Date.now() / HOUR) * HOUR - (packed ? 50 : 60) * HOUR + 10_000;
    if (packed) {
      await site.post(key, ms);
      await site.refreshed();
      await site.pack(ms);
    }
    const first = new pg.Client(site.t.database.url);
    await first.connect();
    try {
      await first.query('begin');
      await first.query(
        `insert into event (tenant_id, customer_id, event_id, ts, event_type)
         values ($1, 'customer-1', gen_random_uuid(), $2, 'positive')`,
        [id, iso(ms)],
      );
      const window = {
        bucket: iso(ms - 10_000),
        tenant_id: id,
        customer_id: 'customer-1',
        references: false,
      };
      await first.query('select mark_late_windows($1)', [JSON.stringify([window])]);
      const second = site.post(key, ms);
      second.catch(() => undefined);
      await until(async () => {
        const { rows } = await site.t.sql.query(
          `select from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock' and application_name = 'tidemark ingest'`,
        );
        return rows.length > 0;
      });
      await first.query('commit');
      await second;
    } finally {
      await first.end();
    }
    const revisions = packed ? [1, 2, 3] : [1, 2];
    expect(await site.told(id)).toEqual(revisions.map((revision) => [revision, revision]));
  });

  /** In the next of the windows that are to be closed, which is announced and covered with its first step. */
  const next = async () => (await closedUntil(site.t.sql)) + WINDOW + 10_000;

  it('is wholly in the message that its window has closed, or in that of its revision', async () => {
    if (site.t.database.engine !== 'timescale') return;
    const { id, key } = await site.t.tenant();
    await site.subscribe(id, 'window.closed', 'window.revised');
    const ms = await next();
    await site.post(key, ms);
    await site.pack(ms);
    await site.gate.hold(
      'announce_closed_windows',
      () => site.close(ms),
      () => site.post(key, ms),
    );
    const told = await site.told(id);
    expect(told).toContainEqual([1, 2]);
    for (const [revision, calls] of told) expect(calls).toBe(revision + 1);
  });

  it('is brought into the activity wholly, or as a change', async () => {
    if (site.t.database.engine !== 'timescale') return;
    const { key } = await site.t.tenant();
    const ms = await next();
    await site.post(key, ms);
    await site.pack(ms);
    await site.gate.hold(
      'cover_activity',
      () => site.close(ms),
      () => site.post(key, ms),
    );
    await site.refreshed();
    const { path, shown } = READS['hourly summaries']!;
    const hour = Math.floor(ms / HOUR) * HOUR;
    const { body } = await site.t.call('GET', path(iso(hour), iso(hour + HOUR)), { key });
    expect(shown(body)).toBe(2);
  });
});
