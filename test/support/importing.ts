import { loadConfig } from '../../src/ground/config/loadConfig.ts';
import { createLogger } from '../../src/ground/telemetry/logger.ts';
import { type ImportOutcome, importFile } from '../../src/intake/importing/importFile.ts';
import { type BadLine, ImportCounts } from '../../src/intake/importing/importRows.ts';
import { parseMapping } from '../../src/intake/importing/mapping.ts';
import { openSource, type SourceOptions } from '../../src/intake/importing/openSource.ts';

export interface ImportOptions extends Partial<Omit<SourceOptions, 'mapping' | 'path'>> {
  url: string;
  path: string;
  tenantId: string;
  map?: string;
  metadata?: string;
  fromLine?: number;
  maxErrors?: number;
  backfill?: string | undefined;
}

export interface Imported extends ImportOutcome {
  counts: ImportCounts;
  badLines: BadLine[];
  idPrefix: string;
}

/** Imports a file into a database, as the command does; without flags for one customer and endpoint. */
export async function importInto(options: ImportOptions): Promise<Imported> {
  const { url, map = '', metadata = '', fromLine = 1, maxErrors = 100, backfill, ...rest } = options;
  const config = loadConfig({ TIDEMARK_PROFILE: 'test', DATABASE_URL: url });
  const source = await openSource({
    format: undefined,
    delimiter: ',',
    mapping: parseMapping(map, metadata),
    constants: { customerId: 'acme', apiEndpoint: '/x' },
    lastRow: 'leave',
    idPrefix: undefined,
    aheadMs: config.ingest.acceptAheadMs,
    ...rest,
  });
  const counts = new ImportCounts();
  const badLines: BadLine[] = [];
  try {
    const outcome = await importFile({
      config,
      url,
      source,
      tenantId: options.tenantId,
      createTenant: true,
      backfill,
      fromLine,
      maxErrors,
      counts,
      onBadLine: (fault) => badLines.push(fault),
      onRefresh: () => undefined,
      log: createLogger({ logLevel: 'silent' }),
      signal: new AbortController().signal,
    });
    return { ...outcome, counts, badLines, idPrefix: source.idPrefix };
  } finally {
    await source.input.close();
  }
}
