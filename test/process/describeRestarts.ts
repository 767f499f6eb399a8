import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, inject, it } from 'vitest';
import { runFolder } from '../support/runFolder.ts';
import { newDatabase, query, START_MS, start } from './support/programs.ts';

/** So many services after one another, beside an import of 600 rows for each. For files with `cleanUpPrograms`. */
export function describeRestarts(restarts: number): void {
  const rows = 600 * restarts;

  describe('rolling restarts while a file is imported and its summaries are refreshed', () => {
    it.each(['postgresUrl', 'timescaleUrl'] as const)(
      `end with 0, each of ${restarts}: %s`,
      async (server) => {
        const at = inject(server);
        if (!at) return;
        const url = await newDatabase(at);
        const file = join(await runFolder(), `restarts-${server}.csv`);
        const lines = Array.from(
          { length: rows },
          (_, i) => `${new Date(Date.UTC(2026, 0, 1) + i * 600_000).toISOString()},5`,
        );
        await writeFile(file, `time,in\n${lines.join('\n')}\n`);
        const args = [
          'import',
          file,
          '--tenant',
          'acme',
          '--customer',
          'c',
          '--endpoint',
          '/a',
          '--create-tenant',
        ];
        const importing = start(url, [...args, '--map', 'timestamp=time,inputTokens=in']);
        const ends: [number | string, string][] = [];
        for (let i = 0; i < restarts; i++) {
          const service = start(url, ['serve']);
          await service.says(/"address"/, START_MS);
          service.child.kill('SIGTERM');
          const code = await service.exited;
          ends.push([code, code === 0 ? '' : service.stdout() + service.stderr()]);
        }
        expect(ends).toEqual(ends.map(() => [0, '']));
        expect([await importing.exited, importing.stderr()]).toEqual([0, expect.any(String)]);
        const { rows: found } = await query(
          url,
          `select (select count(*)::int from event) as events, (select sum(calls)::int from usage_1d) as days,
                (select count(*)::int from late_window where stale) as stale`,
        );
        expect(found[0]).toEqual({ events: rows, days: rows, stale: 0 });
      },
    );
  });
}
