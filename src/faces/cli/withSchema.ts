import type pg from 'pg';
import { type Config, loadConfig } from '../../ground/config/loadConfig.ts';
import { connect, connectionSettings } from '../../ground/db/connections.ts';
import { unusable } from '../../ground/db/prepareDatabase.ts';
import { requireSchema } from '../../ground/db/schemaState.ts';
import { connectionLost } from '../../ground/db/sqlstate.ts';
import { silentLogger } from './runCommand.ts';
import { withDatabase } from './withDatabase.ts';

/**
 * Works on one connection to the database, whose schema must be that of this version: a command that looks at a
 * service's data does not change the schema under it.
 *
 * @throws {StartupError} when the server cannot be reached, or its schema is an older or a newer one.
 */
export function withSchema<Result>(
  use: 'admin' | 'export',
  work: (client: pg.Client, config: Config, url: string) => Promise<Result>,
): Promise<Result> {
  const config = loadConfig();
  return withDatabase(config, async (url) => {
    const client = await connect(connectionSettings(url, config.database, use), silentLogger()).catch(
      (error) => {
        throw unusable(url, error);
      },
    );
    try {
      await requireSchema(client);
      return await work(client, config, url);
    } catch (error) {
      throw connectionLost(error) ? unusable(url, error) : error;
    } finally {
      await client.end().catch(() => undefined);
    }
  });
}
