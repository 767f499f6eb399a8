import type pg from 'pg';
import {
  checkCounts,
  type Kind,
  type Measurement,
  measurePosts,
  type Shape,
  type Timing,
} from '../load/measurement.ts';
import { checkStored } from '../load/stored.ts';
import { messageOf, startChild } from '../support/children.ts';
import { type BenchServer, withClient } from '../support/servers.ts';
import { startTidemark, type Tidemark } from './tidemark.ts';

/** (b) A Hono route that parses the JSON and answers. */
export async function measureFloorHono(
  server: BenchServer,
  shape: Shape,
  timing: Timing,
): Promise<Measurement> {
  const child = startChild(new URL('floorHono.ts', import.meta.url));
  try {
    const port = await messageOf<number>(child);
    return await measurePosts('b', shape, { port, pid: child.pid }, server.postmaster, timing);
  } finally {
    await child.stop();
  }
}

/** (c) Hono, postgres.js and an INSERT per request. */
export async function measureNaive(server: BenchServer, shape: Shape, timing: Timing): Promise<Measurement> {
  const database = await server.createDatabase('empty');
  try {
    const child = startChild(new URL('naive.ts', import.meta.url), {
      DATABASE_URL: database.url,
      ENGINE: server.engine,
    });
    try {
      const port = await messageOf<number>(child);
      const measured = await measurePosts('c', shape, { port, pid: child.pid }, server.postmaster, timing);
      const counts = await withClient(database.url, (client) =>
        checkCounts(client, 'select count(*) as events from event', measured.accepted),
      );
      return { ...measured, problems: [...measured.problems, ...counts] };
    } finally {
      await child.stop();
    }
  } finally {
    await database.drop();
  }
}

/** What to start in place of the compiled service with its defaults, and on what. */
export interface ServiceVariant {
  env?: Record<string, string>;
  module?: URL | string;
  /** It makes its schema itself, in an empty database: that of another build is another one. */
  ownSchema?: boolean;
  /** Run on the migrated database before it starts. */
  prepare?: string;
  /** Asked of the service before the load begins. */
  begin?(service: Tidemark): Promise<void>;
  /** Of what is sent. */
  kind?: Kind;
  /** What is wrong in the database besides, once so many events have been acknowledged. */
  check?(client: pg.Client, accepted: number): Promise<string[]>;
}

/**
 * (d) Tidemark, its closer and live counters at work.
 */
export async function measureTidemark(
  server: BenchServer,
  shape: Shape,
  timing: Timing,
  folder: string,
  variant: ServiceVariant = {},
): Promise<Measurement> {
  const { prepare, ownSchema, begin, kind, check, ...start } = variant;
  const database = await server.createDatabase(ownSchema ? 'empty' : 'migrated');
  try {
    if (prepare) await withClient(database.url, (client) => client.query(prepare));
    const service = await startTidemark({ url: database.url, folder, ...start });
    if (ownSchema) await withClient(database.url, (client) => client.query('checkpoint'));
    let stopped = false;
    try {
      await begin?.(service);
      const measured = await measurePosts('d', shape, service, server.postmaster, timing, kind);
      const metrics = await service.metrics();
      const counts = await withClient(database.url, async (client) => [
        ...(await checkStored(client, measured.accepted)),
        ...((await check?.(client, measured.accepted)) ?? []),
      ]);
      stopped = true;
      const problems = [...measured.problems, ...counts, ...(await service.stop())];
      return { ...measured, problems, notes: notesOf(metrics) };
    } finally {
      if (!stopped) await service.stop();
    }
  } finally {
    await database.drop();
  }
}

/** What the service says of its ingest path, over the whole run. */
function notesOf(metrics: Record<string, number>): Record<string, number> {
  const of = (name: string) => metrics[`tidemark_${name}`] ?? 0;
  return {
    rowsPerBatch: of('ingest_batch_rows_sum') / of('ingest_batch_rows_count'),
    msPerBatch: (1_000 * of('ingest_batch_seconds_sum')) / of('ingest_batch_seconds_count'),
    slowPaths: of('ingest_slow_paths_total'),
    retries: of('ingest_retries_total'),
    lateEvents: of('events_late_total'),
  };
}
