import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { checkClosing } from '../../../src/faces/doctor/checks/closing.ts';
import { checkOutbox } from '../../../src/faces/doctor/checks/outbox.ts';
import { loadConfig } from '../../../src/ground/config/loadConfig.ts';
import type { Logger } from '../../../src/ground/telemetry/logger.ts';
import { HeldBack } from '../../../src/outbound/delivery/relay/heldBack.ts';
import { ClosedFrontier } from '../../../src/sums/windows/closedFrontier.ts';
import { Closer } from '../../../src/sums/windows/closer.ts';
import { WindowMetrics } from '../../../src/sums/windows/windowMetrics.ts';
import {
  createEmptyDatabase,
  createTestDatabase,
  describeEngine,
  type TestDatabase,
} from '../../support/database.ts';
import { FAST_DELIVERY, subscribe, writeMessages } from '../../support/messages.ts';
import { Receiver } from '../../support/receiver.ts';
import { startTestService, until } from '../../support/service.ts';
import { anEvent } from '../../support/traffic.ts';

const TENANT = 'held-back';

/** A session that stands still in a transaction, and what it has prepared. */
class Bystander {
  private readonly client: pg.Client;
  readonly prepared: string[] = [];

  private constructor(client: pg.Client) {
    this.client = client;
  }

  static async in(database: TestDatabase): Promise<Bystander> {
    const client = new pg.Client({ connectionString: database.url, application_name: 'bystander' });
    client.on('error', () => undefined);
    await client.connect();
    return new Bystander(client);
  }

  async does(...statements: string[]): Promise<void> {
    for (const statement of statements) await this.client.query(statement);
  }

  async prepares(): Promise<string> {
    const name = `tidemark ${randomBytes(6).toString('hex')}'s`;
    await this.client.query(`prepare transaction ${pg.escapeLiteral(name)}`);
    this.prepared.push(name);
    return name;
  }

  /** Ends whatever it has begun. */
  async leaves(): Promise<void> {
    await this.client.query('rollback');
    for (const name of this.prepared)
      await this.client.query(`rollback prepared ${pg.escapeLiteral(name)}`).catch(() => undefined);
    await this.client.end();
  }
}

const insert = (payload: string, customer = 'c') =>
  `insert into outbox (type, tenant_id, customer_id, payload) values ('usage.threshold', '${TENANT}', '${customer}', '"${payload}"')`;

