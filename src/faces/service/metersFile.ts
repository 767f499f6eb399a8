import { readFile } from 'node:fs/promises';
import type { Config } from '../../ground/config/loadConfig.ts';
import { connect, connectionSettings } from '../../ground/db/connections.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { whyUnreadable } from '../../ground/whyUnreadable.ts';
import { StartupError } from '../../model/errors.ts';
import { parseJson } from '../../model/json.ts';
import { reconcileMeters } from '../../sums/meters/catalog/reconcileMeters.ts';

/** Reads METERS_FILE. @throws {StartupError} in one line, where it cannot be read or is not JSON. */
export async function readMetersFile(file: string): Promise<unknown> {
  const bytes = await readFile(file).catch((error) => {
    throw startupFault(file, `cannot be read: ${whyUnreadable(error)}`, error);
  });
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    const what = error instanceof SyntaxError ? `is not JSON: ${error.message}` : 'is not UTF-8';
    throw startupFault(file, what, error);
  }
}

/**
 * Makes the meters of METERS_FILE, before anybody can ask for them.
 *
 * @param document from `readMetersFile`.
 * @param url of a migrated database.
 * @throws {StartupError} in one line: file, place in it and what is wrong.
 */
export async function applyMetersFile(
  config: Config,
  document: unknown,
  url: string,
  log: Logger,
): Promise<void> {
  const { file, perTenant } = config.meters;
  const client = await connect(connectionSettings(url, config.database, 'migrate'), log);
  try {
    const done = await reconcileMeters(client, document, perTenant);
    log.info({ file, ...done }, 'meters are as METERS_FILE has them');
  } catch (error) {
    throw error instanceof StartupError ? startupFault(file!, error.message, error) : error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function startupFault(file: string, what: string, cause: unknown): StartupError {
  // Files may hold anything, and JSON.parse quotes them.
  const line = `METERS_FILE ${file} ${what}`.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]/gu, ' ');
  return new StartupError(line, { cause });
}
