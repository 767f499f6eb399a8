import { postSeries } from '../load/measurement.ts';
import { checkStored, identityBytes } from '../load/stored.ts';
import { tenantIds } from '../load/workload.ts';
import type { Build } from '../services/build.ts';
import { startTidemark } from '../services/tidemark.ts';
import { costsOf } from '../support/costs.ts';
import { relationBytes } from '../support/relationSizes.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import type { BuildSample } from './sample.ts';

/**
 * Bytes on disk of an event and its identity, indexes included, right after so many events of the present have been posted
 * in batches. Those of several tenants come through a platform key, evenly mixed in each request.
 *
 * @param events a multiple of a request's.
 */
export async function measureDisk(
  server: BenchServer,
  build: Build,
  events: number,
  tenants: number,
  folder: string,
): Promise<BuildSample> {
  const database = await server.createDatabase('empty');
  try {
    const ids = tenantIds(tenants);
    const service = await startTidemark({ url: database.url, folder, module: build.service, tenants: ids });
    let stopped = false;
    try {
      await withClient(database.url, (client) => client.query('checkpoint'));
      const report = await postSeries(service, server.postmaster, {
        key: tenants === 1 ? service.key : service.adminKey,
        tenants: ids,
        series: { events },
      });
      const timescale = server.engine === 'timescale';
      const { bytes, differences } = await withClient(database.url, async (client) => {
        await client.query('checkpoint');
        return {
          bytes: (await identityBytes(client)) + (await relationBytes(client, 'event', timescale)),
          differences: await checkStored(client, report.accepted),
        };
      });
      stopped = true;
      const problems = [...report.problems, ...differences, ...(await service.stop())];
      return {
        row: 'disk',
        variant: tenants === 1 ? '1 tenant' : `${tenants} tenants`,
        who: build.who,
        value: bytes / events,
        ...costsOf({ ...report.usage, generatorCores: report.cores }, report.accepted / report.seconds),
        problems,
      };
    } finally {
      if (!stopped) await service.stop();
    }
  } finally {
    await database.drop();
  }
}
