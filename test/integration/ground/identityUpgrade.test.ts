import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import pg from 'pg';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createKey } from '../../../src/access/tenancy/keys.ts';
import { migrate } from '../../../src/ground/db/migrate.ts';
import { MIGRATIONS } from '../../../src/ground/db/schemaState.ts';
import { CopyTransaction } from '../../../src/intake/ingest/copyTransaction.ts';
import { createEmptyDatabase, describeEngine, type TestDatabase } from '../../support/database.ts';
import { PreviousVersion } from '../../support/previousVersion.ts';
import { startServiceOn, type TestService, until } from '../../support/service.ts';
import { IDENTITIES, storedEvents } from '../../support/storedEvents.ts';
import { anEvent, type ClientEvent } from '../../support/traffic.ts';

const DAY = 86_400_000;
const TENANT = 'old';
/** Writers look this often whether everything has been moved (identities.ts), in ms. */
const LOOK_EVERY_MS = 10_000;

/** Migrations of the last version that had who has been counted in event_identity. */
const BEFORE_KEYS = (await readdir(MIGRATIONS)).filter(
  (name) => /^\d.*\.js$/.test(name) && name < '0026',
).length;

const iso = (ms: number) => new Date(ms).toISOString();
const several = (count: number) => Array.from({ length: count }, () => anEvent());

