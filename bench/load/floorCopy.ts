import { type BenchServer, withClient } from '../support/servers.ts';
import { runCopies, sendAtOnce } from './copyWriters.ts';
import { fillSortedIds } from './eventIds.ts';
import type { Measurement, Timing } from './measurement.ts';
import { checkStored } from './stored.ts';

/**
 * (a) What the database alone does with the same rows in the same tables: binary COPY of identities in key order and of
 * events, both in one round trip (the fastest of those in choices/run.ts), two connections, 5,000 rows a commit.
 *
 * @param trigger false leaves the rollups of the postgres engine out, for information.
 */
export async function measureFloorCopy(
  server: BenchServer,
  timing: Timing,
  trigger = true,
): Promise<Measurement> {
  const database = await server.createDatabase('migrated');
  try {
    if (!trigger) {
      await withClient(database.url, (client) =>
        client.query('alter table event disable trigger event_rollup'),
      );
    }
    const report = await runCopies({
      url: database.url,
      connections: 2,
      rows: 5_000,
      format: 'binary',
      fillIds: fillSortedIds,
      send: sendAtOnce,
      postmaster: server.postmaster,
      ...timing,
    });
    const problems = await withClient(database.url, (client) => checkStored(client, report.rows, false));
    return {
      letter: 'a',
      name: trigger ? 'COPY' : 'COPY without trigger',
      eventsPerSecond: report.rowsPerSecond,
      latency: report.latency,
      usage: { ...report.usage, peakRssMb: null },
      generatorCores: null,
      problems,
      notes: {},
    };
  } finally {
    await database.drop();
  }
}
