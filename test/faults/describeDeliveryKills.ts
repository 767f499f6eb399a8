import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildProgram } from '../support/buildProgram.ts';
import { createTestDatabase, describeEngine, type TestDatabase } from '../support/database.ts';
import { FAST_DELIVERY, subscribe, writeMessages } from '../support/messages.ts';
import { Receiver } from '../support/receiver.ts';
import { ADMIN_KEY, until } from '../support/service.ts';

const INSTANCE = fileURLToPath(new URL('../support/relayInstance.mjs', import.meta.url));
const INSTANCES = 3;
const CUSTOMERS = 30;
const WRITERS = 3;
const PER_TRANSACTION = 3;

/** A process that is killed and started again, and again. */
class Victim {
  private child: ChildProcess | undefined;
  private readonly env: Record<string, string>;
  kills = 0;

  constructor(env: Record<string, string>) {
    this.env = env;
  }

  async start(): Promise<void> {
    this.child = fork(INSTANCE, {
      execArgv: ['--enable-source-maps'],
      env: { PATH: process.env.PATH, ...this.env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await once(this.child, 'message');
  }

  async kill(): Promise<void> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    this.kills++;
  }
}

/** Instances that deliver are killed again and again for `runMs`; then what they were to deliver is waited for. */
export function describeDeliveryKills(runMs: number): void {
  describeEngine(
    'messages, with every instance killed again and again and a receiver that fails at random',
    () => {
      let database: TestDatabase;
      let sql: pg.Pool;
      let receiver: Receiver;
      const victims: Victim[] = [];
      beforeAll(async () => {
        await buildProgram();
        database = await createTestDatabase();
        sql = new pg.Pool({ connectionString: database.url, max: WRITERS + 2 });
        sql.on('error', () => undefined);
        receiver = await Receiver.start();
        const env = {
          ...FAST_DELIVERY,
          TIDEMARK_PROFILE: 'test',
          DATABASE_URL: database.url,
          ADMIN_KEY,
          LOG_LEVEL: 'silent',
        };
        victims.push(...Array.from({ length: INSTANCES }, () => new Victim(env)));
        await Promise.all(victims.map((victim) => victim.start()));
      });
      afterAll(async () => {
        await Promise.all(victims.map((victim) => victim.kill()));
        await receiver.stop();
        await sql.end();
        await database.drop();
      });

      it('arrive, each with one id, and first in the order of their customer', async () => {
        await sql.query(`insert into tenant (id, name) values ('acme', 'Acme')`);
        const id = await subscribe(sql, 'acme', { url: receiver.url() });
        receiver.answer = async (_, response) => {
          const fate = Math.random();
          await sleep(Math.random() * 20);
          if (fate < 0.05) response.destroy();
          else if (fate < 0.06) await sleep(1_500).then(() => response.destroy());
          else return fate < 0.15 ? 503 : 200;
          return undefined;
        };

        const deadline = Date.now() + runMs;
        const written = new Map<string, string>(); // `customer/n` → message id
        const write = async (writer: number) => {
          const next = new Map<string, number>();
          while (Date.now() < deadline) {
            const messages = Array.from({ length: PER_TRANSACTION }, () => {
              const customerId = `customer-${writer + WRITERS * Math.floor(Math.random() * (CUSTOMERS / WRITERS))}`;
              const n = (next.get(customerId) ?? 0) + 1;
              next.set(customerId, n);
              return { customerId, payload: { customerId, n } };
            });
            const ids = await writeMessages(sql, 'acme', messages);
            for (const [i, { payload }] of messages.entries())
              written.set(`${payload.customerId}/${payload.n}`, ids[i]!);
            await sleep(100);
          }
        };
        const kill = async (victim: Victim) => {
          while (Date.now() < deadline) {
            await sleep(200 + Math.random() * 1_500);
            await victim.kill();
            await victim.start();
          }
        };
        await Promise.all([
          ...Array.from({ length: WRITERS }, (_, i) => write(i)),
          ...victims.map((victim) => kill(victim)),
        ]);
        await until(async () => {
          const { rows } = await sql.query(
            `select (select count(*)::int from outbox where fanned_out_at is null) as waiting,
                  (select count(*)::int from delivery where state = 'delivered') as delivered`,
          );
          return rows[0].waiting === 0 && rows[0].delivered === written.size;
        }, 180_000);

        const seen = new Map<string, string>();
        const last = new Map<string, number>();
        for (const { headers, json } of receiver.received) {
          const { customerId, n } = json.data;
          const key = `${customerId}/${n}`;
          const messageId = String(headers['webhook-id']);
          if (seen.has(key)) {
            expect(messageId).toBe(seen.get(key));
            continue;
          }
          seen.set(key, messageId);
          expect([customerId, n]).toEqual([customerId, (last.get(customerId) ?? 0) + 1]);
          last.set(customerId, n);
        }
        expect(seen).toEqual(new Map([...seen.keys()].map((key) => [key, written.get(key)])));
        expect(seen.size).toBe(written.size);
        const kills = victims.reduce((sum, victim) => sum + victim.kills, 0);
        console.log(
          `${written.size} messages received ${receiver.received.length} times, ${kills} kills (${database.engine})`,
        );
        expect(kills).toBeGreaterThan(runMs / 4_000);
        const { rows } = await sql.query(
          'select count(*)::int as n from delivery_lane where subscription_id = $1',
          [id],
        );
        expect(rows[0].n).toBe(0);
      });
    },
  );
}
