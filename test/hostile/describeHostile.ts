import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTestDatabase, describeEngine, type TestDatabase } from '../support/database.ts';
import { readDescription } from '../support/description.ts';
import { ADMIN_KEY } from '../support/service.ts';
import { type AttackReport, attack, HURRIED } from './attack.ts';
import { startTarget, type Target } from './target.ts';

/** `npm run test:hostile -- --requests 100000` sets these. */
const asked = process.env.TEST_HOSTILE_REQUESTS;
const seed = Number(process.env.TEST_HOSTILE_SEED ?? Date.now() % 2_147_483_647);
const MIB = 1_048_576;
/** A leak of a few hundred bytes a request would show in the long run; this is no measure of speed. */
const HEAP_GROWTH = 40 * MIB;
const RSS_GROWTH = 100 * MIB;

/** Bad requests and slow sockets beside a client that behaves, by their numbers where none is asked for. */
export function describeHostile(planned: { requests: number; slowSockets: number }): void {
  const requests = asked === undefined ? planned.requests : Number(asked);
  const { slowSockets } = planned;
  describeEngine(`hostile input (seed ${seed})`, () => {
    let database: TestDatabase;
    let sql: pg.Pool;
    let target: Target;
    beforeAll(async () => {
      database = await createTestDatabase();
      sql = new pg.Pool({ connectionString: database.url, max: 2 });
      sql.on('error', () => undefined);
      target = await startTarget({
        TIDEMARK_PROFILE: 'test',
        DATABASE_URL: database.url,
        ADMIN_KEY,
        ...HURRIED,
      });
    });
    afterAll(async () => {
      await target?.end();
      await sql.end();
      await database.drop();
    });

    it(
      `${requests} bad requests and ${slowSockets} slow sockets: each is refused cleanly, and nobody else notices`,
      async () => {
        const { operations } = await readDescription({
          async call(method, path) {
            const answer = await fetch(target.address + path, { method });
            return { status: answer.status, body: await answer.json(), headers: answer.headers };
          },
        });
        const report = await attack({
          target,
          sql,
          adminKey: ADMIN_KEY,
          operations,
          requests,
          slowSockets,
          seed,
        });
        console.log(summary(report));
        expect(report.faults).toEqual([]);
        expect(report.sent).toBeGreaterThanOrEqual(requests * 0.99);
        expect(report.exported).toBeGreaterThan(0);
        expect(report.bystander.requests).toBeGreaterThan(50);
        expect(report.heap[1] - report.heap[0]).toBeLessThan(HEAP_GROWTH);
        expect(report.rss[1] - report.rss[0]).toBeLessThan(RSS_GROWTH);
      },
      600_000 + requests * 30,
    );

    function summary({ answers, sent, exported, bystander, slow, heap, rss, seconds }: AttackReport): string {
      const mib = (bytes: number) => Math.round(bytes / MIB);
      const families = Object.entries(answers).map(
        ([name, statuses]) =>
          `  ${name.padEnd(14)}${Object.entries(statuses)
            .map(([status, count]) => `${status}: ${count}`)
            .join(', ')}`,
      );
      return [
        `hostile, ${database.engine}: ${sent} requests in ${seconds} s, seed ${seed}`,
        ...families,
        `  stored of exports: ${exported} events`,
        `  beside: ${bystander.requests} requests, ${bystander.events} events, slowest ${bystander.slowestMs} ms`,
        `  slow sockets: ${slow.opened}, ${slow.alive} left`,
        `  heap ${mib(heap[0])} → ${mib(heap[1])} MiB, rss ${mib(rss[0])} → ${mib(rss[1])} MiB`,
      ].join('\n');
    }
  });
}
