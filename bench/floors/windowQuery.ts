import { historyStart, loadHistory } from '../load/history.ts';
import type { Timing } from '../load/measurement.ts';
import { startTidemark } from '../services/tidemark.ts';
import { type Loaded, measureLoaded, settle, type WindowQueryReport } from '../services/windowQueries.ts';
import type { BenchServer } from '../support/servers.ts';

const ROUNDS = 3;

/** (e) at several sizes. */
export async function measureWindowQueries(
  server: BenchServer,
  sizes: number[],
  timing: Timing,
  folder: string,
  log: (line: string) => void,
): Promise<WindowQueryReport[]> {
  const loads = sizes.map((events) => () => {
    log(`e: loading ${events} events`);
    return load(server, events, folder);
  });
  return measureLoaded(loads, server.postmaster, timing, ROUNDS, log);
}

async function load(server: BenchServer, events: number, folder: string): Promise<Loaded> {
  const database = await server.createDatabase('migrated');
  try {
    const to = Date.now();
    const started = performance.now();
    await loadHistory(database.url, events, to);
    const loadSeconds = (performance.now() - started) / 1_000;
    const service = await startTidemark({ url: database.url, folder });
    try {
      await settle(database);
      const catchUpSeconds = (performance.now() - started) / 1_000 - loadSeconds;
      const from = historyStart(events, to);
      return { name: `${events} events`, events, database, service, from, to, loadSeconds, catchUpSeconds };
    } catch (error) {
      await service.stop();
      throw error;
    }
  } catch (error) {
    await database.drop();
    throw error;
  }
}
