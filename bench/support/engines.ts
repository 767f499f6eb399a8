import { type BenchServer, type Engine, findTimescale, startPostgres } from './servers.ts';

/** Does some work on a server of each engine, one after the other; says loudly when one is left out. */
export async function onEachEngine(
  engines: Engine[],
  folder: string,
  work: (server: BenchServer) => Promise<void>,
): Promise<void> {
  for (const engine of engines) {
    const server = engine === 'timescale' ? await findTimescale(folder) : await startPostgres(folder);
    if (server === null) {
      console.error(NO_TIMESCALE);
      continue;
    }
    if (server.description.fsync !== 'on') {
      console.error(
        `  ATTENTION: the ${engine} server runs without fsync, so nothing measured on it is durable.\n`,
      );
    }
    try {
      await work(server);
    } finally {
      await server.stop();
    }
  }
}

const NO_TIMESCALE = `
  ############################################################################
  #  NO TIMESCALEDB: the timescale engine, production, is NOT measured.       #
  #  Set TEST_TIMESCALE_URL, or install Docker or the extension.              #
  ############################################################################
`;
