import { Registry } from 'prom-client';
import { TenantDirectory } from '../../access/tenancy/tenantDirectory.ts';
import { createTenant } from '../../access/tenancy/tenants.ts';
import type { Config } from '../../ground/config/loadConfig.ts';
import { connect, connectionSettings, connectRefresher, createPool } from '../../ground/db/connections.ts';
import { readEngine } from '../../ground/db/engine.ts';
import type { Queryable } from '../../ground/db/queryable.ts';
import type { Logger } from '../../ground/telemetry/logger.ts';
import { StartupError } from '../../model/errors.ts';
import { oldestKept } from '../../sums/retention/oldestKept.ts';
import { ClosedFrontier } from '../../sums/windows/closedFrontier.ts';
import { Refresher } from '../../sums/windows/refresher.ts';
import { WindowMetrics } from '../../sums/windows/windowMetrics.ts';
import { Ingest } from '../ingest/ingest.ts';
import { SAMPLE_ROWS, wasImported } from './earlierImport.ts';
import { BATCH_ROWS, type BadLine, type ImportCounts, importRows, type Stop } from './importRows.ts';
import { noOlderThan } from './noOlderThan.ts';
import type { Source } from './openSource.ts';
import { withPlainLineEnds } from './readCsv.ts';
import { refreshImported } from './refreshImported.ts';
import type { Row, RowVerdict } from './row.ts';
import { stagedImport } from './stagedImport.ts';
import { startingWith } from './startingWith.ts';

/** What one batch may take, waiting and repetitions included, in ms: an import has more patience than a request. */
const DEADLINE_MS = 60_000;

export interface ImportFileOptions {
  config: Config;
  /** A migrated database. */
  url: string;
  source: Source;
  tenantId: string;
  /** Make the tenant where there is none. */
  createTenant: boolean;
  /** The backfill that they are staged for, and are not counted before it is closed. Left out: they count. */
  backfill?: string | undefined;
  fromLine: number;
  maxErrors: number;
  /** Kept up while the import runs. */
  counts: ImportCounts;
  onBadLine(fault: BadLine): void;
  /** Told when the rows are in and the rollups are brought up to them. */
  onRefresh(): void;
  log: Logger;
  signal: AbortSignal;
}

export interface ImportOutcome {
  /** Why it stopped early; null at the end of the file. */
  stop: Stop | null;
  /** Time from the first row to the last commit, in ms. */
  importMs: number;
  /** Time the refresh of late windows took, in ms; null where there was nothing to refresh. */
  refreshMs: number | null;
  /** The refresh was left to the service. */
  refreshCut: boolean;
}

/**
 * Writes the rows of a file through the same writers as the API, then brings the rollups up to them.
 *
 * @throws {StartupError} when the tenant is unknown or inactive.
 */
export async function importFile(options: ImportFileOptions): Promise<ImportOutcome> {
  const { config, url, source, tenantId, counts, log, signal } = options;
  const settings = connectionSettings(url, config.database, 'import');
  const db = createPool(settings, 1, log);
  const frontier = new ClosedFrontier();
  try {
    await requireTenant(db, tenantId, options.createTenant);
    const kept = noOlderThan(await oldestKept(db), source.toEvent);
    const { backfill } = options;
    const staging = backfill === undefined ? null : await stagedImport(db, tenantId, backfill, kept);
    const toEvent = staging?.toEvent ?? kept;
    const rows = await withKnownIds(db, source, toEvent);
    const ingest = new Ingest({
      config: {
        ...config.ingest,
        batchRows: BATCH_ROWS,
        // History in bulk: a day that it is in is packed wholly, and until then each segment is of much of the file.
        columnsDays: Number.POSITIVE_INFINITY,
        columnsSpanMs: Number.POSITIVE_INFINITY,
        queueRows: Number.POSITIVE_INFINITY, // bounded by what importRows has in flight
        queueBytes: Number.POSITIVE_INFINITY,
        deadlineMs: Math.max(DEADLINE_MS, config.ingest.deadlineMs),
      },
      connect: () => connect(settings, log),
      pooled: config.database.pooler === 'transaction',
      frontier,
      registry: new Registry(),
      log,
      onStored: () => undefined,
      quiet: true,
    });
    const started = performance.now();
    const stop = await importRows(
      {
        rows,
        toEvent,
        store: async (events, length) => staging?.store(events) ?? ingest.store(events, length, tenantId),
        fromLine: options.fromLine,
        maxErrors: options.maxErrors,
        onBadLine: options.onBadLine,
        signal,
      },
      counts,
    );
    const importMs = performance.now() - started;
    await ingest.close();

    const engine = await readEngine(db);
    const unfinished = stop?.reason === 'failed' || stop?.reason === 'interrupted';
    if (staging !== null || engine === 'postgres' || counts.range === null || unfinished) {
      const refreshCut = staging === null && engine === 'timescale' && unfinished;
      return { stop, importMs, refreshMs: null, refreshCut };
    }
    options.onRefresh();
    const refresher = new Refresher({
      config: config.windows,
      engine,
      connect: () => connectRefresher(connectionSettings(url, config.database, 'refresher'), log),
      metrics: new WindowMetrics(new Registry()),
      log,
    });
    const refreshStarted = performance.now();
    const done = await refreshImported(db, refresher, tenantId, counts.range, signal).catch((error) => {
      log.warn({ err: error }, 'the summaries could not be refreshed');
      return false;
    });
    return { stop, importMs, refreshMs: performance.now() - refreshStarted, refreshCut: !done };
  } finally {
    await db.end();
  }
}

/**
 * Ids were once made without what is said of the rows. A file that has been imported so, with the same meaning, goes on
 * with them, so that importing it again adds nothing.
 *
 * @returns the rows of the source.
 */
async function withKnownIds(
  db: Queryable,
  source: Source,
  toEvent: (row: Row<unknown>) => RowVerdict,
): Promise<AsyncIterable<Row<unknown>[]>> {
  const { idPrefix, earlierIdPrefix, rows } = source;
  if (earlierIdPrefix === null) return rows;
  const begin: Row<unknown>[][] = [];
  let count = 0;
  let fault: { error: unknown } | null = null; // is met behind the rows before it
  try {
    while (count < SAMPLE_ROWS) {
      const next = await rows.next();
      if (next.done) break;
      begin.push(next.value);
      count += next.value.length;
    }
  } catch (error) {
    fault = { error };
  }
  source.idPrefix = earlierIdPrefix;
  const sample = begin.flat().slice(0, SAMPLE_ROWS);
  const events = sample.flatMap((row) => {
    const { event, made } = toEvent(source.format === 'csv' ? asItWasRead(row) : row);
    return event && made ? [event] : [];
  });
  if (!(await wasImported(db, events))) source.idPrefix = idPrefix;
  return startingWith(begin, rows, fault);
}

/** Line ends within fields were once all the same. */
function asItWasRead(row: Row<unknown>): Row<unknown> {
  return row.fault ? row : { ...row, values: (row.values as string[]).map(withPlainLineEnds) };
}

async function requireTenant(db: Queryable, tenantId: string, create: boolean): Promise<void> {
  const state = await new TenantDirectory(db).stateOf(tenantId);
  if (state === 'inactive') throw new StartupError(`the tenant ${tenantId} is inactive`);
  if (state === 'active') return;
  if (!create) throw new StartupError(`there is no tenant ${tenantId}; --create-tenant creates it`);
  await createTenant(db, { id: tenantId, name: tenantId });
}
