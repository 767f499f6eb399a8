import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildProgram } from '../support/buildProgram.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { runFolder } from '../support/runFolder.ts';
import { runTidemark } from '../support/runTidemark.ts';

/** All of what `fillBig` stores. */
export const RANGE = ['--tenant', 'big', '--from', '2026-01-01', '--to', '2026-02-01'];

/** A tenant, `big`, with so many events in January 2026, up to 267,840. */
export async function fillBig(sql: pg.Client, events: number): Promise<void> {
  await sql.query(`insert into tenant (id, name) values ('big', 'Big')`);
  await sql.query(
    `insert into event (ts, event_id, tenant_id, customer_id, event_type, endpoint, tokens, metadata)
     select timestamptz '2026-01-01Z' + n * interval '10 seconds', gen_random_uuid(), 'big', 'c', 'api.request', '/x', n,
            jsonb_build_object('note', repeat('x', 100))
     from generate_series(1, ${events}) as n`,
  );
}

/** An export of so many events in a process that has little memory. */
export function describeBigExport(events: number): void {
  describe('export', () => {
    let database: TestDatabase;
    let folder: string;
    beforeAll(async () => {
      await buildProgram();
      database = await createTestDatabase();
      folder = await mkdtemp(join(await runFolder(), 'big-'));
      const sql = new pg.Client(database.url);
      await sql.connect();
      await fillBig(sql, events);
      await sql.end();
    });
    afterAll(async () => {
      await database?.drop();
      if (folder) await rm(folder, { recursive: true, force: true });
    });

    test('many rows, in little memory', async () => {
      const file = join(folder, 'all.ndjson');
      const env = {
        DATABASE_URL: database.url,
        DATA_DIR: join(folder, 'data'),
        NODE_OPTIONS: '--max-old-space-size=64',
      };
      const { code, err } = await runTidemark(['export', 'events', ...RANGE, '--out', file], env);
      expect(code, err).toBe(0);
      expect(err).toMatch(
        new RegExp(`^exported ${events.toLocaleString('en')} events to .*all\\.ndjson in [\\d.]+ s\\n$`),
      );
      const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
      expect(lines).toHaveLength(events);
      expect(JSON.parse(lines[events - 1]!).metadata).toEqual({ tokens: events, note: 'x'.repeat(100) });
    });
  });
}
