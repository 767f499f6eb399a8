import type { Config } from '../../ground/config/loadConfig.ts';
import { findLocalDatabase, startLocalDatabase } from '../../ground/local/localDatabase.ts';

/**
 * Works on DATABASE_URL, else on the local database: that of the running service, or one that is started for as
 * long as the work takes.
 *
 * @throws {StartupError} when there is none to be had.
 */
export async function withDatabase<Result>(
  config: Config,
  work: (url: string) => Promise<Result>,
): Promise<Result> {
  const running = config.database.url ?? (await findLocalDatabase(config.dataDir));
  if (running !== undefined) return work(running);
  const local = await startLocalDatabase(config, (line) => process.stderr.write(`${line}\n`));
  try {
    return await work(local.url);
  } finally {
    await local.stop();
  }
}