describeEngine('ids counted by the version before event_key', () => {
  let database: TestDatabase;
  let previous: PreviousVersion;
  let old: ClientEvent[][];
  let expired: ClientEvent[];
  const opened: pg.Client[] = [];
  const services: TestService[] = [];
  beforeEach(async () => {
    database = await createEmptyDatabase();
    previous = await PreviousVersion.install(database.url, Date.now() - DAY, BEFORE_KEYS);
    await previous.client.query(`insert into tenant (id, name) values ($1, 'Old'), ('other', 'Other')`, [
      TENANT,
    ]);
    old = Array.from({ length: 6 }, () => several(500));
    for (const [i, events] of old.entries()) {
      await previous.write(TENANT, events);
      await age(events, `${i * 5} days`);
    }
    expired = several(200);
    await previous.write(TENANT, expired);
    await age(expired, '36 days');
  });
  afterEach(async () => {
    await Promise.all(services.splice(0).map(({ service, sql }) => service.close().then(() => sql.end())));
    await Promise.all([...opened.splice(0), previous].map((client) => client.end().catch(() => undefined)));
    await database.drop();
  });

  const age = (events: ClientEvent[], by: string) =>
    previous.client.query(
      'update event_identity set received_at = received_at - $2::interval where event_id = any ($1::uuid[])',
      [events.map(({ eventId }) => eventId), by],
    );
  async function open(): Promise<pg.Client> {
    const client = new pg.Client(database.url);
    client.on('error', () => undefined);
    await client.connect();
    opened.push(client);
    return client;
  }
  /** As if another instance were moving ids, and had stopped in the midst of it. */
  async function holdMove(): Promise<pg.Client> {
    const holder = await open();
    await holder.query(`begin; select pg_advisory_xact_lock(hashtext('tidemark.identity_move'))`);
    return holder;
  }
  async function upgrade(): Promise<string[]> {
    return migrate(await open());
  }
  async function serve() {
    const t = await startServiceOn(database);
    services.push(t);
    const { key } = await createKey(t.sql, { tenantId: TENANT, scopes: ['ingest', 'read'] });
    const { key: other } = await createKey(t.sql, { tenantId: 'other', scopes: ['ingest', 'read'] });
    const post = async (events: ClientEvent[], by = key) => {
      const { status, body } = await t.call('POST', '/v1/events', { key: by, body: events });
      expect(status, JSON.stringify(body)).toBe(200);
      return [body.accepted, body.duplicates];
    };
    return { ...t, key, other, post };
  }
  const state = async (db: pg.Client | pg.Pool) =>
    (
      await db.query(
        `select (select count(*)::int from event_identity) as old, (select count(*)::int from counted_key) as keys,
           finished_at is not null as finished from identity_move`,
      )
    ).rows[0];
  const step = async (db: pg.Client | pg.Pool, pages: number) =>
    (await db.query('select moved::int, more from move_identities($1)', [pages])).rows[0];
  /** Whether a step of those that finish has given the old table's pages back. */
  const emptied = async (db: pg.Pool) => {
    await step(db, 1);
    return (await db.query(`select pg_relation_size('event_identity') as bytes`)).rows[0].bytes === '0';
  };

  it('are duplicates before, while and after they are moved, for as long as they would have been', async () => {
    const ages = await previous.client.query('select event_id as id, received_at from event_identity');
    await upgrade();
    const holder = await holdMove();
    const t = await serve();
    expect(await state(t.sql)).toEqual({ old: 3_200, keys: 0, finished: false });

    // Before: by themselves, beside new ones, and where only some of a request are known. Another tenant's are its own.
    expect(await t.post(old[0]!.slice(0, 100))).toEqual([0, 100]);
    const first = several(50);
    expect(await t.post([...first, ...old[1]!.slice(0, 50)])).toEqual([50, 50]);
    expect(await t.post(first)).toEqual([0, 50]);
    expect(await t.post(old[2]!.slice(0, 10), t.other)).toEqual([10, 0]);
    expect(await t.post(old[2]!.slice(0, 10), t.other)).toEqual([0, 10]);
    const known = async (events: ClientEvent[]) =>
      (
        await t.sql.query(
          'select count(*)::int as n from unnest($2::uuid[]) as id where known_event($1, id)',
          [TENANT, events.map(({ eventId }) => eventId)],
        )
      ).rows[0].n;
    expect(await known([...old.flat(), ...first, anEvent()])).toBe(3_050);

    // While: steps of few pages, one of them broken off.
    await holder.query('rollback');
    const mover = await open();
    expect(await step(mover, 5)).toMatchObject({ more: true });
    const half = await state(t.sql);
    expect(half).toMatchObject({ finished: false });
    expect(half.old).toBeLessThan(3_200);
    expect(half.old).toBeGreaterThan(1_000);
    await mover.query('begin');
    expect((await step(mover, 5)).moved).toBeGreaterThan(0);
    const { rows } = await mover.query('select pg_backend_pid() as pid');
    await t.sql.query('select pg_terminate_backend($1, 5000)', [rows[0].pid]);
    expect(await state(t.sql)).toEqual(half);

    // What is being moved is known as before, without waiting for it.
    const slow = await open();
    await slow.query('begin');
    expect((await step(slow, 5)).moved).toBeGreaterThan(0);
    expect(await t.post([...several(20), ...old[3]!.slice(0, 20)])).toEqual([20, 20]);
    expect(await t.post(old.flat())).toEqual([0, 3_000]);
    await slow.query('commit');
    expect(await t.post(old.flat())).toEqual([0, 3_000]);
    expect(await known(old.flat())).toBe(3_000);

    // After: by the service that starts next.
    const second = await serve();
    await until(async () => (await state(t.sql)).finished);
    await until(() => emptied(t.sql));
    expect(await t.post(old.flat())).toEqual([0, 3_000]);
    expect(await second.post(old.flat().toReversed())).toEqual([0, 3_000]);
    expect(await second.post(first)).toEqual([0, 50]);
    expect(await known(old.flat())).toBe(3_000);
    // Nobody looks into the old table any more.
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    await t.post(several(1)); // which looks for the last time
    await t.sql.query('alter function refuse_unmoved(uuid[], text[]) rename to gone');
    expect(await t.post(several(3))).toEqual([3, 0]);
    expect(await second.post(old[5]!)).toEqual([0, 500]);

    // None is kept shorter than it would have been, or longer by more than a minute; what had expired has gone.
    const moved = await t.sql.query(
      `select count(*)::int as n, min(k.received_at - o.received_at) >= '0' as least,
         max(k.received_at - o.received_at) < '1 minute' as most
       from unnest($1::uuid[], $2::timestamptz[]) as o (id, received_at)
       join counted_key k on k.key = salted_identity(o.id, identity_salt($3))
       where o.received_at > now() - interval '35 days' and k.received_at < $4`,
      [
        ages.rows.map(({ id }) => id),
        ages.rows.map(({ received_at }) => received_at),
        TENANT,
        iso(Date.now() - 60_000),
      ],
    );
    expect(moved.rows[0]).toMatchObject({ least: true, most: true });
    expect(moved.rows[0].n).toBe(2_500); // all but today's
    expect(await known(expired)).toBe(0);
    const { rows: bytes } = await t.sql.query(
      `select count(*) * 7 > 2 * (select count(*) from event_key) as packed from counted_key`,
    );
    expect(bytes).toEqual([{ packed: true }]);
    expect((await storedEvents(t, TENANT)).size).toBe(3_200 + 50 + 20 + 4);
  });

  it('are counted once while retries and the move race', async () => {
    await upgrade();
    const holder = await holdMove();
    const [a, b] = [await serve(), await serve()];
    await holder.query('rollback');
    const mover = await open();
    const tally = { accepted: 0, duplicates: 0 };
    let moving = true;
    const move = (async () => {
      while (moving) {
        const more = await step(mover, 1).then(
          (result) => result.more,
          (error) => {
            expect(error.code).toMatch(/40P01|55P03/);
            return true;
          },
        );
        if (!more) break;
      }
    })();
    const fresh = Array.from({ length: 12 }, () => several(40));
    await Promise.all(
      fresh.map(async (events, i) => {
        for (let round = 0; round < 4; round++) {
          const body = [...events, ...old[(i + round) % 6]!.slice(i * 40, i * 40 + 40)];
          const [accepted, duplicates] = await [a, b][(i + round) % 2]!.post(body);
          tally.accepted += accepted;
          tally.duplicates += duplicates;
        }
      }),
    );
    moving = false;
    await move;
    expect(tally).toEqual({ accepted: 480, duplicates: 12 * 4 * 80 - 480 });
    const stored = await storedEvents(a, TENANT);
    expect(stored.size).toBe(3_200 + 480);
    expect([...stored.values()].every((n) => n === 1)).toBe(true);
    while ((await step(mover, 100)).more);
    const { rows } = await mover.query(`select ${IDENTITIES} as n`, [TENANT]);
    expect(rows[0].n).toBe(3_480 - 200); // those that have expired are events without an identity
  });

  it('and those of a writer that is still of that version: each knows what the other has counted', async () => {
    await upgrade();
    const t = await serve();
    const writer = await open();
    await writer.query('set role tidemark_ingest');
    /** Its writer tries again where it waits in a circle with the move. */
    const again = async <Result>(work: () => Promise<Result>): Promise<Result> => {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          if ((error as pg.DatabaseError).code !== '40P01') throw error;
        }
      }
    };
    const copy = (...ids: string[]) =>
      again(async () => {
        const rows = Buffer.from(ids.map((id) => `${id}\t${TENANT}\n`).join(''));
        const head = Buffer.from([0x64, 0, 0, 0, 0]);
        head.writeInt32BE(rows.length + 4, 1);
        const transaction = new CopyTransaction(
          'copy event_identity (event_id, tenant_id) from stdin',
          Buffer.concat([head, rows, Buffer.from([0x63, 0, 0, 0, 4])]),
        );
        writer.query(transaction);
        await transaction.done;
      });
    const claim = (...ids: string[]) =>
      again(async () => {
        const { rows } = await writer.query<{ event_id: string }>(
          `insert into event_identity (event_id, tenant_id)
           select * from unnest($1::uuid[], $2::text[])
           on conflict do nothing
           returning event_id, tenant_id`,
          [ids, ids.map(() => TENANT)],
        );
        return rows.map(({ event_id }) => event_id);
      });

    const exchange = async () => {
      const theirs = several(4);
      const ours = several(4);
      const [one, two, three, four] = theirs.map(({ eventId }) => eventId) as [
        string,
        string,
        string,
        string,
      ];
      await copy(one, two);
      expect(await t.post(theirs.slice(0, 2))).toEqual([0, 2]);
      expect(await claim(one, three)).toEqual([three]);
      expect(await t.post([theirs[2]!, ...ours])).toEqual([4, 1]);
      await expect(copy(randomUUID(), ours[0]!.eventId)).rejects.toMatchObject({ code: '23505' });
      expect(await claim(...ours.map(({ eventId }) => eventId), four)).toEqual([four]);
      expect(await claim(old[0]![0]!.eventId)).toEqual([]);
      await expect(copy(old[0]![1]!.eventId)).rejects.toMatchObject({ code: '23505' });

      // One under way is waited for, in both directions.
      const shared = anEvent();
      await writer.query('begin');
      await copy(shared.eventId);
      const waiting = t.post([shared, anEvent()]);
      await until(async () => {
        const { rows } = await t.sql.query(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        );
        return rows.length > 0;
      });
      await writer.query('commit');
      expect(await waiting).toEqual([1, 1]);
    };
    await exchange();
    await until(async () => (await state(t.sql)).finished, 20_000);
    await exchange();
    // What it goes on putting there goes as well.
    await until(() => emptied(t.sql));
    await exchange();
  });

  it('cost nothing where there are none: a new database looks for none', async () => {
    const empty = await createEmptyDatabase();
    const client = new pg.Client(empty.url);
    await client.connect();
    try {
      await migrate(client);
      expect(await state(client)).toEqual({ old: 0, keys: 0, finished: true });
    } finally {
      await client.end();
      await empty.drop();
    }
  });
});