describeEngine('what messages wait for', () => {
  let database: TestDatabase;
  let elsewhere: TestDatabase;
  let sql: pg.Pool;
  let bystanders: Bystander[] = [];
  const config = loadConfig({ TIDEMARK_PROFILE: 'test' });

  beforeAll(async () => {
    [database, elsewhere] = await Promise.all([createTestDatabase(), createEmptyDatabase()]);
    sql = new pg.Pool({ connectionString: database.url, max: 2 });
    await sql.query(`insert into tenant (id, name) values ('${TENANT}', 'held back')`);
    await sql.query('create table unrelated (n integer)');
    await subscribe(sql, TENANT, { stream: 'out' });
    const other = await Bystander.in(elsewhere);
    await other.does('create table unrelated (n integer)');
    await other.leaves();
  });
  beforeEach(() => sql.query('delete from outbox'));
  afterEach(async () => {
    for (const bystander of bystanders) await bystander.leaves();
    bystanders = [];
  });
  afterAll(async () => {
    await sql.end();
    await Promise.all([database.drop(), elsewhere.drop()]);
  });

  const needsPrepared = async (context: TestContext) => {
    const { rows } = await sql.query(`select current_setting('max_prepared_transactions')::int as most`);
    if (rows[0].most === 0) context.skip('this server has max_prepared_transactions = 0');
  };
  const someone = async (where = database) => {
    const bystander = await Bystander.in(where);
    bystanders.push(bystander);
    return bystander;
  };
  const message = (payload: string, customerId = 'c') =>
    writeMessages(sql, TENANT, [{ customerId, payload }]);
  /** What one look of the relay makes deliveries of, in their order. */
  const fannedOut = async (): Promise<string[]> => {
    await sql.query('select from fan_out_messages(500)');
    const { rows } = await sql.query(
      `with seen as (update outbox set payload = '"seen"' where fanned_out_at is not null and payload <> '"seen"' returning id)
       select o.payload #>> '{}' as payload from outbox o join seen using (id) order by o.id`,
    );
    return rows.map(({ payload }) => payload);
  };
  const grow = async () =>
    sql.query(`update outbox set created_at = now() - interval '2 minutes' where fanned_out_at is null`);

  describe('not for', () => {
    it('a transaction that writes in another database, nor one that is prepared there', async (context) => {
      await needsPrepared(context);
      const writer = await someone(elsewhere);
      await writer.does('begin', 'insert into unrelated values (1)');
      const preparing = await someone(elsewhere);
      await preparing.does('begin', 'insert into unrelated values (1)');
      await preparing.prepares();
      await message('first');
      expect(await fannedOut()).toEqual(['first']);
    });

    it('one of this database that writes elsewhere, in a savepoint, or prepared', async (context) => {
      await needsPrepared(context);
      const writer = await someone();
      await writer.does('begin', 'savepoint s', 'insert into unrelated values (1)', 'release savepoint s');
      const preparing = await someone();
      await preparing.does('begin', 'insert into unrelated values (1)');
      await preparing.prepares();
      await message('first');
      expect(await fannedOut()).toEqual(['first']);
    });

    it('one that only reads messages, nor one that has taken back what it wrote', async () => {
      const reader = await someone();
      await reader.does('begin', 'insert into unrelated values (1)', 'select * from outbox');
      const undone = await someone();
      await undone.does('begin', 'savepoint s', insert('undone'), 'rollback to savepoint s');
      await message('first');
      expect(await fannedOut()).toEqual(['first']);
    });

    it('an old transaction that has yet to write: its message comes later, and goes later', async () => {
      const old = await someone();
      await old.does('begin', 'insert into unrelated values (1)');
      await message('first');
      expect(await fannedOut()).toEqual(['first']);
      await old.does(insert('second'));
      await message('third');
      expect(await fannedOut()).toEqual([]); // the second, of an older transaction, is on its way
      await old.does('commit');
      expect(await fannedOut()).toEqual(['second', 'third']);
    });

    it('one that began to write after the message was there', async () => {
      const before = await someone(elsewhere);
      await before.does('begin', 'insert into unrelated values (1)');
      await message('first');
      const later = await someone();
      await later.does('begin', insert('second'));
      expect(await fannedOut()).toEqual(['first']);
      await later.does('commit');
      expect(await fannedOut()).toEqual(['second']);
    });
  });

  describe('for', () => {
    it.each([
      ['one that has written a message', ['begin', insert('first')]],
      ['one that did so in a savepoint', ['begin', 'savepoint s', insert('first'), 'release savepoint s']],
      ['one that copies them', ['begin', `do $$ begin ${insert('first')}; end $$`]],
    ])('%s', async (_, statements) => {
      const writer = await someone();
      await writer.does(...statements);
      await message('second');
      expect(await fannedOut()).toEqual([]);
      expect(await fannedOut()).toEqual([]);
      await writer.does('commit');
      expect(await fannedOut()).toEqual(['first', 'second']);
    });

    it('one that may write, while nobody knows how old it is, as long as the server has an older one', async () => {
      const other = await someone(elsewhere);
      await other.does('begin', 'insert into unrelated values (1)');
      const unknown = await someone();
      await unknown.does('begin', 'lock table outbox in row exclusive mode');
      await message('first');
      expect(await fannedOut()).toEqual([]);
      await unknown.does('commit');
      expect(await fannedOut()).toEqual(['first']);
    });

    it('a prepared one that has written, which the log and doctor name', async (context) => {
      await needsPrepared(context);
      const writer = await someone();
      await writer.does('begin', insert('first'));
      const name = await writer.prepares();
      await message('second');
      await grow();
      expect(await fannedOut()).toEqual([]);

      const [depth, held] = await checkOutbox({ db: sql, config } as never);
      expect(depth).toMatchObject({ status: 'warn', message: expect.stringMatching(/^1 messages wait/) });
      expect(held).toEqual({
        status: 'warn',
        message: expect.stringContaining(
          `messages are held back by the prepared transaction '${name}' of postgres since `,
        ),
        advice: `rollback prepared ${pg.escapeLiteral(name)}`,
      });
      const lines: string[] = [];
      const log = { warn: (_: object, line: string) => lines.push(line) } as unknown as Logger;
      const heldBack = new HeldBack(log);
      await heldBack.look(sql, 59_000);
      expect(lines).toEqual([]);
      await heldBack.look(sql, 61_000);
      await heldBack.look(sql, 66_000); // not again at once
      expect(lines).toEqual([expect.stringContaining(`by the prepared transaction '${name}'`)]);

      await writer.does(`commit prepared ${pg.escapeLiteral(name)}`);
      expect(await fannedOut()).toEqual(['first', 'second']);
      expect(await checkOutbox({ db: sql, config } as never)).toMatchObject([{ status: 'ok' }]);
    });

    it('a session that has written and sleeps, which doctor names; others on the server it does not', async () => {
      const other = await someone(elsewhere);
      await other.does('begin', 'insert into unrelated values (1)');
      const writer = await someone();
      await writer.does('begin', insert('first'));
      await message('second');
      const later = await someone(); // waits for nothing, and nothing waits for it
      await later.does('begin', insert('third'));
      await grow();
      const verdicts = await checkOutbox({ db: sql, config } as never);
      expect(verdicts.map(({ message }) => message).slice(1)).toEqual([
        expect.stringMatching(
          /held back by process \d+ \("bystander" of postgres, idle in transaction since 2/,
        ),
      ]);
      expect(verdicts[1]!.advice).toMatch(/^select pg_terminate_backend\(\d+\)$/);
    });
  });

  it('closing that a prepared batch keeps from its lock is told by doctor and the log', async (context) => {
    await needsPrepared(context);
    const batch = await someone();
    await batch.does(
      'begin',
      `select from enter_batch('infinity', (select interest_version from window_state))`,
    );
    const name = await batch.prepares();
    await sql.query(
      `update window_state set closed_until = date_bin('30 seconds', now() - interval '5 minutes', 'epoch'),
                               refreshed_30s = date_bin('30 seconds', now() - interval '5 minutes', 'epoch')`,
    );
    const verdicts = await checkClosing({ db: sql, config } as never);
    expect(verdicts[1]).toEqual({
      status: 'warn',
      message: expect.stringContaining(`windows do not close because of the prepared transaction '${name}'`),
      advice: `rollback prepared ${pg.escapeLiteral(name)}`,
    });

    const lines: string[] = [];
    const log = { warn: (_: object, line: string) => lines.push(line), debug() {} } as unknown as Logger;
    const frontier = new ClosedFrontier();
    const { rows } = await sql.query(
      'select extract(epoch from closed_until) * 1000000 as micros from window_state',
    );
    frontier.advance(Number(rows[0].micros));
    const registry = new Registry();
    const closer = new Closer({
      config: { ...config.windows, lockTimeoutMs: 50 },
      connect: async () => {
        const client = new pg.Client(database.url);
        await client.connect();
        return client;
      },
      frontier,
      metrics: new WindowMetrics(registry, frontier, config.windows.graceMs),
      log,
    });
    await expect(closer.step()).rejects.toMatchObject({ code: '55P03' });
    expect(lines).toEqual([
      expect.stringContaining(`windows do not close because of the prepared transaction '${name}'`),
    ]);
    const overdue = () => registry.getSingleMetric('tidemark_closing_overdue_seconds')!.get();
    expect((await overdue()).values[0]!.value).toBeGreaterThan(200);

    await batch.does(`rollback prepared ${pg.escapeLiteral(name)}`);
    await closer.step();
    expect((await overdue()).values[0]!.value).toBeLessThan(60);
    await closer.stop();
  });
});

describeEngine('a webhook', () => {
  it('arrives while somebody writes in another database of the server', async () => {
    const [t, elsewhere, receiver] = await Promise.all([
      startTestService(FAST_DELIVERY),
      createEmptyDatabase(),
      Receiver.start(),
    ]);
    const other = await Bystander.in(elsewhere);
    try {
      await other.does('begin', 'create table unrelated (n integer)');
      const { id, key } = await t.tenant();
      await subscribe(t.sql, id, { url: receiver.url(), types: ['record.processed'] });
      const record = {
        ...anEvent({ eventType: 'positive', value: '1', customerId: 'c' }),
        apiEndpoint: undefined,
      };
      expect(await t.call('POST', '/v1/events', { key, body: record })).toMatchObject({ status: 200 });
      await until(() => receiver.received.length === 1);
      expect(JSON.parse(receiver.received[0]!.body)).toMatchObject({ type: 'record.processed' });
    } finally {
      await other.leaves();
      await receiver.stop();
      await t.stop();
      await elsewhere.drop();
    }
  });
});
